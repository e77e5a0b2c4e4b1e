//! Captions and interaction graphs as a user gets them: rows of the table, sweeps, mistakes, and
//! pictures that are described.

use surgcam_testkit as common;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::experiments::with_heads;
use common::{Place, picture, write_endovis18};

const BOTH: &str = "heads = [\"probe\", \"tiny-caption\", \"tiny-interaction\"]\n";
const TASK_COLUMNS: [&str; 7] = [
    "BLEU-4",
    "METEOR",
    "ROUGE-L",
    "CIDEr",
    "interaction accuracy",
    "interaction mAP",
    "interaction recall",
];

/// Columns of a CSV table by name, row by row.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

#[test]
fn every_mode_and_the_control_get_a_caption_and_an_interaction_row() {
    let place = Place::new();
    let modes = r#"["ln-fe", "l-fe", "sl-fe", "ground-truth-boxes", "whole-frame",
        "shuffled-features"]"#;
    let file = with_heads(
        &place,
        "modes",
        BOTH,
        &format!("[matrix]\nmodel = [\"tiny\"]\nextraction = {modes}"),
    );
    let said = place.run(&["run", &file], 0);
    // Headers are broken between words, so that the table fits the lines of a pipe.
    let heads = [" interaction   interaction ", " CIDEr "];
    assert!(heads.iter().all(|head| said.out.contains(head)), "{}", said.out);
    let rows = rows(&place.table("modes", "extraction"));
    assert_eq!(rows.len(), 6);
    for row in &rows {
        for column in TASK_COLUMNS {
            let value: f64 = row[column]
                .parse()
                .unwrap_or_else(|_| panic!("{column} of {}: {:?}", row["mode"], row[column]));
            assert!((0.0..=10.0).contains(&value), "{column}: {value}");
        }
        assert_eq!(row["FPS tasks"].is_empty(), row["mode"] == "shuffled-features");
    }
    check_confusion(&place, &rows);
    check_gallery(&place);
    // The control extracts nothing of its own.
    assert_eq!(place.executed_kinds("modes").iter().filter(|kind| *kind == "extract").count(), 5);

    let said = place.run(&["run", &file], 0);
    assert!(said.err.contains("nothing to run"), "{}", said.err);
    // Another captioner trains captioners alone.
    place.run(
        &["run", &file, "--set", "head.tiny-caption.width=8", "--set", "experiment.speed=false"],
        0,
    );
    let kinds = place.executed_kinds("modes");
    assert!(kinds.iter().all(|kind| kind == "caption") && kinds.len() == 6, "{kinds:?}");
}

/// A file of the results of `modes`.
fn read(place: &Place, file: &str) -> String {
    std::fs::read_to_string(place.path("results/modes").join(file)).unwrap()
}

/// The diagonal of the figure has the recall of each interaction, as the table says it.
fn check_confusion(place: &Place, rows: &[BTreeMap<String, String>]) {
    let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<f64>().unwrap();
    let competing = rows.iter().filter(|row| ["ln-fe", "l-fe", "sl-fe"].contains(&&*row["mode"]));
    let accuracy = |row: &&BTreeMap<String, String>| number(row, "interaction accuracy");
    let best =
        competing.reduce(|best, row| if accuracy(&row) > accuracy(&best) { row } else { best });
    let best = best.unwrap();
    let svg = read(place, "figures/interaction-confusion.svg");
    let meanings = svg.split("<title>").skip(1).filter_map(|rest| rest.split("</title>").next());
    let mut on_diagonal = 0;
    for meaning in meanings {
        let Some((pair, share)) = meaning.rsplit_once(": ") else { continue };
        let Some((right, answer)) = pair.split_once(", ") else { continue };
        if right.split(" (").next() == Some(answer) {
            let recall = number(best, &format!("recall {}", answer.replace(' ', "_")));
            assert!((share.parse::<f64>().unwrap() - recall).abs() < 1e-9, "{meaning}: {recall}");
            on_diagonal += 1;
        }
    }
    let recalls = best.iter().filter(|(name, _)| name.starts_with("recall "));
    let found =
        recalls.filter(|(_, recall)| recall.parse::<f64>().is_ok_and(|recall| recall > 0.0));
    assert_eq!(on_diagonal, found.count(), "{svg}");
    let differences = place.table("modes", "differences");
    assert!(differences.contains("interaction accuracy"), "{differences}");
}

