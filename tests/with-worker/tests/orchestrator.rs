//! Plans that explain themselves, sweeps, limits, interruptions: through the program.

mod cluster;

use surgcam_testkit as common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::{every_kind, small, sweep};

const CLASSIFICATION_ONLY: &str = "tables = [\"classification\"]";

const CLASSIFICATION: [&str; 2] = ["--set", "experiment.tables=[\"classification\"]"];

fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line starts with {start}:\n{text}"))
}

#[test]
fn a_plan_says_why_a_stage_will_run() {
    let place = Place::new();
    let file = small(&place, "");
    let said = place.run(&["plan", &file], 0);
    assert!(
        said.out.contains("will run: never ran") && said.out.contains("waits for"),
        "{}",
        said.out
    );
    place.run(&["run", &file], 0);

    let changed =
        ["plan", &file, "--set", "model.batch_size=2", "--set", "model.plateau_factor=0.5"];
    let said = place.run(&changed, 0);
    assert!(
        line_of(&said.out, "train tiny")
            .ends_with("will run: batch_size 3 -> 2, plateau.factor 0.95 -> 0.5"),
        "{}",
        said.out
    );
    assert!(line_of(&said.out, "evaluate tiny").ends_with("waits for train tiny"));

    place.run(
        &["run", &file, "--set", "model.batch_size=2", CLASSIFICATION[0], CLASSIFICATION[1]],
        0,
    );
    let said = place.run(&["plan", &file, "--set", "model.batch_size=2"], 0);
    assert!(
        line_of(&said.out, "extract tiny sl-fe").ends_with("will run: input checkpoint changed"),
        "{}",
        said.out
    );

    let evaluated = line_of(&place.run(&["store", "ls", "--kind", "evaluate"], 0).out, "")
        .split_whitespace()
        .next()
        .unwrap()
        .to_string();
    let record = place.path("store/records/evaluate");
    let record = std::fs::read_dir(record)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&evaluated));
    std::fs::remove_file(record.unwrap().path()).unwrap();
    let said = place.run(&["plan", &file], 0);
    assert!(
        line_of(&said.out, "evaluate tiny").ends_with("will run: output missing from the store"),
        "{}",
        said.out
    );

    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["plan", &file, "--json"], 0).out).unwrap();
    let of =
        |name: &str| json.as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap();
    assert_eq!(of("train tiny")["state"]["status"], "cached");
    assert_eq!(of("evaluate tiny")["state"]["why"]["reason"], "output-missing");
    assert_eq!(of("evaluate tiny")["needs"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_lost_is_told_from_what_never_ran_after_a_run_that_did_nothing() {
    let place = Place::new();
    let file =
        sweep(&place, "again", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.run(&["run", &file], 0);
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
    std::fs::remove_dir_all(place.path("store/records/evaluate")).unwrap();
    let said = place.run(&["plan", &file], 0);
    assert!(
        line_of(&said.out, "evaluate tiny").ends_with("will run: output missing from the store"),
        "{}",
        said.out
    );
}

#[test]
fn cells_of_a_sweep_over_data_have_reasons_of_their_own() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\n\"data.frames_per_sequence\" = [4, 6]";
    let file = sweep(&place, "data", "tables = [\"classification\"]", matrix);
    place.run(&["run", &file], 0);
    let said = place.run(&["plan", &file, "--set", "data.drawn.seed=7"], 0);
    for frames in [4, 6] {
        let sample = format!("sample drawn data.frames_per_sequence={frames}");
        assert!(
            line_of(&said.out, &sample).ends_with("will run: sample.seed 42 -> 7"),
            "{}",
            said.out
        );
        let index = format!("index drawn endovis-11 data.frames_per_sequence={frames}");
        assert!(
            line_of(&said.out, &index).ends_with(&format!("waits for {sample}")),
            "{}",
            said.out
        );
    }
}

#[test]
fn an_input_that_is_remade_bit_for_bit_reruns_nothing_behind_it() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    for kind in ["pack", "train"] {
        std::fs::remove_dir_all(place.path("store/records").join(kind)).unwrap();
    }
    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("small"), ["pack", "train"]);
}

