//! Lets `surgcam-worker` find libtorch at run time, links its CUDA half where it is there, and compiles what of the worker is
//! in C++.
//!
//! Only the worker is touched: `surgcam` itself must start without libtorch.

use std::env;
use std::path::Path;

/// Calls operators of libtorch that tch does not wrap.
const FUSED_CONVOLUTION: &str = "src/worker/model/fused_convolution.cpp";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH") else {
        println!("cargo:warning=LIBTORCH is not set; run `make libtorch` first");
        return;
    };
    compile(Path::new(&libtorch));
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

/// Linked into the worker alone.
fn compile(libtorch: &Path) {
    println!("cargo:rerun-if-changed={FUSED_CONVOLUTION}");
    let library = "surgcam_fused_convolution";
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .cargo_metadata(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(libtorch.join("include"))
        .file(FUSED_CONVOLUTION)
        .compile(library);
    let folder = env::var("OUT_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bin=surgcam-worker={folder}/lib{library}.a");
}