/// The worst frame comes first, and what heads say stands below what somebody wrote.
fn check_gallery(place: &Place) {
    let page = read(place, "report.html");
    let place_of =
        |text: &str| page.find(text).unwrap_or_else(|| panic!("no `{text}` in the page"));
    assert!(place_of(": the worst of ") < place_of(": the best of "));
    let words = place_of("<table class=\"words\">");
    let of_frame = &page[words..words + page[words..].find("</table>").unwrap()];
    let speakers: Vec<&str> =
        of_frame.split("<tr><td>").skip(1).map(|row| row.split("</td>").next().unwrap()).collect();
    assert_eq!(speakers[0], "reference", "{of_frame}");
    assert_eq!(speakers.len(), 7, "the reference and six modes: {of_frame}");
}

#[test]
fn heads_are_for_the_cells_that_are_named() {
    let place = Place::new();
    let settings = format!("{BOTH}heads_for = {{ extraction = \"sl-fe\" }}\nspeed = false\n");
    let file = with_heads(
        &place,
        "named",
        &settings,
        "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]",
    );
    place.run(&["run", &file], 0);
    let rows = rows(&place.table("named", "extraction"));
    let filled: Vec<(&str, bool)> =
        rows.iter().map(|row| (row["mode"].as_str(), !row["CIDEr"].is_empty())).collect();
    assert_eq!(filled, [("l-fe", false), ("sl-fe", true)]);
    assert!(rows.iter().all(|row| !row["probe mAP"].is_empty()));
}

#[test]
fn seeds_of_a_model_and_of_a_head_have_columns_of_their_own() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n\
        \"model.seed\" = [1, 2]\n\"head.tiny-interaction.seed\" = [3, 4]";
    let file = with_heads(
        &place,
        "seeds",
        "heads = [\"tiny-interaction\"]\nspeed = false\ntables = [\"extraction\"]\n",
        matrix,
    );
    place.run(&["run", &file], 0);
    let rows = rows(&place.table("seeds", "extraction"));
    let seeds: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row["model.seed"].as_str(), row["head.tiny-interaction.seed"].as_str()))
        .collect();
    assert_eq!(seeds, [("1", "3"), ("2", "3"), ("1", "4"), ("2", "4")]);
}

