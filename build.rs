//! Compiles what of the worker is in C++.
//!
//! The worker is linked against libtorch's CPU half alone. CUDA's half is opened when a worker starts (`src/worker/cuda.rs`), so
//! one program serves both. `surgcam` itself must start without libtorch; it tells workers which one to run with
//! (`src/machine/libtorch.rs`).

use std::env;
use std::path::Path;

/// Calls operators of libtorch that tch does not wrap.
const OPERATORS: &str = "src/worker/model/libtorch_operators.cpp";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH") else {
        println!("cargo:warning=LIBTORCH is not set; run `make libtorch` first");
        return;
    };
    compile(Path::new(&libtorch));
    let folder = Path::new(&libtorch).canonicalize().unwrap_or_else(|_| libtorch.clone().into());
    // For a worker that is started by hand, and for the tests of its own code.
    println!("cargo:rustc-link-arg-bin=surgcam-worker=-Wl,-rpath,{}", folder.join("lib").display());
}

/// Linked into the worker alone.
fn compile(libtorch: &Path) {
    println!("cargo:rerun-if-changed={OPERATORS}");
    let library = "surgcam_libtorch_operators";
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .cargo_metadata(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(libtorch.join("include"))
        .file(OPERATORS)
        .compile(library);
    let folder = env::var("OUT_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bin=surgcam-worker={folder}/lib{library}.a");
}
