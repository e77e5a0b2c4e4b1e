//! The program as a user meets it: second runs, changed values, mistakes, interruptions.

use surgcam_testkit as common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::experiments::{small, small_with};
use common::{Place, picture, project_folder, real_frames, write_endovis18};

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

#[test]
fn mistakes_are_refused_before_anything_runs() {
    let place = Place::new();
    let good = small(&place, "");
    let swept = std::fs::read_to_string(&good).unwrap().replace("[0.3]", "[0.3, 1.5]");
    place.write("e.toml", &swept);
    let cases: [(&str, String, &[&str], &[&str]); 13] = [
        (
            "no device",
            good.clone(),
            &["--devices", "cpu,gpu"],
            &["`gpu` is not a device", "cuda:0"],
        ),
        ("no worker", good.clone(), &["--jobs", "0"], &["invalid value '0' for '--jobs <N>'"]),
        (
            "an axis that is no recipe's",
            good.clone(),
            &["--set", "matrix.experiment.speed=[true]"],
            &["no value of a recipe"],
        ),
        (
            "heads for a cell that is none",
            good.clone(),
            &["--set", "experiment.heads_for={ model = \"tyni\" }"],
            &["a value that the matrix does not have", "did you mean `tiny`?"],
        ),
        (
            "an unknown key",
            small_with(&place, "a.toml", "[model.other]\nbackbon = \"resnet18\""),
            &[],
            &["a.toml:", "did you mean `backbone`?"],
        ),
        (
            "a bad threshold",
            small_with(&place, "b.toml", "[extraction.x]\nroi_threshold = 1.0"),
            &[],
            &["b.toml:", "outside [0, 1)"],
        ),
        (
            "a bad value in the matrix",
            place.path("e.toml").to_str().unwrap().to_string(),
            &[],
            &["e.toml:24", "1.5 is outside [0, 1)"],
        ),
        ("no cell", good.clone(), &["--set", "matrix.model=[]"], &["the matrix has no cell"]),
        (
            "an unknown model",
            good.clone(),
            &["--set", "matrix.model=[\"tyni\"]"],
            &["no model recipe `tyni`", "did you mean `tiny`?"],
        ),
        (
            "an unknown override",
            good.clone(),
            &["--set", "model.epoch=3"],
            &["did you mean `epochs`?"],
        ),
        (
            "an absent root",
            good.clone(),
            &["--set", "data.drawn.adapter=endovis18", "--set", "data.drawn.root=/nowhere"],
            &["/nowhere", "is no folder"],
        ),
        (
            "a class that no label space has",
            small_with(
                &place,
                "c.toml",
                "[data.other]\nextends = \"drawn\"\nclasses = { suction = \"sucktion\" }",
            ),
            &["--set", "model.tiny.data=other"],
            &["a class that no label space has", "did you mean `suction`?"],
        ),
        (
            "a class beyond the model's",
            good.clone(),
            &["--set", "extraction.present=[11]"],
            &["names class 11", "has 11 classes"],
        ),
    ];
    for (what, file, arguments, expected) in cases {
        let said = place.run(&[&["run", file.as_str()], arguments].concat(), 2);
        for text in expected {
            assert!(said.err.contains(text), "{what}: {}", said.err);
        }
        assert!(said.err.starts_with("error: "), "{what}: {}", said.err);
        assert!(!place.path("results/small").exists(), "{what}: something ran");
    }
    let said = place.run(&["run", "quickstrat"], 2);
    assert!(said.err.contains("did you mean `quickstart`?"), "{}", said.err);
}