/// Self-critical and joint training, and every loss of the graph, each beside the plain one.
#[test]
fn all_ways_of_training_are_swept() {
    let place = Place::new();
    let heads = "[head.self-critical]\nextends = \"tiny-caption\"\nself_critical_epochs = 2\n\
        self_critical_learning_rate = 1e-3\n\
        [head.joint]\nextends = \"tiny-caption\"\njoint_epochs = 2\njoint_learning_rate = 1e-4\n\
        [head.soft-margin]\nextends = \"tiny-interaction\"\nloss = \"soft-margin\"\n\
        [head.class-balanced]\nextends = \"tiny-interaction\"\nloss = \"class-balanced\"\n\
        [head.cog-tree]\nextends = \"tiny-interaction\"\nloss = \"cog-tree\"\n\
        [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n\
        head = [\"tiny-caption\", \"self-critical\", \"joint\", \"tiny-interaction\",\n\
        \"soft-margin\", \"class-balanced\", \"cog-tree\"]\n";
    let file = with_heads(&place, "ways", "speed = false\ntables = [\"extraction\"]\n", heads);
    place.run(&["run", &file], 0);
    let rows = rows(&place.table("ways", "extraction"));
    for row in &rows {
        let is_caption = ["tiny-caption", "self-critical", "joint"].contains(&row["head"].as_str());
        assert_eq!(
            (!row["CIDEr"].is_empty(), !row["interaction mAP"].is_empty()),
            (is_caption, !is_caption),
            "{}",
            row["head"]
        );
    }
    assert_eq!(rows.len(), 7);
    // CogTree grows its tree from a graph that was trained with cross-entropy: the swept one, not
    // one more.
    let kinds = place.executed_kinds("ways");
    assert_eq!(kinds.iter().filter(|kind| *kind == "interact").count(), 4, "{kinds:?}");

    // A captioner that learnt with its backbone describes pictures through that one.
    let out = place.path("exported");
    place.run(&["export", "captioners", &file, "--out", out.to_str().unwrap()], 0);
    let folder = |head: &str| out.join("tiny").join(format!("sl-fe_roi0.3_pool512_{head}"));
    let backbone = |head: &str| std::fs::read(folder(head).join("backbone.safetensors")).unwrap();
    assert_eq!(backbone("tiny-caption"), backbone("cog-tree"));
    assert_ne!(backbone("tiny-caption"), backbone("joint"));
    assert!(
        !folder("joint").join("interact").exists(),
        "a graph that was trained on another backbone's features"
    );
    assert!(folder("cog-tree").join("interact/head.safetensors").is_file());
}

#[test]
fn pictures_are_described_one_by_one_or_by_the_folder() {
    let place = Place::new();
    let settings = format!("{BOTH}speed = false\ntables = [\"extraction\"]\n");
    let present = "[set]\nextraction.present = [2, 10]\n[matrix]\nmodel = [\"tiny\"]\n\
        extraction = [\"sl-fe\"]";
    let file = with_heads(&place, "described", &settings, present);
    let out = place.path("exported");
    place.run(&["export", "captioners", &file, "--out", out.to_str().unwrap()], 0);
    let captioner = out.join("tiny/sl-fe_roi0.3_pool512");
    let captioner = captioner.to_str().unwrap();

    let pictures = place.path("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for number in 0..3 {
        picture(number).save(pictures.join(format!("{number}.png"))).unwrap();
    }
    let one = pictures.join("1.png");
    let said = place.run(&["caption", "--checkpoint", captioner, one.to_str().unwrap()], 0);
    assert!(
        said.out.contains("1.png  (") && said.out.contains("large needle driver -> tissue: "),
        "{}",
        said.out
    );
    assert!(said.err.contains("1 pictures, median"), "{}", said.err);

    // A broken picture is named and keeps no other from its caption.
    std::fs::write(pictures.join("broken.png"), "no picture").unwrap();
    let said =
        place.run(&["caption", "--checkpoint", captioner, pictures.to_str().unwrap(), "--json"], 1);
    let lines: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines.iter().filter(|line| line["caption"].is_string()).count(), 3);
    assert_eq!(lines[0]["interactions"][0]["tool"], "large needle driver");
    assert!(lines[3]["problem"].as_str().unwrap().contains("broken.png"));
    assert!(said.err.contains("1 of 4 pictures could not be read"), "{}", said.err);

    let said =
        place.run(&["caption", "--checkpoint", out.to_str().unwrap(), one.to_str().unwrap()], 2);
    assert!(
        said.err.contains("not the folder of a captioner")
            && said.err.contains("sl-fe_roi0.3_pool512"),
        "{}",
        said.err
    );
    let said = place.run(&["caption", "--checkpoint", captioner, "/nowhere.png"], 2);
    assert!(said.err.contains("there is no such picture"), "{}", said.err);
}

