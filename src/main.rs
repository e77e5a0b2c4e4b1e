//! `surgcam`: everything a person talks to. See the library's first lines for how it is built.

fn main() -> std::process::ExitCode {
    surgcam::cli::main()
}
