//! `surgcam-worker`. See the library's first lines for what it does.

fn main() -> std::process::ExitCode {
    surgcam_worker::main()
}
