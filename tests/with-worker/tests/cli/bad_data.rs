//! Data and weights that cannot be used as they are.

use surgcam_testkit as common;

use common::{Place, picture, write_endovis18};

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
         [data.mine]\nadapter = \"endovis18\"\nroot = \"{}\"\ntrain = [2]\nvalidation = [1]\n\
         image_size = [32, 40]\n\
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