#[test]
fn stages_are_made_one_by_one_and_a_run_finds_them() {
    let place = Place::new();
    let file = sweep(&place, "made", CLASSIFICATION_ONLY, "[matrix]\nmodel = [\"tiny\"]");
    let make = |stages: &[&str], code: i32| {
        let arguments: Vec<&str> =
            ["make", file.as_str(), "--json"].into_iter().chain(stages.iter().copied()).collect();
        place.run(&arguments, code)
    };
    let events = |stages: &[&str]| -> Vec<(String, String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        let lines: Vec<serde_json::Value> =
            make(stages, 0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines
            .iter()
            .map(|line| (text(&line["event"]), text(&line["stage"]), text(&line["key"])))
            .collect()
    };
    let short = |events: &[(String, String, String)]| -> Vec<String> {
        events
            .iter()
            .filter(|event| !["note", "waiting"].contains(&event.0.as_str()))
            .map(|event| format!("{} {}", event.0, event.1))
            .collect()
    };

    let unknown = make(&["smaple drawn"], 2);
    assert!(
        unknown.err.contains("did you mean `sample drawn`?") && unknown.out.is_empty(),
        "{}",
        unknown.err
    );
    let missing = make(&["pack drawn"], 1);
    assert!(
        missing.err.contains("`index drawn endovis-11`") && missing.out.is_empty(),
        "{}",
        missing.err
    );
    assert_eq!(place.entries("runs").len(), 0, "nothing ran");

    assert_eq!(
        short(&events(&["sample drawn"])),
        ["started sample drawn", "finished sample drawn"]
    );
    let again = events(&["sample drawn"]);
    assert_eq!(short(&again), ["cached sample drawn"]);
    assert_eq!(
        short(&events(&[&again[0].2[.."sha256:".len() + 8]])),
        ["cached sample drawn"],
        "a stage goes by its key, too"
    );
    let index = "index drawn endovis-11";
    let chain = ["started", "finished"].map(|event| format!("{event} {index}")).into_iter();
    let chain: Vec<String> =
        chain.chain(["started", "finished"].map(|event| format!("{event} pack drawn"))).collect();
    assert_eq!(short(&events(&["pack drawn", index])), chain);

    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("made"), ["train", "evaluate"]);
}