#[test]
fn data_that_nobody_annotated_leaves_the_columns_empty_and_says_so() {
    let place = Place::new();
    let root = place.path("data");
    for number in 0..3 {
        write_endovis18(
            &root,
            &[
                (2, number, picture(number), "1 0 0 0 0 0 0 0"),
                (1, number, picture(number + 5), "0 1 0 0 0 0 0 0"),
            ],
        );
    }
    let rest = format!(
        "[data.mine]\nadapter = \"endovis18\"\nroot = {root:?}\ntrain = [2]\nvalidation = [1]\n\
         image_size = [64, 80]\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n[set]\nmodel.data = \"mine\"\n"
    );
    let file = with_heads(&place, "silent", BOTH, &rest);
    let said = place.run(&["run", &file], 0);
    assert!(
        said.err.contains("no captions in the train or in the validation frames"),
        "{}",
        said.err
    );
    let rows = rows(&place.table("silent", "extraction"));
    assert!(TASK_COLUMNS.iter().all(|column| rows[0][*column].is_empty()));
    assert!(!rows[0]["probe mAP"].is_empty());
}

#[test]
fn mistakes_about_heads_are_refused_before_anything_runs() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\"]";
    let file = with_heads(&place, "wrong", BOTH, matrix);
    let cases: [(&[&str], &[&str]); 7] = [
        (
            &["--set", "experiment.heads=[\"capton\"]"],
            &["no head recipe `capton`", "did you mean `caption`?"],
        ),
        (
            &["--set", "experiment.heads=[\"caption\", \"caption-small\"]"],
            &["two heads for the task caption"],
        ),
        (
            &["--set", "experiment.heads_for={ modle = \"tiny\" }"],
            &["heads_for wants values of `modle`", "did you mean `model`?"],
        ),
        (
            &["--set", "head.tiny-caption.attention_heads=3"],
            &["a width of 16 and 3 attention heads"],
        ),
        (
            &["--set", "head.tiny-caption.joint_epochs=1"],
            &["learns with the backbone", "extraction.l-fe is another way"],
        ),
        (
            &[
                "--set",
                "head.tiny-caption.self_critical_epochs=1",
                "--set",
                "head.tiny-caption.beam=1",
            ],
            &["a beam of 1"],
        ),
        (&["--set", "head.tiny-interaction.loss=crossentropy"], &["crossentropy", "cross-entropy"]),
    ];
    for (arguments, expected) in cases {
        let said = place.run(&[&["run", file.as_str()], arguments].concat(), 2);
        for text in expected {
            assert!(said.err.contains(text), "{arguments:?}: {}", said.err);
        }
    }
    assert!(!place.path("results/wrong").exists());
}

/// One thread: the same bits as without the interruption.
#[test]
fn a_killed_head_goes_on_after_its_last_epoch() {
    let place = Place::new();
    let settings = format!("{BOTH}speed = false\ntables = [\"extraction\"]\n");
    let long = "[set]\nhead.tiny-caption.epochs = 150\nhead.tiny-caption.dropout = 0.1\n[matrix]\n\
        model = [\"tiny\"]\nextraction = [\"sl-fe\"]";
    let file = with_heads(&place, "killed", &settings, long);
    let arguments = ["run", &file, "--threads", "1"];
    place.run(&arguments, 0);
    let expected = place.table("killed", "extraction");

    let place = Place::new();
    let file = with_heads(&place, "killed", &settings, long);
    let arguments = ["run", &file, "--threads", "1"];
    let mut child = place
        .surgcam(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    // The classifier trains one epoch, so the only snapshot that is there for long is a head's.
    while !has_head_snapshot(&place) && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::process::Command::new("kill")
        .args(["-KILL", "--", &format!("-{}", child.id())])
        .status()
        .unwrap();
    child.wait().unwrap();
    let said = place.run(&arguments, 0);
    assert!(said.err.contains("goes on after epoch"), "{}", said.err);
    assert_eq!(place.table("killed", "extraction"), expected);
}

fn has_head_snapshot(place: &Place) -> bool {
    let files = walkdir::WalkDir::new(place.path("store/partial")).into_iter().flatten();
    let is_record = |kind: &str| place.path("store/records").join(kind).is_dir();
    is_record("extract")
        && files
            .filter(|entry| entry.file_type().is_file() && entry.path().extension().is_some())
            .count()
            > 0
}
