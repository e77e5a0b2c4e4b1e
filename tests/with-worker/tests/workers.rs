//! Workers that cannot start, hang, say what nobody understands, or run where nothing can be
//! written; and what `doctor` says of them. No run waits for such a worker without end, and the
//! message names the cause.

use surgcam_testkit as common;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::experiments::sweep;
use common::fuzzing::in_limited_process;
use common::{Place, Said};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{NewStage, Plan, Resource};
use surgcam_engine::runner::events::Silent;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::worker_command::WorkerCommand;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options};
use surgcam_engine::store::Store;
use surgcam_pipeline::kinds::{EmptyInputs, EmptyStage};

/// Three stages that make nothing.
const EMPTY_PLAN: [&str; 4] = ["bench", "empty-plan", "--stages", "3"];

/// A program in the worker's place.
fn script(place: &Place, text: &str) -> PathBuf {
    let path = place.write("worker", &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run_with(place: &Place, worker: &Path, arguments: &[&str]) -> Said {
    let mut command = place.surgcam(arguments);
    Said::from(
        command.env("SURGCAM_WORKER", worker).env("SURGCAM_SILENCE_SECONDS", "1").output().unwrap(),
    )
}

#[test]
fn a_worker_that_says_nothing_is_a_hang_and_is_named_so() {
    let place = Place::new();
    for text in ["exec sleep 600", "echo '{\"message\":\"alive\"}'; exec sleep 600"] {
        let said = run_with(&place, &script(&place, text), &EMPTY_PLAN);
        assert_eq!(said.code, Some(1));
        assert!(
            said.err.contains("the worker hangs: it has said nothing for 1 s and was ended"),
            "{}",
            said.err
        );
        assert!(said.err.contains("raise silence_seconds"), "{}", said.err);
    }
    let said = run_with(&place, &script(&place, "exec sleep 600"), &["doctor"]);
    assert!(said.code == Some(1) && said.err.contains("the worker hangs"), "{}", said.err);
}

#[test]
fn a_worker_that_is_slow_but_alive_is_waited_for() {
    let place = Place::new();
    let real = common::worker().display().to_string();
    // Three times as long as the silence that is a hang.
    let slow = format!(
        "for turn in 1 2 3 4 5 6; do echo '{{\"message\":\"alive\"}}'; sleep 0.5; done\nexec {real} \"$@\""
    );
    let said = run_with(&place, &script(&place, &slow), &EMPTY_PLAN);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn an_endless_line_ends_its_worker_and_not_the_run() {
    let place = Place::new();
    let said = run_with(&place, &script(&place, "exec cat /dev/zero"), &EMPTY_PLAN);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the worker wrote a line of more than 64 MB"), "{}", said.err);
}

#[test]
fn an_interruption_ends_a_worker_that_hangs() {
    let place = Place::new();
    let worker = script(&place, "trap '' TERM\nexec sleep 600");
    let experiment =
        sweep(&place, "hangs", "", "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]");
    let mut command = place.surgcam(&["run", &experiment]);
    let child = command
        .env("SURGCAM_WORKER", &worker)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hanging = worker_of(&child);
    // SAFETY: a plain signal to a child of ours.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    // Whoever waited for the worker would wait for ten minutes.
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(!Path::new(&format!("/proc/{hanging}")).exists(), "the worker is left behind");
}

#[test]
fn what_a_worker_has_started_ends_with_it() {
    let place = Place::new();
    let pid = place.path("pid");
    let said = run_with(
        &place,
        &script(&place, &format!("sleep 600 &\necho $! > {}\nwait", pid.display())),
        &EMPTY_PLAN,
    );
    assert!(said.err.contains("the worker hangs"), "{}", said.err);
    let child = std::fs::read_to_string(&pid).unwrap();
    // It was killed, and needs a moment to be gone. One that lives would need ten minutes.
    for _ in 0..3000 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.trim())).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the worker's child lives on");
}

/// The process of the first worker that a run starts.
fn worker_of(run: &Child) -> String {
    let children = PathBuf::from(format!("/proc/{0}/task/{0}/children", run.id()));
    loop {
        let found = std::fs::read_to_string(&children).unwrap();
        for child in found.split_whitespace() {
            let command = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if command.starts_with(b"sleep\x00600") {
                return child.to_string();
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The real worker, started by hand.
fn worker(place: &Place, device: &str) -> Command {
    let mut command = Command::new(common::worker());
    command
        .args(["--device", device, "--threads", "1", "--machine-wait-seconds", "1", "--store"])
        .arg(place.path("store"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn garbage_on_a_workers_stdin_is_a_failure_that_it_names() {
    let place = Place::new();
    let mut child = worker(&place, "cpu").spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"what is this?\n").unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("does not understand what it was told: what is this?"),
        "{}",
        said.err
    );
}

#[test]
fn a_log_that_cannot_be_written_takes_no_cause_with_it() {
    let full = || File::options().write(true).open("/dev/full");
    if full().is_err() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let place = Place::new();
    let mut child = worker(&place, "cpu").stderr(full().unwrap()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let key = format!("sha256:{}", "0".repeat(64));
    let parts = "{\"kind\":\"unheard-of\",\"version\":1,\"parameters\":{},\"inputs\":{}}";
    let job = format!(
        "{{\"stages\":[{{\"key\":\"{key}\",\"name\":\"x\",\"parts\":{parts},\"places\":{{}}}}]}}\n"
    );
    stdin.write_all(job.as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let failed = lines
        .find(|line| line.contains("\"failed\""))
        .expect("the failure is told though the log is full");
    assert!(failed.contains("this worker knows no stage `unheard-of`"), "{failed}");
    drop(stdin);
    assert!(child.wait().unwrap().success(), "it goes on until the runner has no more");
}

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

/// What a worker of this build says while it makes two stages.
fn spoken(place: &Place) -> Vec<u8> {
    let heard = place.path("heard");
    let real = common::worker().display().to_string();
    let listening = script(place, &format!("{real} \"$@\" | tee {}", heard.display()));
    assert_eq!(
        run_with(place, &listening, &["bench", "empty-plan", "--stages", "2"]).code,
        Some(0)
    );
    std::fs::read(heard).unwrap()
}

#[test]
fn fuzz_what_a_worker_says() {
    let place = Place::new();
    let seeds = [
        spoken(&place),
        b"{\"message\":\"progress\",\"done\":1,\"total\":2,\"unit\":\"frames\"}\n".to_vec(),
    ];
    let line = place.path("said");
    let program = script(&place, &format!("exec cat {}", line.display()));
    let store = Store::open(&place.path("runs-store"), None).unwrap();
    let command = WorkerCommand {
        program,
        device: "cpu".into(),
        threads: 1,
        visible_gpu: None,
        libtorch: None,
        silence: Duration::from_secs(4),
        machine_wait_seconds: 1,
        memory_hint: "",
    };
    in_limited_process("fuzz_what_a_worker_says", &seeds, |input| {
        std::fs::write(&line, input).unwrap();
        let mut plan = Plan::default();
        let inputs = EmptyInputs { before: None };
        let first = plan.add(NewStage::new(
            "empty 0".into(),
            &EmptyStage { number: 0 },
            inputs,
            Resource::Processor,
        ));
        let inputs = EmptyInputs { before: Some(first.output(EmptyStage::NOTHING)) };
        plan.add(NewStage::new(
            "empty 1".into(),
            &EmptyStage { number: 1 },
            inputs,
            Resource::Processor,
        ));
        let options =
            Options::local(vec![command.clone()], LogFolder::Temporary(place.folder.path()));
        let known = Known::of(&plan, &store).unwrap();
        // Whatever was said, the run ends, as a failure or with what a worker claims to have made.
        let _ = runner::run(&plan, known, &store, &options, &Interrupt::default(), &mut Silent);
    });
}
