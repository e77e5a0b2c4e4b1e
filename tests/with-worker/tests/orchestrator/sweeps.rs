//! Sweeps: the cells of a matrix, their common pass, and their results one after the other.

use surgcam_testkit as common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::sweep;

#[test]
fn a_matrix_has_ranges_zips_excludes_and_cases() {
    let place = Place::new();
    let matrix = r#"
[matrix]
model = ["tiny"]
extraction = ["l-fe", "sl-fe"]
"extraction.roi_threshold" = { from = 0.2, to = 0.6, step = 0.2 }
[[matrix.zip]]
"model.epochs" = [1, 2]
"model.learning_rate" = [0.01, 0.02]
[[matrix.exclude]]
extraction = "l-fe"
"extraction.roi_threshold" = [0.4, 0.6]
[matrix.cases.small-pool]
"extraction.pool" = 32
[matrix.cases.large-pool]
"#;
    let file = sweep(&place, "wide", "", matrix);
    // (3 x 2 - 2) ways of extraction, two trainings, two cases.
    let said = place.run(&["plan", &file], 0);
    assert!(said.out.contains("for 16 cells"), "{}", said.out);
    assert_eq!(said.out.lines().filter(|line| line.starts_with("train ")).count(), 2);
    let said = place.run(&["run", &file], 0);
    assert!(said.err.contains("16 cells,") && said.err.contains("at most"), "{}", said.err);
    let table = place.table("wide", "extraction");
    assert!(table.starts_with("variant,mode,epochs,learning rate,case,T_ROI,pool"), "{table}");
    assert_eq!(table.lines().count(), 17);
    assert_eq!(
        table.lines().filter(|line| line.contains("small-pool") && line.contains(",32,")).count(),
        8
    );
    place.run(&["run", &file, "--set", "matrix.extraction.pull=[1]"], 2);
}

#[test]
fn cells_of_one_checkpoint_are_one_pass_whatever_subset_is_there() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\
        \"extraction.roi_threshold\" = [0.2, 0.4]\n\"extraction.pool\" = [512, 32]";
    let file = sweep(&place, "swept", "tables = [\"extraction\"]", matrix);
    place.run(
        &["run", &file, "--set", "extraction.roi_threshold=0.2", "--set", "extraction.pool=32"],
        0,
    );
    let said = place.run(&["run", &file], 0);
    let starts: Vec<&str> =
        said.err.lines().filter(|line| line.starts_with("start   extract")).collect();
    assert_eq!(starts.len(), 6, "{}", said.err);
    // All of them start before any of them is done: they are one job.
    let first_done = said.err.find("done    extract").unwrap();
    assert!(said.err.rfind("start   extract").unwrap() < first_done);
    assert_eq!(place.table("swept", "extraction").lines().count(), 9);
}

/// Two models of which one cannot be read.
fn half_broken(place: &Place) -> String {
    common::write_weights(&place.path("nine.safetensors"), [1, 1, 1, 1], false, 9, 1);
    let matrix = format!(
        "[model.broken]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\n\
         weights = {:?}\n[matrix]\nmodel = [\"broken\", \"tiny\"]\n",
        place.path("nine.safetensors")
    );
    sweep(place, "half", "tables = [\"classification\"]", &matrix)
}

#[test]
fn a_cell_that_fails_stops_no_other_and_is_shown_at_once() {
    let place = Place::new();
    let file = half_broken(&place);
    let said = place.run(&["run", &file], 1);
    assert!(
        said.err.contains("FAILED  import broken") && said.err.contains("done    evaluate tiny"),
        "{}",
        said.err
    );
    assert!(said.err.contains("skipped evaluate broken (needs import broken)"));
    assert_eq!(place.run_record("half")["stages"]["failed"], 1);
    assert_eq!(
        place.table("half", "classification").lines().filter(|line| line.contains("tiny")).count(),
        1
    );

    let other = Place::new();
    let said = other.run(&["run", &half_broken(&other), "--fail-fast"], 1);
    assert!(
        said.err.contains("FAILED  import broken") && !said.err.contains("evaluate tiny"),
        "{}",
        said.err
    );
}

#[test]
fn results_that_cannot_be_written_hide_no_failure() {
    let place = Place::new();
    let file = half_broken(&place);
    place.write("results/half/tables", "a file where a folder should be");
    let said = place.run(&["run", &file], 1);
    for told in ["error: the results could not be written: ", "import broken failed: "] {
        assert!(said.err.contains(told), "{}", said.err);
    }
}

#[test]
fn results_so_far_appear_in_the_table_while_a_sweep_runs() {
    let place = Place::new();
    let matrix = "[model.endless]\nextends = \"tiny\"\nepochs = 100000\n[matrix]\n\
        model = [\"tiny\", \"endless\"]\n";
    let file = sweep(&place, "growing", "tables = [\"classification\"]", matrix);
    let mut child =
        place.spawn(&["run", &file, "--threads", "1", "--devices", "cpu,cpu"], Stdio::null);
    let table = place.path("results/growing/tables/classification.csv");
    let begun = Instant::now();
    let has_row = || {
        std::fs::read_to_string(&table).is_ok_and(|text| {
            text.lines().any(|line| line.starts_with("tiny,") && !line.ends_with(",,"))
        })
    };
    while !has_row() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let appeared = has_row();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(appeared, "no table while it ran");
}
