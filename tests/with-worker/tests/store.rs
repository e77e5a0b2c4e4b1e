//! Nothing a user has is lost: kills, full disks, flipped bytes, stores that are shared, garbage
//! that is none.

use surgcam_testkit as common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::{every_kind, small, sweep};
use common::objects::{a_file_of, digest_of, flip_a_byte, object_path, objects};
use rand::Rng;

/// Takes the program and its workers, which are process groups of their own, at once: as a batch
/// system does, or the power.
fn kill_group(child: &mut Child) {
    let groups = [child.id()].into_iter().chain(children_of(child.id())).map(|id| format!("-{id}"));
    Command::new("kill").args(["-KILL", "--"]).args(groups).stderr(Stdio::null()).status().unwrap();
    child.wait().unwrap();
}

fn children_of(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

/// How often the program is killed; 50 for the whole proof, which takes some minutes.
fn kills() -> usize {
    std::env::var("SURGCAM_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(6)
}

#[test]
fn runs_killed_at_any_moment_end_with_the_same_tables() {
    let undisturbed = Place::new();
    let file = every_kind(&undisturbed, 12);
    let begun = Instant::now();
    // One thread: with more, a sum may come out in another order, and with it the last bits of a
    // training.
    undisturbed.run(&["run", &file, "--threads", "1"], 0);
    let whole = begun.elapsed();
    let expected = undisturbed.tables_without_speed("every-kind");
    // Other moments each time: a moment that breaks something shall be met some day.
    let mut generator = surgcam_frames::random::stream(&format!("kills/{}", std::process::id()));
    for kill in 0..kills() {
        let place = Place::new();
        let file = every_kind(&place, 12);
        let mut child = place
            .surgcam(&["run", &file, "--threads", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(generator.next_u32()) / f64::from(u32::MAX)));
        kill_group(&mut child);
        place.run(&["run", &file, "--threads", "1"], 0);
        assert_eq!(place.tables_without_speed("every-kind"), expected, "kill {kill}");
        place.run(&["store", "verify"], 0);
        place.run(&["store", "gc"], 0);
        assert_eq!(
            place.entries("tmp").len()
                + place.entries("locks").len()
                + place.entries("partial").len(),
            0,
            "kill {kill}"
        );
    }
}

#[test]
fn a_flipped_byte_in_any_kind_of_object_is_found_by_verify_and_remade() {
    let place = Place::new();
    let file = every_kind(&place, 1);
    place.run(&["run", &file], 0);
    let expected = place.tables_without_speed("every-kind");
    let objects = objects(&place);
    assert!(objects.len() > 40, "{objects:?}");
    objects.iter().for_each(|(_, _, object)| flip_a_byte(&a_file_of(object)));
    let said = place.run(&["store", "verify"], 1);
    for (kind, name, object) in &objects {
        assert!(
            said.out.contains(object.file_name().unwrap().to_str().unwrap()),
            "{kind} {name} was not found"
        );
    }
    place.run(&["run", &file], 0);
    assert_eq!(place.tables_without_speed("every-kind"), expected);
    place.run(&["store", "verify"], 0);
}

#[test]
fn a_flipped_byte_is_found_by_use() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    // Whoever reads the output: a stage with another value, or a command.
    let uses: [(&str, &str, &[&str]); 8] = [
        ("sample", "sample", &["run", &file, "--set", "data.image_size=[32, 64]"]),
        ("index", "pictures.jsonl", &["run", &file, "--set", "data.image_size=[32, 96]"]),
        ("index", "index", &["run", &file, "--set", "model.batch_size=2"]),
        ("pack", "pack", &["run", &file, "--set", "model.batch_size=4"]),
        ("train", "checkpoint.safetensors", &["run", &file, "--set", "extraction.pool=32"]),
        ("heat-maps", "heat-maps", &["run", &file, "--set", "extraction.roi_threshold=0.4"]),
        ("extract", "features", &["run", &file, "--set", "head.ridge=2.0"]),
        ("score", "metrics.json", &["table", &file]),
    ];
    for (kind, output, arguments) in uses {
        let flipped: Vec<PathBuf> = objects(&place)
            .into_iter()
            .filter(|(of, name, _)| of == kind && name == output)
            .map(|(_, _, path)| path)
            .collect();
        assert!(!flipped.is_empty(), "{kind} {output}");
        flipped.iter().for_each(|object| flip_a_byte(&a_file_of(object)));
        let said = place.run(arguments, 1);
        assert!(
            said.err.contains("has changed since it was written"),
            "{kind} {output}: {}",
            said.err
        );
        assert!(flipped.iter().any(|object| !object.exists()), "{kind} {output} is out of use");
        // What is broken and was not used is found here.
        place.surgcam(&["store", "verify"]).output().unwrap();
        place.run(&["run", &file], 0);
        place.run(arguments, 0);
    }
    // A file that was written to is found by its modification time alone, and made again.
    place.run(&["run", &file], 0);
    let key = place.run_record("small")["plan"]["stages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|stage| stage["kind"] == "evaluate")
        .unwrap()
        .clone();
    let digest = key["outputs"]["metrics.json"].as_str().unwrap()["sha256:".len()..].to_string();
    let path = object_path(&place, &digest);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "{}").unwrap();
    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("small"), ["evaluate"]);
}

