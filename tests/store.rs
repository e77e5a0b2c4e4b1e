//! Nothing a user has is lost: kills, full disks, flipped bytes, stores that are shared and copied.

mod common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::{every_kind, small, sweep};
use rand::Rng;

/// Takes the whole process group with it, as a batch system does.
fn kill_group(child: &mut Child) {
    Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status().unwrap();
    child.wait().unwrap();
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
    // One thread: with more, a sum may come out in another order, and with it the last bits of a training.
    undisturbed.run(&["run", &file, "--threads", "1"], 0);
    let whole = begun.elapsed();
    let expected = undisturbed.tables_without_speed("every-kind");
    // Other moments each time: a moment that breaks something shall be met some day.
    let mut generator = surgcam::random::stream(&format!("kills/{}", std::process::id()));
    for kill in 0..kills() {
        let place = Place::new();
        let file = every_kind(&place, 12);
        let mut child =
            place.surgcam(&["run", &file, "--threads", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(generator.next_u32()) / f64::from(u32::MAX)));
        kill_group(&mut child);
        place.run(&["run", &file, "--threads", "1"], 0);
        assert_eq!(place.tables_without_speed("every-kind"), expected, "kill {kill}");
        place.run(&["store", "verify"], 0);
        place.run(&["store", "gc"], 0);
        assert_eq!(place.entries("tmp").len() + place.entries("locks").len() + place.entries("partial").len(), 0, "kill {kill}");
    }
}

/// The largest file of an object.
fn a_file_of(object: &Path) -> PathBuf {
    let files = walkdir::WalkDir::new(object).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().into_path()
}

/// Changes one byte and nothing else: not the size, not the time of modification. What a disk does, not a program.
fn flip_a_byte(path: &Path) {
    let before = std::fs::metadata(path).unwrap();
    let mut permissions = before.permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a test's own file")]
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    if bytes.is_empty() {
        bytes.push(1);
    } else {
        bytes[middle] ^= 1;
    }
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

/// Every output in the store, each object once: stage kind, output name, its place.
fn objects(place: &Place) -> Vec<(String, String, PathBuf)> {
    let mut found = Vec::new();
    for kind in place.entries("records") {
        for record in std::fs::read_dir(&kind).unwrap().flatten() {
            let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
            for (name, output) in record["outputs"].as_object().unwrap() {
                let kind = record["parts"]["kind"].as_str().unwrap().to_string();
                found.push((kind, name.clone(), object_path(place, &output["digest"].as_str().unwrap()["sha256:".len()..])));
            }
        }
    }
    found.sort_by(|a, b| a.2.cmp(&b.2));
    found.dedup_by(|a, b| a.2 == b.2);
    found
}

/// Of some output of a kind of stage.
fn digest_of(place: &Place, kind: &str) -> String {
    let object = objects(place).into_iter().find(|(of, _, _)| of == kind).unwrap().2;
    object.file_name().unwrap().to_str().unwrap().to_string()
}

fn object_path(place: &Place, digest: &str) -> PathBuf {
    place.path("store/objects").join(&digest[..2]).join(digest)
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
        assert!(said.out.contains(object.file_name().unwrap().to_str().unwrap()), "{kind} {name} was not found");
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
        let flipped: Vec<PathBuf> =
            objects(&place).into_iter().filter(|(of, name, _)| of == kind && name == output).map(|(_, _, path)| path).collect();
        assert!(!flipped.is_empty(), "{kind} {output}");
        flipped.iter().for_each(|object| flip_a_byte(&a_file_of(object)));
        let said = place.run(arguments, 1);
        assert!(said.err.contains("has changed since it was written"), "{kind} {output}: {}", said.err);
        assert!(flipped.iter().any(|object| !object.exists()), "{kind} {output} is out of use");
        // What is broken and was not used is found here.
        place.surgcam(&["store", "verify"]).output().unwrap();
        place.run(&["run", &file], 0);
        place.run(arguments, 0);
    }
    // A file that somebody wrote to is found by a glance, and made anew.
    place.run(&["run", &file], 0);
    let key =
        place.run_record("small")["plan"]["stages"].as_array().unwrap().iter().find(|stage| stage["kind"] == "evaluate").unwrap().clone();
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
    let file = sweep(&place, "kept", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
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
    assert!(said.out.contains("output metrics.json of:") && said.out.contains("from train tiny"), "{}", said.out);
    place.run(&["store", "why", "123456789"], 2);
}

#[test]
fn gc_waits_for_nobody_who_works() {
    let place = Place::new();
    let file = small(&place, "");
    let mut child = place.surgcam(&["run", &file, "--set", "model.epochs=100000"]).stderr(Stdio::null()).process_group(0).spawn().unwrap();
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
    let listing =
        || walkdir::WalkDir::new(place.path("common")).sort_by_file_name().into_iter().flatten().map(|e| e.into_path()).collect::<Vec<_>>();
    let before = listing();
    let run = |arguments: &[&str]| {
        let output = place.surgcam(arguments).env("SURGCAM_SHARED_STORE", place.path("common")).output().unwrap();
        let said = common::Said::from(output);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said
    };
    assert!(run(&["run", &file]).err.contains("nothing to run"));
    run(&["run", &file, "--set", "extraction.roi_threshold=0.5", "--set", "experiment.speed=false"]);
    assert!(!place.executed_kinds("small").contains(&"train".to_string()));
    assert_eq!(listing(), before);
    assert!(place.entries("objects").len() > 1);
}

#[test]
fn what_is_pushed_to_a_folder_is_pulled_elsewhere() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    transfer(&place, &file, place.path("remote").to_str().unwrap(), &[]);
    // A copy that is broken there is not taken.
    let digest = digest_of(&place, "train");
    let copy = place.path("remote/objects").join(&digest[..2]).join(&digest);
    std::fs::write(a_file_of(&copy), "another").unwrap();
    std::fs::remove_dir_all(place.path("store")).unwrap();
    let said = place.run(&["store", "pull", place.path("remote").to_str().unwrap()], 1);
    assert!(said.err.contains("is not the object"), "{}", said.err);
    place.run(&["store", "verify"], 0);
}

