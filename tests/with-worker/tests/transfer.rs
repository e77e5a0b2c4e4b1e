//! What is pushed to a folder or a bucket is pulled elsewhere, whole or not at all.

use surgcam_testkit as common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::small;
use common::objects::{a_file_of, digest_of, flip_a_byte};

#[test]
fn what_is_pushed_to_a_folder_is_pulled_elsewhere() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    transfer(&place, &file, place.path("remote").to_str().unwrap(), &[]);
    // A copy of another size is replaced by the next push, any other by one that is told to.
    let digest = digest_of(&place, "train");
    let remote = place.path("remote");
    let copy = remote.join("objects").join(&digest[..2]).join(&digest);
    std::fs::write(a_file_of(&copy), "another").unwrap();
    let push = |more: &[&str]| {
        place.run(&[&["store", "push", remote.to_str().unwrap()], more].concat(), 0).out
    };
    assert!(push(&[]).contains("pushed 0 stages, 1 objects"));
    flip_a_byte(&a_file_of(&copy));
    assert!(push(&[]).contains("pushed 0 stages, 0 objects"));
    assert!(push(&["--again"]).contains("pushed 15 stages"));
    // A copy that is broken there is not taken.
    flip_a_byte(&a_file_of(&copy));
    std::fs::remove_dir_all(place.path("store")).unwrap();
    let said = place.run(&["store", "pull", place.path("remote").to_str().unwrap()], 1);
    assert!(said.err.contains("is not the object"), "{}", said.err);
    place.run(&["store", "verify"], 0);
}

/// Pushes, pushes again, forgets everything, pulls, and runs: nothing is left to run.
fn transfer(place: &Place, file: &str, address: &str, variables: &[(&str, &str)]) {
    let run = |arguments: &[&str]| {
        let said = common::Said::from(
            place.surgcam(arguments).envs(variables.iter().copied()).output().unwrap(),
        );
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        said
    };
    assert!(run(&["store", "push", address]).out.contains("pushed 15 stages"));
    assert!(run(&["store", "push", address, file]).out.contains("pushed 0 stages"));
    let kept = place.path("kept");
    std::fs::rename(place.path("store"), &kept).unwrap();
    // What a device said of itself is this machine's, and not pulled.
    assert!(run(&["store", "pull", address, file]).out.contains("pulled 15 stages"));
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
    let succeeds = |command: &mut Command| {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !succeeds(Command::new(&python).args(["-c", "import moto.server, flask"])) {
        let folder = python.parent().unwrap().parent().unwrap();
        let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(folder))
            && succeeds(Command::new(&python).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "moto[s3,server]==5.1.*",
            ]));
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
    connection
        .write_all(
            b"PUT /lab HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\
              Connection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
