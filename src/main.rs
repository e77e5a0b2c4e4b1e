//! `surgcam`: everything a person talks to. See the library's first lines for how it is built.

/// Planning makes and drops many small things on all cores.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    surgcam::cli::main()
}
