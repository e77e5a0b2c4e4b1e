//! Devices and libtorch: what `surgcam doctor` finds, and its self-test.

use surgcam_testkit as common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, Said};

#[test]
fn a_gpu_that_cannot_be_had_is_named_with_what_is_missing() {
    if Path::new("/proc/driver/nvidia/version").exists() {
        eprintln!("skipped: this machine has an NVIDIA driver");
        return;
    }
    let place = Place::new();
    for command in [
        ["doctor", "--device", "cuda:0"].as_slice(),
        &["bench", "empty-plan", "--device", "cuda:0"],
    ] {
        let said = Said::from(place.surgcam(command).output().unwrap());
        if said.code == Some(0) {
            // Empty stages need no device.
            assert_eq!(command[0], "bench");
            continue;
        }
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(
            said.err.contains("there is no device cuda:0: the NVIDIA driver is missing"),
            "{}",
            said.err
        );
        assert!(
            said.err.contains("install the NVIDIA driver") && !said.err.contains("its log is"),
            "{}",
            said.err
        );
    }
    let said = place.run(&["doctor"], 0);
    assert!(
        said.out.contains("missing: the NVIDIA driver is missing")
            && said.out.contains("no device: "),
        "{}",
        said.out
    );
    assert!(said.out.contains("libtorch   2.11"), "{}", said.out);
}

#[test]
fn a_libtorch_that_cannot_be_used_is_named_with_what_is_wrong() {
    let place = Place::new();
    place.write("newer/version.py", "__version__ = '2.13.0+cu130'\n");
    place.write("newer/lib/libtorch_cpu.so", "");
    place.write("none/readme", "");
    for (folder, problem) in [
        ("newer", "it is torch 2.13.0+cu130, and torch 2.11 is needed"),
        ("none", "has no lib/libtorch_cpu.so"),
    ] {
        let said = Said::from(
            place
                .surgcam(&["doctor"])
                .env("SURGCAM_LIBTORCH", place.path(folder))
                .output()
                .unwrap(),
        );
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(
            said.err.contains(problem) && said.err.contains("SURGCAM_LIBTORCH"),
            "{}",
            said.err
        );
    }
}

/// A library in the place of libtorch's for CUDA, whose only gift is that there are two devices.
const CUDA_OF_TWO_DEVICES: &str = r#"
#include <ATen/detail/CUDAHooksInterface.h>
namespace at {
struct TwoDevices : CUDAHooksInterface {
  explicit TwoDevices(CUDAHooksArgs) {}
  bool hasCUDA() const override { return true; }
  DeviceIndex deviceCount() const override { return 2; }
  std::string showConfig() const override { return ""; }
};
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, TwoDevices)
}
"#;

/// A shared library of this C++.
fn compile(source: &Path, library: &Path, include: Option<&Path>) {
    let mut command = Command::new("c++");
    command.args(["-shared", "-fPIC", "-std=c++17", "-O0", "-D_GLIBCXX_USE_CXX11_ABI=1"]);
    command.args(include.map(|folder| format!("-I{}", folder.display())));
    assert!(command.arg(source).arg("-o").arg(library).status().unwrap().success());
}

/// The first question that libtorch is asked about CUDA settles for the whole process whether there
/// is one. So its library for CUDA must be open before anything asks, libtorch's own description of
/// itself included.
#[test]
fn cuda_is_opened_before_libtorch_is_asked_for_the_first_time() {
    let Some(torch) = std::env::var_os("LIBTORCH")
        .map(PathBuf::from)
        .filter(|torch| torch.join("lib/libtorch_cpu.so").is_file())
    else {
        eprintln!("skipped: LIBTORCH names no torch");
        return;
    };
    let place = Place::new();
    place.write("torch/version.py", "__version__ = '2.11.0'\n");
    place.write("torch/lib/readme", "");
    for entry in std::fs::read_dir(torch.join("lib")).unwrap().flatten() {
        let copy = place.path("torch/lib").join(entry.file_name());
        if std::fs::hard_link(entry.path(), &copy).is_err() && entry.path().is_file() {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
    // Some torches find libraries of their neighbours.
    if let Ok(neighbour) = torch.with_file_name("nvidia").canonicalize() {
        std::os::unix::fs::symlink(neighbour, place.path("nvidia")).unwrap();
    }
    let hooks = place.write("hooks.cpp", CUDA_OF_TWO_DEVICES);
    compile(&hooks, &place.path("torch/lib/libtorch_cuda.so"), Some(&torch.join("include")));
    place.write("driver/readme", "");
    compile(&place.write("driver.cpp", ""), &place.path("driver/libcuda.so.1"), None);
    let mut command = place.surgcam(&["doctor", "--device", "cuda:0"]);
    command
        .env("SURGCAM_LIBTORCH", place.path("torch"))
        .env("LD_LIBRARY_PATH", place.path("driver"))
        .env_remove("CUDA_VISIBLE_DEVICES");
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("2 devices"), "{}", said.out);
}

#[test]
fn the_self_test_passes_on_the_cpu_away_from_the_project_and_leaves_nothing() {
    let place = Place::new();
    let folder = place.path("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let said = Said::from(
        place
            .surgcam(&["doctor", "--self-test", "--device", "cpu", "--json"])
            .current_dir(&folder)
            .output()
            .unwrap(),
    );
    assert_eq!(said.code, Some(0), "{}\n{}", said.out, said.err);
    let result: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&result["passed"], &result["device"]), (&true.into(), &"cpu".into()));
    let checks = result["checks"].as_array().unwrap();
    let named = |name: &str, precision: &str| {
        checks.iter().any(|check| check["check"] == name && check["precision"] == precision)
    };
    for name in [
        "logits",
        "heat maps",
        "boxes",
        "L-FE",
        "LN-FE",
        "SL-FE, layer 3",
        "SL-FE, layer 4",
        "training, gradients",
        "L-FE, frame statistics",
    ] {
        assert!(named(name, "f32"), "{name}");
    }
    assert!(named("heat maps", "bf16") && named("SL-FE, layer 4", "f16"));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert!(!place.path("store").exists(), "the store is not the user's");
}