#[test]
fn a_plan_is_drawn_in_three_forms() {
    let place = Place::new();
    let file =
        sweep(&place, "drawn", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    for format in ["mermaid", "dot", "svg"] {
        insta::assert_snapshot!(
            format!("graph_{format}"),
            place.run(&["graph", &file, "--format", format], 0).out
        );
    }
    let out = place.path("plan.svg");
    place.run(&["graph", &file, "--format", "svg", "--out", out.to_str().unwrap()], 0);
    let text = std::fs::read_to_string(&out).unwrap();
    let svg = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(svg.descendants().filter(|node| node.has_tag_name("g")).count(), 5);
}

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
fn siblings_are_one_pass_whatever_subset_is_there() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\"extraction.roi_threshold\" = [0.2, 0.4]\n\"extraction.pool\" = [512, 32]";
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
        "[model.broken]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\nweights = {:?}\n[matrix]\nmodel = [\"broken\", \"tiny\"]\n",
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
fn results_so_far_appear_in_the_table_while_a_sweep_runs() {
    let place = Place::new();
    let matrix = "[model.endless]\nextends = \"tiny\"\nepochs = 100000\n[matrix]\nmodel = [\"tiny\", \"endless\"]\n";
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

#[test]
fn limits_end_a_stage_and_try_it_again() {
    let place = Place::new();
    let file = sweep(
        &place,
        "slow",
        "tables = [\"classification\"]\nlimits = { train = { timeout_seconds = 5, retries = 1 } }",
        "[matrix]\nmodel = [\"tiny\"]\n[set]\nmodel.epochs = 100000",
    );
    let said = place.run(&["run", &file], 1);
    assert!(
        said.err
            .contains("again   train tiny (attempt 2) after: it took longer than its limit of 5 s"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("goes on after epoch"),
        "a second attempt goes on where the first was: {}",
        said.err
    );
    assert!(said.err.contains("FAILED  train tiny: it took longer"), "{}", said.err);
    for command in ["check", "plan"] {
        let said = place.run(&[command, &file, "--set", "experiment.limits.trian.retries=1"], 2);
        assert!(
            said.err.contains("slow.toml: experiment.limits names")
                && said.err.contains("did you mean `train`?"),
            "{}",
            said.err
        );
    }
}

/// The worker that a program started last.
fn newest_worker_of(parent: u32) -> Option<u32> {
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().last()?.parse().ok()
}

/// Until the journal of some run has the text.
fn wait_for_journal(place: &Place, text: &str) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let journals = place
            .entries("runs")
            .into_iter()
            .filter_map(|run| std::fs::read_to_string(run.join("events.jsonl")).ok());
        if journals.into_iter().any(|journal| journal.contains(text)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody said {text}");
}

#[test]
fn a_killed_worker_is_told_from_a_stage_that_failed() {
    let place = Place::new();
    let file = small(&place, "");
    let child = place.spawn(&["run", &file, "--set", "model.epochs=100000"], Stdio::piped);
    wait_for_journal(&place, "epoch 2/");
    let worker = newest_worker_of(child.id()).unwrap();
    Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap();
    let said = common::Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("the worker was killed by the system or by somebody (signal 9)"),
        "{}",
        said.err
    );
    let said = place.run(&["logs", "train tiny"], 0);
    assert!(
        said.out.contains("train tiny  failed: the worker was killed")
            && said.out.contains("epoch 1/"),
        "{}",
        said.out
    );
}

/// Digests of what the newest training wrote.
fn trained(place: &Place) -> serde_json::Value {
    let records = std::fs::read_dir(place.path("store/records/train")).unwrap().flatten();
    let record = records.into_iter().next().unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
    serde_json::json!([
        record["outputs"]["checkpoint.safetensors"]["digest"],
        record["outputs"]["last.safetensors"]["digest"]
    ])
}

#[test]
fn an_interrupted_training_goes_on_and_ends_with_the_same_bits() {
    let arguments = |file: &str| {
        let set =
            ["model.epochs=12", "model.dropout=0.2", "experiment.tables=[\"classification\"]"];
        let set = set.iter().flat_map(|set| ["--set".to_string(), set.to_string()]);
        ["run".to_string(), file.to_string(), "--threads".into(), "1".into()]
            .into_iter()
            .chain(set)
            .collect::<Vec<String>>()
    };
    let run = |place: &Place, code: Option<i32>, signal: Option<&str>| {
        let file = small(place, "");
        let arguments = arguments(&file);
        let child =
            place.spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), Stdio::piped);
        if let Some(signal) = signal {
            wait_for_journal(place, "epoch 3/");
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        }
        let said = common::Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, code, "{}", said.err);
        said.err
    };
    let whole = Place::new();
    run(&whole, Some(0), None);
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let place = Place::new();
        run(&place, code, Some(signal));
        let said = run(&place, Some(0), None);
        assert!(said.contains("train tiny: goes on after epoch"), "{said}");
        assert_eq!(trained(&place), trained(&whole), "after {signal}");
        assert_eq!(place.entries("partial").len(), 0);
    }
}

/// What the journal of the newest run says of stages: event, stage, and text.
fn journal(place: &Place) -> Vec<(String, String, String)> {
    let newest = place.entries("runs").into_iter().max().unwrap();
    let text = std::fs::read_to_string(newest.join("events.jsonl")).unwrap();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_string();
        (field("event"), field("stage"), field("text"))
    };
    text.lines().map(entry).collect()
}