#[test]
fn wrong_places_are_told_before_anything_runs() {
    let place = Place::new();
    let file = small(&place, "");
    place.write("blocked", "a file where a folder should be");
    for variable in ["SURGCAM_RESULTS", "SURGCAM_STORE"] {
        let said: common::Said = place
            .surgcam(&["run", &file])
            .env(variable, place.path("blocked/below"))
            .output()
            .unwrap()
            .into();
        assert_eq!(said.code, Some(2), "{variable}: {}", said.err);
        assert!(
            said.err.starts_with("error: ")
                && said.err.contains("blocked/below")
                && said.err.contains(variable),
            "{}",
            said.err
        );
        assert!(place.entries("records").is_empty(), "{variable}: something ran");
    }
    let folder = place.folder.path().to_str().unwrap();
    let said = place.run(&["run", folder], 2);
    assert!(said.err.contains("is a folder") && said.err.contains("small.toml"), "{}", said.err);
    for arguments in
        [&["show", "latest"][..], &["diff", "latest", "latest"], &["logs", "--run", "latest"]]
    {
        let said = place.run(arguments, 2);
        assert!(said.err.contains("the store has none yet"), "{}", said.err);
    }
    assert!(place.run(&["logs"], 2).err.contains("no run has a journal"));
    assert!(
        place
            .run(&["logs", "train"], 2)
            .err
            .contains("no run has a stage whose name begins with `train`")
    );
    assert!(place.run(&["runs", "small"], 0).err.contains("no run of `small`"));
    let said = place.run(&["run", &file, "--set", "matrix.model=[tiny]"], 2);
    assert!(
        said.err.contains("`[tiny]` is no value of TOML") && said.err.contains("single ones"),
        "{}",
        said.err
    );
    let drawing = place.path("missing/folder/plan.svg");
    place.run(&["graph", &file, "--out", drawing.to_str().unwrap()], 0);
    assert!(
        std::fs::read_to_string(&drawing).unwrap().starts_with("<svg"),
        "the form is that of the file's name"
    );
    let said: common::Said = place
        .surgcam(&["store", "gc"])
        .env("SURGCAM_STORE", place.folder.path())
        .output()
        .unwrap()
        .into();
    assert_eq!(said.code, Some(2), "a folder of other things is made no store: {}", said.err);
    assert!(said.err.contains("is not a store") && !place.path("FORMAT").exists(), "{}", said.err);
    assert!(
        place.run(&["store", "ls", "--kind", "trian"], 2).err.contains("did you mean `train`?")
    );
}

/// An experiment on a folder of three frames, with the second broken by `break_it`.
fn broken(place: &Place, break_it: impl Fn(&std::path::Path)) -> String {
    let root = place.path("data");
    let labels = ["1 0 0 0 0 0 0 0", "0 1 0 0 0 0 0 0", "0 0 1 0 0 0 0 0"];
    for (number, labels) in labels.iter().enumerate() {
        write_endovis18(&root, &[(2, number as u32, picture(number as u32), labels)]);
    }
    write_endovis18(
        &root,
        &[(1, 0, picture(7), "1 0 0 0 0 0 0 0"), (1, 1, picture(8), "0 1 0 0 0 0 0 0")],
    );
    break_it(&root);
    let text = format!(
        "[experiment]\nname = \"broken\"\ntables = [\"classification\"]\n\
         [data.mine]\nadapter = \"endovis18\"\nroot = \"{}\"\ntrain = [2]\nvalidation = [1]\nimage_size = [32, 40]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"mine\"\nepochs = 1\nbatch_size = 2\n\
         [matrix]\nmodel = [\"tiny\"]\n",
        root.display()
    );
    place.write("broken.toml", &text).to_str().unwrap().to_string()
}

