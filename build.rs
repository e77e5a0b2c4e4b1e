//! Lets `surgcam-worker` find libtorch at run time, and links its CUDA half where it is there.
//!
//! Only the worker is touched: `surgcam` itself must start without libtorch.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH") else {
        println!("cargo:warning=LIBTORCH is not set; run `make libtorch` first");
        return;
    };
    let library_folder = Path::new(&libtorch).join("lib");
    let library_folder = library_folder.canonicalize().unwrap_or(library_folder);
    let for_worker = "cargo:rustc-link-arg-bin=surgcam-worker";
    println!("{for_worker}=-Wl,-rpath,{}", library_folder.display());
    if library_folder.join("libtorch_cuda.so").exists() {
        // Nothing refers to a symbol of it, so the linker would leave it out and every GPU with it.
        println!("{for_worker}=-Wl,--no-as-needed");
        println!("{for_worker}=-ltorch_cuda");
    }
}
