//! Runs through a cluster, from submission to tables. `fake-slurm` beside this file stands in for
//! Slurm's programs; `scripts/slurm-check` does the same with a real Slurm.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use surgcam_testkit::experiments::{small, sweep};
use surgcam_testkit::{Place, Said};

const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/orchestrator/fake-slurm");

/// A place whose programs of Slurm are the fake ones.
struct Cluster(Place);

impl Cluster {
    fn new() -> Self {
        let place = Place::new();
        std::fs::create_dir_all(place.path("bin")).unwrap();
        std::fs::create_dir_all(place.path("slurm")).unwrap();
        for name in ["sbatch", "squeue", "scancel", "scontrol", "sacct"] {
            std::fs::copy(FAKE, place.path("bin").join(name)).unwrap();
        }
        Cluster(place)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.surgcam(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.0.path("bin").display()));
        command.env("FAKE_SLURM", self.0.path("slurm")).env("SURGCAM_THREADS", "1");
        command
    }

    fn run(&self, arguments: &[&str], code: i32) -> Said {
        let said = Said::from(self.command(arguments).output().unwrap());
        assert_eq!(said.code, Some(code), "{arguments:?}\n{}\n{}", said.out, said.err);
        said
    }

    /// Submits an experiment and gives the run's id.
    fn submit(&self, arguments: &[&str]) -> String {
        let all = [&["run", "--executor", "slurm"][..], arguments].concat();
        self.run(&all, 0).out.trim().to_string()
    }

    /// What sbatch was called with, a line for each call.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path("slurm/calls")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    fn wait_for(&self, what: &str, is_there: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_there() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn is_there(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn an_experiment_through_a_cluster_has_the_tables_that_it_has_here() {
    let here = Place::new();
    here.run(&["run", &small(&here, ""), "--threads", "1"], 0);

    let cluster = Cluster::new();
    let file = small(&cluster.0, "");
    let run = cluster.submit(&[&file]);
    let calls = cluster.calls();
    assert!(
        calls.iter().all(|call| call.contains(&format!("--job-name=surgcam-{run}"))),
        "{calls:?}"
    );
    assert_eq!(calls.iter().filter(|call| call.contains("--exclusive")).count(), 1, "{calls:?}");
    assert!(!calls[0].contains("--dependency") && calls[1].contains("--dependency=afterok:1"));
    // The training, and the pass with what rides with it, the data before and the last two behind.
    assert_eq!(calls.len(), 5, "{calls:?}");

    // A second submission while the first is on its way adds nothing.
    assert_eq!(cluster.submit(&[&file]), run);
    assert_eq!(cluster.calls().len(), calls.len());

    let said = cluster.run(&["attach", &run], 0);
    assert!(said.err.contains("stages run,"), "{}", said.err);
    assert_eq!(
        cluster.0.tables_without_speed("small"),
        here.tables_without_speed("small"),
        "{}",
        said.err
    );
    assert_eq!(cluster.0.run_record("small")["run"], run.as_str());
    let runs = cluster.run(&["runs"], 0).out;
    assert!(runs.contains(&run) && runs.contains("done") && runs.lines().count() == 1, "{runs}");
    assert!(cluster.run(&["logs", "train tiny"], 0).out.contains("finished"));

    let said = cluster.run(&["run", "--executor", "slurm", &file], 0);
    assert!(said.err.contains("nothing to run"), "{}", said.err);
    assert_eq!(cluster.calls().len(), calls.len(), "speed is not measured again either");
}

#[test]
fn a_cancelled_run_keeps_what_it_has_and_the_next_one_goes_on() {
    let cluster = Cluster::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\n[set]\nmodel.epochs = 400";
    let file = sweep(&cluster.0, "long", "tables = [\"classification\"]", matrix);
    let run = cluster.submit(&[&file]);
    cluster.wait_for("the training is under way", || is_there(&cluster.0.path("store/partial")));
    assert!(cluster.run(&["runs"], 0).out.contains("submitted"));

    let mut attached = cluster
        .command(&["attach", "latest"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    cluster.run(&["cancel", &run], 0);
    assert_eq!(attached.wait().unwrap().code(), Some(1), "the run did not end well");
    assert!(cluster.run(&["runs"], 0).out.contains("interrupted"));
    let said = cluster.run(&["cancel", &run], 2);
    assert!(said.err.contains("has ended"), "{}", said.err);

    let packed = cluster.0.entries("records/pack").len();
    assert_eq!(packed, 1);
    cluster.submit(&[&file, "--set", "model.epochs=1"]);
    cluster.run(&["attach", "latest"], 0);
    assert_eq!(cluster.0.entries("records/pack").len(), packed);
}

#[test]
fn a_job_whose_time_is_over_goes_back_into_the_queue_and_on_from_its_last_epoch() {
    let cluster = Cluster::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\n[set]\nmodel.epochs = 100000";
    let file = sweep(&cluster.0, "timed", "tables = [\"classification\"]", matrix);
    let run = cluster.submit(&[&file]);
    let events = cluster.0.path(&format!("store/runs/{run}.1/events.jsonl"));
    let tells = |what: &str| std::fs::read_to_string(&events).is_ok_and(|text| text.contains(what));
    cluster.wait_for("an epoch is finished", || tells("epoch 2/"));
    // The second job trains. Slurm sends it this signal a minute before its time is over.
    let process = std::fs::read_to_string(cluster.0.path("slurm/pid/2")).unwrap();
    assert!(Command::new("kill").args(["-USR1", process.trim()]).status().unwrap().success());
    cluster.wait_for("the training goes on", || tells("goes on after epoch"));
    cluster.run(&["cancel", &run], 0);
}

#[test]
fn a_stage_that_fails_in_its_job_is_named_with_its_cause_and_the_others_are_made() {
    let cluster = Cluster::new();
    let limits = "tables = [\"classification\"]\nlimits = { train = { timeout_seconds = 2 } }";
    let matrix = "[matrix]\nmodel = [\"tiny\"]\n\"model.seed\" = [1, 2]\n\
                  [set]\nmodel.epochs = 100000";
    let file = sweep(&cluster.0, "short", limits, matrix);
    cluster.submit(&[&file]);
    let calls = cluster.calls();
    assert!(calls.iter().any(|call| call.contains("--array=0-1")), "{calls:?}");
    let said = cluster.run(&["attach", "latest"], 1);
    assert!(said.err.contains("FAILED") && said.err.contains("train tiny"), "{}", said.err);
    let record = cluster.0.run_record("short");
    assert_eq!(record["state"], "failed");
    assert_eq!(record["stages"]["failed"], 2, "{record}");
    assert_eq!(cluster.0.entries("records/pack").len(), 1);
}

#[test]
fn where_there_is_no_slurm_the_message_says_so() {
    let place = Place::new();
    let file = small(&place, "");
    let mut command = place.surgcam(&["run", "--executor", "slurm", &file]);
    let said = Said::from(command.env("PATH", place.folder.path()).output().unwrap());
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(
        said.err.contains("cannot start scontrol") && said.err.contains("hint:"),
        "{}",
        said.err
    );
}