#[test]
fn bad_frames_are_named_with_file_and_line_and_can_be_skipped() {
    type Break = fn(&std::path::Path);
    let tool_file = "annotation_tool/train_dataset/seq_2.txt";
    let cases: [(Break, &[&str]); 5] = [
        (
            |root| std::fs::write(root.join("seq_2/left_frames/frame001.png"), "").unwrap(),
            &["frame001.png", "empty file"],
        ),
        (
            |root| {
                let path = root.join("seq_2/left_frames/frame001.png");
                let bytes = std::fs::read(&path).unwrap();
                std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["frame001.png", "cannot decode"],
        ),
        (
            |root| std::fs::remove_file(root.join("seq_2/left_frames/frame001.png")).unwrap(),
            &["frame001.png", "has no picture", "seq_2.txt:3"],
        ),
        (|root| append(root, "003 1 0\n"), &["seq_2.txt:5", "3 columns, 9 are expected"]),
        (
            |root| append(root, "001 1 0 0 0 0 0 0 0\r\n"),
            &["seq_2.txt:5", "frame001 is listed twice"],
        ),
    ];
    fn append(root: &std::path::Path, line: &str) {
        let path = root.join("annotation_tool/train_dataset/seq_2.txt");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{line}")).unwrap();
    }
    for (break_it, expected) in cases {
        let place = Place::new();
        let file = broken(&place, break_it);
        let said = place.run(&["run", &file], 1);
        for text in expected {
            assert!(said.err.contains(text), "{tool_file}: {}", said.err);
        }
        place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
        assert_eq!(place.run_record("broken")["skipped_frames"], 1);
        assert!(
            std::fs::read_to_string(place.path("results/broken/tables/classification.md"))
                .unwrap()
                .contains("1 frames were skipped")
        );
    }
}

/// Three frames of one Cholec80 video, trained and validated on; boxes are `rows`.
fn with_boxes(place: &Place, rows: &str) -> String {
    let root = place.path("data");
    let frames = root.join("frames/video03");
    std::fs::create_dir_all(&frames).unwrap();
    for number in 0..3 {
        common::picture(number).save(frames.join(format!("{number:06}.png"))).unwrap();
    }
    place.write(
        "data/tool_annotations/video03-tool.txt",
        "Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n50\t1\t1\n",
    );
    place.write("data/boxes/video03.csv", &format!("frame,tool,x1,y1,x2,y2\n{rows}"));
    let text = format!(
        "[experiment]\nname = \"boxes\"\nspeed = false\ntables = [\"localization\", \"extraction\"]\n\
         [data.mine]\nadapter = \"cholec80\"\nroot = {root:?}\ntrain = [3]\nvalidation = [3]\nimage_size = [64, 80]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"mine\"\nepochs = 1\nbatch_size = 2\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"ground-truth-boxes\", \"sl-fe\"]\n"
    );
    place.write("boxes.toml", &text).to_str().unwrap().to_string()
}

/// How many frames the localisation was scored on.
fn scored_frames(place: &Place) -> String {
    let table = place.table("boxes", "localization");
    let column =
        table.lines().next().unwrap().split(',').position(|name| name == "frames").unwrap();
    table.lines().nth(1).unwrap().split(',').nth(column).unwrap().to_string()
}

#[test]
fn a_box_that_cannot_be_used_is_named_by_its_line_and_can_be_skipped() {
    for (bad, problem) in
        [("1,laser,5,5,40,40\n", "laser"), ("1,hook,5,x,40,40\n", "`x` is not a coordinate")]
    {
        let place = Place::new();
        let file = with_boxes(&place, &format!("0,grasper,5,5,40,40\n{bad}2,hook,8,8,30,30\n"));
        let said = place.run(&["run", &file], 1);
        assert!(said.err.contains("video03.csv:3") && said.err.contains(problem), "{}", said.err);
        place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
        assert_eq!(
            (place.run_record("boxes")["skipped_frames"].as_i64(), scored_frames(&place).as_str()),
            (Some(1), "2")
        );
    }
}

#[test]
fn boxes_reach_a_little_over_the_picture_and_a_frame_without_pixels_is_scored_nowhere() {
    let place = Place::new();
    let file = with_boxes(&place, "0,grasper,-4,-3,84,40\n1,hook,79,63,80,64\n");
    place.run(&["run", &file], 0);
    assert_eq!(scored_frames(&place), "3");

    let place = Place::new();
    let file = with_boxes(&place, "0,grasper,5,5,40,40\n");
    let path = place.path("data/frames/video03/000002.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
    assert_eq!(scored_frames(&place), "2");
}

#[test]
fn label_files_with_windows_line_ends_are_read_and_an_empty_sequence_is_named() {
    let place = Place::new();
    let file = broken(&place, |root| {
        let path = root.join("annotation_tool/train_dataset/seq_2.txt");
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace('\n', "\r\n"))
            .unwrap();
    });
    place.run(&["run", &file], 0);
    let place = Place::new();
    let file = broken(&place, |root| {
        std::fs::write(
            root.join("annotation_tool/train_dataset/seq_2.txt"),
            common::ENDOVIS18_HEADER,
        )
        .unwrap();
    });
    let said = place.run(&["run", &file], 1);
    assert!(said.err.contains("seq_2 has no frames"), "{}", said.err);
}

#[test]
fn a_checkpoint_with_another_class_count_is_refused_in_words() {
    let place = Place::new();
    let file = broken(&place, |_| {});
    common::write_weights(&place.path("nine.safetensors"), [1, 1, 1, 1], false, 9, 1);
    let weights = format!("model.weights={:?}", place.path("nine.safetensors"));
    let said = place.run(&["run", &file, "--set", "model.train=none", "--set", &weights], 1);
    assert!(
        said.err.contains("the weights have 9 classes, the recipe's label space has 11"),
        "{}",
        said.err
    );
    place.run(
        &[
            "run",
            &file,
            "--set",
            "model.train=none",
            "--set",
            &weights,
            "--set",
            "data.label_space=endovis-9",
        ],
        0,
    );
}

#[test]
fn a_view_is_drawn_of_the_real_frames() {
    let Some(real) = real_frames() else { return };
    let place = Place::new();
    let out = place.path("view.png");
    let text = format!(
        "[experiment]\nname = \"real\"\n[data.cholec]\nadapter = \"cholec80\"\nroot = \"{}\"\ntrain = [3]\nvalidation = [3]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"cholec\"\nepochs = 1\nbatch_size = 5\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n",
        real.join("cholec80").display()
    );
    let file = place.write("real.toml", &text);
    let said = place.run(
        &[
            "view",
            file.to_str().unwrap(),
            "--frame",
            "video03/000060",
            "--out",
            out.to_str().unwrap(),
        ],
        0,
    );
    assert!(said.err.contains("3 true ones"), "{}", said.err);
    let drawn = image::open(&out).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (2 * 640 + 8, 512));
    assert!(project_folder().join("recipes").is_dir());
}