#[test]
fn gc_keeps_what_is_needed_and_frees_the_rest() {
    let place = Place::new();
    let file =
        sweep(&place, "kept", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.run(&["run", &file], 0);
    place.run(&["run", &file, "--set", "model.seed=7"], 0);
    std::fs::create_dir(place.path("store/tmp/left-over")).unwrap();
    let said = place.run(&["store", "gc", "--keep-runs", "1", "--dry-run"], 0);
    assert!(said.out.contains("would free 2 of 7 finished stages"), "{}", said.out);
    assert!(place.path("store/tmp/left-over").exists());
    let said = place.run(&["store", "gc", "--keep-runs", "1"], 0);
    assert!(said.out.contains("freed 2 of 7 finished stages"), "{}", said.out);
    assert!(!place.path("store/tmp/left-over").exists());
    let said = place.run(&["run", &file, "--set", "model.seed=7"], 0);
    assert!(said.err.contains("nothing to run"), "{}", said.err);
    place.run(&["store", "verify"], 0);
    let said = place.run(&["store", "why", &digest_of(&place, "evaluate")], 0);
    assert!(
        said.out.contains("output metrics.json of:") && said.out.contains("from train tiny"),
        "{}",
        said.out
    );
    place.run(&["store", "why", "123456789"], 2);
}

#[test]
fn gc_after_pictures_keeps_all_of_an_experiment_that_lies_elsewhere() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    let picture = place.path("view.png");
    for _ in 0..3 {
        place.run(&["view", &file, "--out", picture.to_str().unwrap()], 0);
    }
    let said = place.run(&["store", "gc", "--keep-runs", "2"], 0);
    assert!(said.out.contains("freed 0 of 15 finished stages"), "{}", said.out);
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
}

#[test]
fn gc_keeps_what_a_killed_run_finished_and_how_far_it_came() {
    let place = Place::new();
    let file = small(&place, "");
    let endless = ["run", &file, "--set", "model.epochs=100000"];
    let mut child = place
        .surgcam(&endless)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let has_snapshot =
        || place.entries("partial").iter().any(|folder| folder.join("newest.json").exists());
    let begun = Instant::now();
    while !has_snapshot() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no epoch was noted");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_group(&mut child);
    let kinds = place.entries("records").len();
    assert!(kinds >= 3, "data were drawn, listed and packed");
    let said = place.run(&["store", "gc", "--keep-runs", "1"], 0);
    assert!(said.out.contains("freed 0 of"), "{}", said.out);
    assert!(has_snapshot());
    let said = place.run(&["plan", &file, "--set", "model.epochs=100000"], 0);
    let packed = said.out.lines().find(|line| line.starts_with("pack ")).unwrap();
    assert!(packed.ends_with("cached"), "{packed}");
    // Once another run is the last one, nobody goes on from there.
    place.run(&["run", &file], 0);
    place.run(&["store", "gc", "--keep-runs", "1"], 0);
    assert!(!has_snapshot());
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
}

#[test]
fn gc_waits_for_nobody_who_works() {
    let place = Place::new();
    let file = small(&place, "");
    let mut child = place
        .surgcam(&["run", &file, "--set", "model.epochs=100000"])
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    while place.entries("partial").is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = place.run(&["store", "gc"], 1);
    assert!(said.err.contains("other runs use the store"), "{}", said.err);
    kill_group(&mut child);
}

