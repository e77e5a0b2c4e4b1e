//! Weights, captioners and pictures of somebody else: what they claim is not believed, and what is
//! no file is not waited for.

use surgcam_testkit as common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::experiments::{sweep, with_heads};
use common::pytorch::{Described, memo_bomb, state_dict, zip_form};
use common::{Place, Said, picture};
use serde_json::{Value, json};

/// What the program and its worker may take: enough for an honest run, less than the files below
/// once made of themselves.
const MEMORY: u64 = 7 << 29;
/// How long a command may take before it counts as waiting for something.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the program with limited memory and time, and expects this exit code and no defect.
fn run_limited(place: &Place, arguments: &[&str], code: i32) -> Said {
    let mut command = place.surgcam(arguments);
    let limit = || {
        let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
        // SAFETY: the call only reads the structure that it is given.
        if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec there is nothing but that call.
    unsafe { command.pre_exec(limit) };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("surgcam {arguments:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(
        said.code,
        Some(code),
        "surgcam {arguments:?}\nstdout:\n{}\nstderr:\n{}",
        said.out,
        said.err
    );
    assert!(!said.err.contains("defect of surgcam"), "{}", said.err);
    said
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let place = Place::new();
    let weights = place.path("given.safetensors");
    common::write_weights(&weights, [1, 1, 1, 1], false, 11, 3);
    let mut bytes = std::fs::read(&weights).unwrap();
    // The last value of the file, whichever tensor it belongs to.
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let given = format!(
        "[model.given]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\n\
         weights = {weights:?}\n"
    );
    let experiment = sweep(
        &place,
        "nan",
        "",
        &format!("{given}[matrix]\nmodel = [\"given\"]\nextraction = [\"sl-fe\"]\n"),
    );
    let said = run_limited(&place, &["run", &experiment], 1);
    assert!(
        said.err.contains("has values that are not finite numbers")
            && said.err.contains("given.safetensors"),
        "{}",
        said.err
    );
}

#[test]
fn weights_that_claim_more_than_they_are_fail_in_words_and_take_no_memory() {
    let place = Place::new();
    let weights = place.path("weights.pth");
    let rest = format!(
        "[model.given]\nextends = \"tiny\"\ntrain = \"none\"\nweights = {weights:?}\n\
         [matrix]\nmodel = [\"given\"]\nextraction = [\"sl-fe\"]\n"
    );
    let file = sweep(&place, "given", "tables = [\"extraction\"]\n", &rest);
    let vast =
        Described { name: "conv1.weight", key: "0", length: 1, size: &[1 << 32], stride: &[0] };
    let tuples = [b"N".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("a memo bomb", zip_form(&memo_bomb(60), &[]), "it holds no dict of tensors"),
        ("a million tuples in each other", zip_form(&tuples, &[]), "nested deeper than"),
        (
            "4,294,967,296 views of one number",
            zip_form(&state_dict(&[vast]), &[("0", &[0; 4])]),
            "has the shape [4294967296]",
        ),
        (
            "a header of a terabyte",
            [&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(),
            "header claims 1099511627776 bytes",
        ),
        (
            "half an archive",
            zip_form(&state_dict(&[]), &[])[..100].to_vec(),
            "cannot read it as weights",
        ),
    ];
    for (what, content, expected) in cases {
        std::fs::write(&weights, content).unwrap();
        let said = run_limited(&place, &["run", &file], 1);
        assert!(
            said.err.contains(expected) && said.err.contains("weights.pth"),
            "{what}: {}",
            said.err
        );
    }
}

/// A captioner and a graph of a small model.
fn exported(place: &Place) -> PathBuf {
    let settings = "heads = [\"tiny-caption\", \"tiny-interaction\"]\nspeed = false\n\
        tables = [\"extraction\"]\n";
    let rest = "[set]\nextraction.present = [2, 10]\n[matrix]\nmodel = [\"tiny\"]\n\
        extraction = [\"sl-fe\"]";
    let file = with_heads(place, "exported", settings, rest);
    let out = place.path("captioners");
    place.run(&["export", "captioners", &file, "--out", out.to_str().unwrap()], 0);
    out.join("tiny/sl-fe_roi0.3_pool512")
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_captioner_that_somebody_edited_fails_in_words() {
    let place = Place::new();
    let captioner = exported(&place);
    let one = place.path("one.png");
    picture(1).save(&one).unwrap();
    let arguments = ["caption", "--checkpoint", captioner.to_str().unwrap(), one.to_str().unwrap()];
    run_limited(&place, &arguments, 0);
    let cases = [
        ("captioner.json", "/extraction/architecture/classes", json!(0), "`classes` is 0", 2),
        ("captioner.json", "/classes", json!([]), "it names 0 classes", 2),
        ("captioner.json", "/image_size", json!([0, 0]), "not a picture size", 2),
        ("captioner.json", "/heads/search/beam", json!(0), "`beam` is 0", 2),
        ("captioner.json", "/heads/caption_regions", json!(1u64 << 40), "`caption_regions`", 2),
        (
            "captioner.json",
            "/extraction/regions/cam/present",
            json!([99]),
            "names a class beyond",
            2,
        ),
        ("caption/head.json", "/attention_heads", json!(0), "`attention_heads` is 0", 1),
        ("interact/head.json", "/attention_heads", json!(0), "`attention_heads` is 0", 1),
        ("interact/head.json", "/classes", json!(3), "class_embedding", 1),
        ("caption/vocabulary.json", "", json!([]), "a vocabulary starts with", 1),
    ];
    for (name, pointer, value, expected, code) in cases {
        let path = captioner.join(name);
        let before = std::fs::read(&path).unwrap();
        let mut settings: Value = serde_json::from_slice(&before).unwrap();
        *settings.pointer_mut(pointer).unwrap() = value;
        std::fs::write(&path, settings.to_string()).unwrap();
        let said = run_limited(&place, &arguments, code);
        let part = name.split('/').next().unwrap();
        assert!(
            said.err.contains(expected) && said.err.contains(part),
            "{name} {pointer}: {}",
            said.err
        );
        std::fs::write(&path, before).unwrap();
    }

    // Another network's tensors in the backbone's file.
    let backbone = captioner.join("backbone.safetensors");
    common::write_weights(&backbone, [1, 1, 1, 1], false, 9, 3);
    let said = run_limited(&place, &arguments, 1);
    assert!(said.err.contains("the weights have 9 classes"), "{}", said.err);

    std::fs::remove_file(&backbone).unwrap();
    pipe(&backbone);
    let said = run_limited(&place, &arguments, 1);
    assert!(
        said.err.contains("backbone.safetensors") && said.err.contains("not a regular file"),
        "{}",
        said.err
    );
}

#[test]
fn pipes_and_devices_are_no_pictures() {
    let place = Place::new();
    let captioner = exported(&place);
    let pictures = place.path("pictures");
    std::fs::create_dir(&pictures).unwrap();
    picture(1).save(pictures.join("good.png")).unwrap();
    pipe(&pictures.join("pipe.png"));
    std::os::unix::fs::symlink("/dev/zero", pictures.join("zeros.png")).unwrap();
    let caption = |pictures: &Path, code| {
        run_limited(
            &place,
            &["caption", "--checkpoint", captioner.to_str().unwrap(), pictures.to_str().unwrap()],
            code,
        )
    };
    for path in [pictures.join("pipe.png"), pictures.join("zeros.png")] {
        let said = caption(&path, 2);
        assert!(said.err.contains("not a regular file"), "{}", said.err);
    }
    let said = caption(&pictures, 1);
    assert_eq!(said.out.matches("not a regular file").count(), 2, "{}", said.out);
    assert!(
        said.out.contains("good.png  (") && said.err.contains("2 of 3 pictures could not be read"),
        "{}\n{}",
        said.out,
        said.err
    );
}
