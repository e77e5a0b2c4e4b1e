//! Compiles the parts of the worker that are in C++, and links the worker against libtorch.
//!
//! The worker is linked only against the part of libtorch for the CPU. The part for CUDA is opened
//! when a worker starts (`cuda.rs`), so one program serves both. The program that starts a worker
//! chooses the libtorch (`src/engine/machine/libtorch.rs`).

use std::env;
use std::path::Path;

/// Call what of libtorch tch does not wrap.
const SOURCES: [&str; 4] =
    ["model/libtorch_operators.cpp", "cuda/graph.cpp", "cuda/memory.cpp", "cuda/streams.cpp"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    SOURCES.iter().for_each(|source| println!("cargo:rerun-if-changed={source}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(libtorch) = env::var_os("LIBTORCH") else {
        println!("cargo:warning=LIBTORCH is not set; run `make libtorch` first");
        return;
    };
    let libtorch = Path::new(&libtorch);
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include(libtorch.join("include"))
        .files(SOURCES)
        .compile("surgcam_libtorch_operators");
    // For a worker that is started by hand, and for the tests of its own code.
    let libraries = libtorch.canonicalize().unwrap_or_else(|_| libtorch.into()).join("lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
    // Told to the build scripts of packages that link the worker into programs of their own
    // (DEP_SURGCAM_WORKER_LIBRARIES).
    println!("cargo:libraries={}", libraries.display());
}
