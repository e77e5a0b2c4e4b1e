//! Runs that follow each other: second ones, ones with changed values, ones after an interruption.

use surgcam_testkit as common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::Place;
use common::experiments::small;

#[test]
fn a_second_run_executes_nothing_and_a_changed_threshold_trains_nothing() {
    let place = Place::new();
    let file = small(&place, "");
    let said = place.run(&["run", &file], 0);
    assert!(
        said.out.contains("Classification (small)")
            && said.out.contains("Localization")
            && said.out.contains("Extraction")
    );
    assert!(place.executed_kinds("small").contains(&"train".to_string()));
    let table = place.table("small", "extraction");
    let page = || std::fs::read_to_string(place.path("results/small/report.html")).unwrap();
    let written = page();
    for part in [
        "Classification (small)",
        "function sortBy",
        "<svg role=\"img\"",
        "src=\"data:image/jpeg;base64,",
        "[model.tiny]",
    ] {
        assert!(written.contains(part), "the report has no {part}");
    }
    let said = place.run(
        &["table", &file, "--columns", "AP50:95,energy in box,pointing game", "--format", "csv"],
        0,
    );
    let rows: Vec<&str> = said.out.trim().lines().collect();
    assert!(rows.len() == 3 && rows[0] == "AP50:95,energy in box,pointing game", "{}", said.out);
    let is_share =
        |value: &str| value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    assert!(
        rows[1..].iter().all(|row| row.split(',').take(1).all(is_share)),
        "the boxes of the row and of its control: {}",
        said.out
    );
    for figure in ["training-map.svg", "training-loss.svg", "timeline.svg"] {
        assert!(place.path("results/small/figures").join(figure).is_file(), "{figure}");
    }

    let said = place.run(&["run", &file], 0);
    assert!(said.err.contains("nothing to run: all 15 stages are in the store"), "{}", said.err);
    assert_eq!(place.run_record("small")["stages"]["executed"], 0);
    assert_eq!(place.table("small", "extraction"), table);
    assert!(page() == written, "a run that does nothing leaves the report as it is");
    let said = place.run(&["table", &file, "--table", "extraction", "--format", "csv"], 0);
    assert_eq!(said.out.trim_end(), table.trim_end());
    assert!(place.run(&["report", &file], 0).out.trim_end().ends_with("results/small/report.html"));

    place.run(&["run", &file, "--set", "extraction.roi_threshold=0.45"], 0);
    let kinds = place.executed_kinds("small");
    assert!(!kinds.is_empty());
    for kind in ["sample", "index", "pack", "train", "evaluate", "heat-maps", "heat-score"] {
        assert!(!kinds.iter().any(|executed| executed == kind), "{kind} ran again: {kinds:?}");
    }

    let said = place.run(&["table", &file], 0);
    assert!(said.out.contains("probe mAP"));
    let said = place
        .run(&["table", &file, "--columns", "mode,FPS", "--sort", "-FPS", "--format", "tex"], 0);
    assert!(said.out.contains("\\toprule") && said.out.contains("mode & FPS"), "{}", said.out);
    assert!(place.run(&["table", &file, "--sort", "FPZ"], 2).err.contains("did you mean `FPS`"));
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_a_killed_one_goes_on() {
    let place = Place::new();
    let file = small(&place, "");
    let long = [
        "run",
        &file,
        "--set",
        "model.epochs=4000",
        "--set",
        "experiment.tables=[\"classification\"]",
    ];
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let mut child =
            place.surgcam(&long).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let rest = wait_for_training(&mut child);
        std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), code);
        if signal == "-INT" {
            let said = rest.join().unwrap();
            let line = said
                .iter()
                .find_map(|line| line.strip_prefix("interrupted; go on with: "))
                .expect("a command");
            assert_eq!(shlex::split(line).unwrap()[1..], long, "{line}");
        }
    }
    // The killed runner's worker sees its stdin closed and ends; the stage's lock is free again.
    place.run(&["run", &file, "--set", "experiment.tables=[\"classification\"]"], 0);
    let left = || std::fs::read_dir(place.path("store/tmp")).unwrap().count();
    let begun = Instant::now();
    while left() > 0 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(left(), 0);
}

/// Until the program says that an epoch is done; gives what it says from then on.
fn wait_for_training(child: &mut std::process::Child) -> std::thread::JoinHandle<Vec<String>> {
    use std::io::BufRead;
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains("/4000: train loss")))
        .expect("an epoch")
        .unwrap();
    // Somebody must go on reading, or the program would stop at a full pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).collect())
}
