//! The worker under test finds the libtorch that it was linked against, as surgcam-worker does.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(libraries) = std::env::var("DEP_SURGCAM_WORKER_LIBRARIES") {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{libraries}");
    }
}