#[test]
fn a_common_store_is_read_from_and_left_as_it_is() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    std::fs::rename(place.path("store"), place.path("common")).unwrap();
    let before = listing(&place.path("common"));
    let run = |arguments: &[&str]| {
        let output = place
            .surgcam(arguments)
            .env("SURGCAM_SHARED_STORE", place.path("common"))
            .output()
            .unwrap();
        let said = common::Said::from(output);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said
    };
    assert!(run(&["run", &file]).err.contains("nothing to run"));
    run(&[
        "run",
        &file,
        "--set",
        "extraction.roi_threshold=0.5",
        "--set",
        "experiment.speed=false",
    ]);
    assert!(!place.executed_kinds("small").contains(&"train".to_string()));
    assert_eq!(listing(&place.path("common")), before);
    assert!(place.entries("objects").len() > 1);
}

/// Everything below a folder: path, size, time of modification.
fn listing(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let entries =
        walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            (entry.into_path(), metadata.len(), metadata.modified().unwrap())
        })
        .collect()
}

fn change_mode(folder: &Path, mode: &str) {
    assert!(Command::new("chmod").args(["-R", mode]).arg(folder).status().unwrap().success());
}

#[test]
fn a_broken_object_in_a_common_store_is_made_anew_in_ones_own() {
    let place = Place::new();
    let file = small(&place, "");
    // With one thread, what is made again has the same bits.
    place.run(&["run", &file, "--threads", "1"], 0);
    let is_checkpoint = |(kind, name, _): &(String, String, PathBuf)| {
        kind == "train" && name == "checkpoint.safetensors"
    };
    let checkpoint = objects(&place).into_iter().find(is_checkpoint).unwrap().2;
    let common = place.path("common");
    std::fs::rename(place.path("store"), &common).unwrap();
    let broken = common.join(checkpoint.strip_prefix(place.path("store")).unwrap());
    flip_a_byte(&broken);
    let broken_bytes = std::fs::read(&broken).unwrap();
    change_mode(&common, "a-w");
    let before = listing(&common);
    let run = |more: &[&str], code: i32| {
        let arguments =
            [&["run", &file, "--threads", "1", "--set", "experiment.speed=false"], more].concat();
        let said = common::Said::from(
            place.surgcam(&arguments).env("SURGCAM_SHARED_STORE", &common).output().unwrap(),
        );
        assert_eq!(said.code, Some(code), "{}", said.err);
        said.err
    };
    let other_features = ["--set", "extraction.pool=32"];
    let said = run(&other_features, 1);
    assert!(
        said.contains("has changed since it was written") && said.contains("in your own store"),
        "{said}"
    );
    let said = run(&other_features, 0);
    assert!(place.executed_kinds("small").contains(&"train".to_string()), "{said}");
    // Its history tells how long each epoch took.
    assert!(said.contains("train tiny: made again"), "{said}");
    assert!(checkpoint.exists(), "the copy that is used now");
    assert!(run(&other_features, 0).contains("nothing to run"));
    place.run(&["store", "verify"], 0);
    assert_eq!(listing(&common), before);
    assert_eq!(std::fs::read(&broken).unwrap(), broken_bytes);
    change_mode(&common, "u+w");
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, megabytes: usize) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(SmallDisk(folder));
        }
        eprintln!("skipped: a small disk cannot be mounted here (it takes the rights of root)");
        None
    }

    fn grow(&self, megabytes: usize) {
        let size = format!("remount,size={megabytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_the_run_goes_on_once_there_is_room() {
    let undisturbed = Place::new();
    undisturbed.run(&["run", &every_kind(&undisturbed, 1)], 0);
    let place = Place::new();
    let file = every_kind(&place, 1);
    let Some(disk) = SmallDisk::mount(place.path("store"), 1) else { return };
    for megabytes in [1, 5, 25, 45] {
        disk.grow(megabytes);
        let said = place.run(&["run", &file], 1);
        assert!(said.err.contains("No space left"), "{megabytes} MB: {}", said.err);
        assert!(said.err.contains("free some room"), "{megabytes} MB: {}", said.err);
        assert!(!said.err.contains("panicked"), "{megabytes} MB: {}", said.err);
    }
    disk.grow(400);
    place.run(&["store", "verify"], 0);
    place.run(&["run", &file], 0);
    assert_eq!(
        place.tables_without_speed("every-kind"),
        undisturbed.tables_without_speed("every-kind")
    );
}