#[test]
fn stages_that_do_not_need_each_other_run_side_by_side() {
    let most_at_once = |jobs: &str| {
        let place = Place::new();
        let models = [("one", 1), ("two", 2), ("three", 3)].map(|(name, seed)| {
            let weights = place.path(&format!("{name}.safetensors"));
            common::write_weights(&weights, [1, 1, 1, 1], false, 11, seed);
            format!("[model.{name}]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\nweights = {weights:?}\n")
        });
        let matrix =
            format!("{}[matrix]\nmodel = [\"one\", \"two\", \"three\"]\n", models.concat());
        let file = sweep(&place, "side-by-side", CLASSIFICATION_ONLY, &matrix);
        place.run(&["run", &file, "--threads", "1", "--jobs", jobs], 0);
        // Evaluations have the device, of which there is one.
        let (mut running, mut most) = (0, 0);
        for (event, _, _) in
            journal(&place).iter().filter(|(_, stage, _)| !stage.starts_with("evaluate"))
        {
            match event.as_str() {
                "started" => running += 1,
                "finished" => running -= 1,
                _ => {}
            }
            most = most.max(running);
        }
        assert_eq!(running, 0);
        most
    };
    assert_eq!(most_at_once("1"), 1);
    assert_eq!(most_at_once("2"), 2);
}

/// Changes an object behind the store's back, so that it is found only by use.
fn change_unseen(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let time = path.metadata().unwrap().modified().unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_pass_that_fails_is_tried_again_once_for_each_cell_whatever_slot_is_free() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\"extraction.roi_threshold\" = [0.2, 0.4]";
    let file = sweep(&place, "again", "limits = { extract = { retries = 1 } }", matrix);
    place.run(&["run", &file, CLASSIFICATION[0], CLASSIFICATION[1]], 0);
    let digest = trained(&place)[0].as_str().unwrap().strip_prefix("sha256:").unwrap().to_string();
    change_unseen(&place.path("store/objects").join(&digest[..2]).join(&digest));

    let only_extraction = ["--set", "experiment.tables=[\"extraction\"]"];
    let said = place.run(
        &[
            "run",
            &file,
            "--threads",
            "1",
            "--devices",
            "cpu,cpu",
            only_extraction[0],
            only_extraction[1],
        ],
        1,
    );
    let journal = journal(&place);
    let count = |event: &str| {
        journal
            .iter()
            .filter(|(found, stage, _)| found == event && stage.starts_with("extract"))
            .count()
    };
    assert_eq!(
        (count("started"), count("retrying"), count("failed"), count("finished")),
        (8, 4, 4, 0),
        "{}",
        said.err
    );
    let failures = journal.iter().filter(|(event, _, _)| event == "retrying" || event == "failed");
    for (_, stage, text) in failures {
        assert!(text.contains("has changed since it was written"), "{stage}: {text}");
    }
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    let place = Place::new();
    let file = small(&place, "");
    let mut child = place.spawn(&["run", &file, "--set", "model.epochs=100000"], Stdio::piped);
    wait_for_journal(&place, "epoch 2/");
    let worker = newest_worker_of(child.id()).unwrap();
    let signal = |signal: &str, process: u32| {
        Command::new("kill").args([signal, &process.to_string()]).output().unwrap()
    };
    // One that does not answer, which the program would wait for.
    signal("-STOP", worker);
    signal("-INT", child.id());
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let stops = stderr.lines().map_while(Result::ok).any(|line| line.starts_with("stopping"));
    let begun = Instant::now();
    signal("-INT", child.id());
    let code = child.wait().unwrap().code();
    let time = begun.elapsed();
    // It may have ended by itself already.
    signal("-KILL", worker);
    assert!(stops);
    assert_eq!(code, Some(130));
    assert!(time < Duration::from_secs(2), "it took {time:?}");
}