/// Pushes, pushes again, forgets everything, pulls, and runs: nothing is left to run.
fn transfer(place: &Place, file: &str, address: &str, variables: &[(&str, &str)]) {
    let run = |arguments: &[&str]| {
        let said = common::Said::from(place.surgcam(arguments).envs(variables.iter().copied()).output().unwrap());
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        said
    };
    assert!(run(&["store", "push", address]).out.contains("pushed 14 stages"));
    assert!(run(&["store", "push", address, file]).out.contains("pushed 0 stages"));
    let kept = place.path("kept");
    std::fs::rename(place.path("store"), &kept).unwrap();
    // What a device said of itself is this machine's, and not pulled.
    assert!(run(&["store", "pull", address, file]).out.contains("pulled 14 stages"));
    assert!(run(&["run", file]).err.contains("nothing to run"));
    run(&["store", "verify"]);
    std::fs::remove_dir_all(place.path("store")).unwrap();
    std::fs::rename(kept, place.path("store")).unwrap();
}

/// A local server that speaks S3, ended when dropped; `None` with a message where none can be had.
struct S3Server {
    child: Child,
    port: u16,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn s3_server() -> Option<S3Server> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3/bin/python");
    let succeeds =
        |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !succeeds(Command::new(&python).args(["-c", "import moto.server, flask"])) {
        let folder = python.parent().unwrap().parent().unwrap();
        let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(folder))
            && succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "moto[s3,server]==5.1.*"]));
        if !made {
            eprintln!("skipped: no S3 server (moto) could be installed");
            return None;
        }
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(&python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = S3Server { child, port };
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the S3 server does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(server)
}

#[test]
fn what_is_pushed_to_s3_is_pulled_elsewhere() {
    let Some(server) = s3_server() else { return };
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    make_bucket(server.port);
    let variables = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "something"),
        ("AWS_REGION", "us-east-1"),
    ];
    transfer(&place, &file, "s3://lab/stores/one", &variables);
}

/// `PUT /lab`: the server asks for no signature.
fn make_bucket(port: u16) {
    use std::io::{Read, Write};
    let mut connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(b"PUT /lab HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, megabytes: usize) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).stderr(Stdio::null()).status();
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
    assert_eq!(place.tables_without_speed("every-kind"), undisturbed.tables_without_speed("every-kind"));
}
