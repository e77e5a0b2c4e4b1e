//! What others can reach: the terminal and the tables, by the names that they choose, and the lock
//! in the folder for temporary files, which all users of a machine share.

use surgcam_testkit as common;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::experiments::small;
use common::{Place, Said};

const LOCK: &str = "temporary/surgcam-machine.lock";

const EMPTY_PLAN: [&str; 4] = ["bench", "empty-plan", "--stages", "3"];

const CLASSIFICATION: [&str; 2] = ["--set", "experiment.tables=[\"classification\"]"];

/// With a folder for temporary files of its own.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("temporary")).unwrap();
    place
}

fn surgcam(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.surgcam(arguments);
    command.env("TMPDIR", place.path("temporary")).env("SURGCAM_MACHINE_WAIT_SECONDS", "1");
    command
}

/// Expects this exit code.
fn run(command: &mut Command, code: i32) -> Said {
    let said = Said::from(command.output().unwrap());
    assert_eq!(said.code, Some(code), "{command:?}\nstdout:\n{}\nstderr:\n{}", said.out, said.err);
    said
}

#[test]
fn the_machines_lock_is_for_everybody_whatever_the_umask() {
    let place = place();
    let mut command = surgcam(&place, &EMPTY_PLAN);
    let strict = || {
        // SAFETY: the call only sets a number of the new process.
        unsafe { libc::umask(0o077) };
        Ok(())
    };
    // SAFETY: between fork and exec nothing else is done.
    unsafe { command.pre_exec(strict) };
    run(&mut command, 0);
    assert_eq!(fs::metadata(place.path(LOCK)).unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn a_planted_link_makes_no_file_elsewhere() {
    let place = place();
    symlink(place.path("elsewhere"), place.path(LOCK)).unwrap();
    run(&mut surgcam(&place, &EMPTY_PLAN), 0);
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn waiting_for_the_machine_names_who_uses_it_and_ends_and_the_row_says_so() {
    let place = place();
    let file = small(&place, "");
    let holder = File::create(place.path(LOCK)).unwrap();
    holder.lock_shared().unwrap();
    let said = run(&mut surgcam(&place, &["run", &file]), 0);
    let waits = format!("waits for the machine, in use by process {} (", std::process::id());
    assert!(
        said.err.contains(&waits) && said.err.contains("not alone, and marked so"),
        "{}",
        said.err
    );
    let table = place.table("small", "extraction");
    assert!(table.lines().next().unwrap().contains(",timed,"), "{table}");
    assert!(table.lines().skip(1).all(|row| row.contains(",not alone,")), "{table}");
    let note = "- timed: not alone where others used the machine meanwhile";
    assert!(said.out.contains(note), "{}", said.out);
    assert!(
        fs::read_to_string(place.path("results/small/tables/extraction.md"))
            .unwrap()
            .contains(note)
    );

    drop(holder);
    let said = run(&mut surgcam(&place, &["run", &file, "--set", "experiment.speed_frames=3"]), 0);
    assert!(
        !place.table("small", "extraction").contains("timed") && !said.out.contains("not alone"),
        "{}",
        said.out
    );
}

#[test]
fn a_stage_waits_for_a_measurement_that_never_ends_no_longer_than_the_set_time() {
    let place = place();
    let holder = File::create(place.path(LOCK)).unwrap();
    holder.lock().unwrap();
    assert!(run(&mut surgcam(&place, &EMPTY_PLAN), 0).out.contains("3 stages, 3 run"));
    let word = fs::read_to_string(place.path(LOCK)).unwrap();
    assert!(word.contains("gone on without the lock"), "whoever measures can see it: {word}");
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let full = || File::options().write(true).open("/dev/full");
    if full().is_err() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let place = place();
    let file = small(&place, "");
    let once_more = [["run", file.as_str()], CLASSIFICATION].concat();
    place.run(&once_more, 0);
    let commands: [&[&str]; 11] = [
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["schema"],
        &["man"],
        &["completions", "bash"],
        &["show", "recipe", "gc-d"],
        &["check", &file],
        &["runs"],
        &["store", "size"],
        &once_more,
    ];
    for arguments in commands {
        let said = run(surgcam(&place, arguments).stdout(full().unwrap()), 1);
        assert!(
            said.err.contains("error: cannot write to stdout: No space left on device"),
            "{arguments:?}: {}",
            said.err
        );
    }
    // What a run made is recorded even where nobody can read of it.
    assert_eq!(place.run_record("small")["stages"]["executed"], 0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = place();
    for arguments in [["schema"].as_slice(), &["--help"]] {
        let mut child = surgcam(&place, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_class_whose_name_is_an_attack_stays_in_its_cell() {
    let place = Place::new();
    let labels = |class: &str| {
        small(
            &place,
            &format!("[label_space.odd]\nclasses = [\"suction\", \"{class}\", \"tissue\"]"),
        )
    };
    for refused in ["\\u001b[2Jodd", "odd|", "odd\\nname", "odd <b>", "=odd"] {
        let said =
            place.run(&["check", &labels(refused), "--set", "data.drawn.label_space=odd"], 2);
        assert!(
            said.err.contains("cannot name a class") && !said.err.contains('\u{1b}'),
            "{}",
            said.err
        );
    }
    let file = labels("odd 5% & $x_1$ {~^} ![p](u)");
    let said = place.run(
        &[
            &["run", file.as_str(), "--set", "data.drawn.label_space=odd"],
            CLASSIFICATION.as_slice(),
        ]
        .concat(),
        0,
    );
    assert!(said.out.contains("more columns in classification.csv"), "{}", said.out);
    let table = |form: &str| {
        fs::read_to_string(
            place.path("results/small/tables").join(format!("classification.{form}")),
        )
        .unwrap()
    };
    assert!(
        table("csv").contains(",AP odd 5% & $x_1$ {~^} ![p](u),")
            && table("csv").lines().count() == 2,
        "{}",
        table("csv")
    );
    let page = fs::read_to_string(place.path("results/small/report.html")).unwrap();
    assert!(page.contains("AP odd 5% \\u0026 $x_1$ {~^} ![p](u)"), "the class is text in the page");
    let printed = |more: &[&str]| {
        let all = ["table", file.as_str(), "--all-columns", "--set", "data.drawn.label_space=odd"];
        let arguments = [all.as_slice(), CLASSIFICATION.as_slice(), more];
        place.run(&arguments.concat(), 0).out
    };
    let (on_terminal, md, tex) =
        (printed(&[]), printed(&["--format", "md"]), printed(&["--format", "tex"]));
    assert!(on_terminal.contains(" AP odd 5% & $x_1$ {~^} ![p](u) "), "{on_terminal}");
    assert!(md.contains(" AP odd 5% \\& \\$x_1\\$ {\\~^} \\!\\[p](u) |"), "{md}");
    // The name of a column of a wide table has several lines.
    for part in
        ["5\\% \\&", "\\$x\\_1\\$", "\\{\\textasciitilde{}\\textasciicircum{}\\}", "!{[}p{]}(u)"]
    {
        assert!(tex.contains(part), "{part}: {tex}");
    }
    assert!(tex.contains("\\toprule"), "{tex}");
    for text in [said.out, said.err, table("csv"), page, on_terminal, md, tex] {
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