#[test]
fn a_worker_of_another_build_is_not_waited_for() {
    let place = Place::new();
    let worker = place.path("worker");
    let hello = r#"{"message":"hello","protocol":1,"device":"cpu"}"#;
    for (says, expected) in
        [(hello, "the worker speaks protocol 1"), ("Welcome!", "does not understand: Welcome!")]
    {
        std::fs::write(&worker, format!("#!/bin/sh\necho '{says}'\ncat > /dev/null\n")).unwrap();
        std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Asked who it is while planning; then told to make a stage.
        for (file, code) in [
            (small(&place, ""), 2),
            (sweep(&place, "plain", CLASSIFICATION_ONLY, "[matrix]\nmodel = [\"tiny\"]"), 1),
        ] {
            let output =
                place.surgcam(&["run", &file]).env("SURGCAM_WORKER", &worker).output().unwrap();
            let said = common::Said::from(output);
            assert_eq!(said.code, Some(code), "{}", said.err);
            assert!(said.err.contains(expected), "{}", said.err);
        }
    }
}

#[test]
fn eight_processes_share_the_work_and_agree() {
    let place = Place::new();
    let file = every_kind(&place, 1);
    let children: Vec<_> =
        (0..8).map(|_| place.spawn(&["run", &file, "--threads", "1"], Stdio::piped)).collect();
    let outputs: Vec<common::Said> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    for said in &outputs {
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.out, outputs[0].out);
    }
    let done = |said: &common::Said| {
        said.err
            .lines()
            .filter_map(|line| Some(line.strip_prefix("done    ")?.split(" (").next()?.to_string()))
            .collect::<Vec<_>>()
    };
    let mut executed: Vec<String> = outputs.iter().flat_map(done).collect();
    let count = executed.len();
    executed.sort();
    executed.dedup();
    assert_eq!(executed.len(), count, "some stage was made twice");
    let stages = place.run_record("every-kind")["plan"]["stages"].as_array().unwrap().len();
    assert_eq!(count, stages, "every stage once over all processes");
}

#[test]
fn runs_are_listed_compared_and_told() {
    let place = Place::new();
    let file =
        sweep(&place, "told", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.run(&["run", &file], 0);
    place.run(&["run", &file, "--set", "model.batch_size=2"], 0);
    let runs: Vec<String> = place
        .run(&["runs"], 0)
        .out
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().to_string())
        .collect();
    assert_eq!(runs.len(), 2);
    let said = place.run(&["diff", &runs[1], &runs[0]], 0);
    let line = said.out.lines().find(|line| line.contains("model.tiny.batch_size")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["model.tiny.batch_size", "3", "2"]);
    assert!(said.out.contains("train tiny"), "{}", said.out);
    assert!(place.run(&["diff", &runs[0], "latest"], 0).out.contains("no difference"));
    // Data recipes are in the history, too.
    place.run(&["run", &file, "--set", "model.batch_size=2", "--set", "data.seed=9"], 0);
    let said = place.run(&["diff", &runs[0], "latest"], 0);
    assert!(
        said.out.lines().any(|line| line.split_whitespace().eq(["data.drawn.seed", "42", "9"])),
        "{}",
        said.out
    );
    place.run(&["run", &file, "--set", "model.batch_size=2"], 0);
    let said = place.run(&["show", "run", "latest"], 0);
    assert!(said.out.contains("batch_size = 2  # --set model.batch_size=2"), "{}", said.out);
    assert_eq!(place.run(&["show", "latest"], 0).out, said.out);
    assert!(place.run(&["show", &runs[1]], 0).out.contains(&format!("run         {}", runs[1])));
    assert!(place.run(&["show", "gc-d"], 2).err.contains("surgcam show recipe gc-d"));
    let said = place.run(&["logs", "train tiny"], 0);
    assert!(
        said.out.contains("note: epoch 1/1") && said.out.contains("finished in"),
        "{}",
        said.out
    );
    let said = place.run(&["logs", "trian"], 2);
    assert!(said.err.contains("did you mean"), "{}", said.err);
    for arguments in [
        &["show", "run", "nowhere"][..],
        &["show", "nowhere"],
        &["diff", "nowhere", "latest"],
        &["logs", "--run", "nowhere"],
    ] {
        let said = place.run(arguments, 2);
        assert!(
            said.err.contains("there is no run `nowhere`")
                && said.err.contains("`surgcam runs` lists them"),
            "{}",
            said.err
        );
    }
    assert!(place.run(&["show"], 2).err.contains("Usage: surgcam show"));
}
