//! Captions and interactions are read from each form that users have, and mistakes in them are
//! named by file and line.

use std::fs;

use super::*;
use crate::dataset::index::{self, Index, Layout, OnBadFrame};
use crate::dataset::labels::LabelSpace;

/// A data set of two sequences with two frames each, and whatever annotation files a test writes.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        for sequence in [2, 3] {
            let lines = "header\n000 1 0 0 0 0 1 0 0\n001 1 0 0 0 0 0 0 0\n";
            folder.write(&format!("labels/seq_{sequence}.txt"), lines);
            for frame in 0..2 {
                folder.write(&format!("seq_{sequence}/frame{frame:03}.png"), "never decoded");
            }
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn source(&self) -> SourceLayout {
        let patterns =
            |texts: &[&str]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        SourceLayout {
            layout: Layout::EndoVis18,
            train: vec![2],
            validation: vec![3],
            frames: Pattern::parse("seq_{sequence}/frame{frame:03}.png").unwrap(),
            labels: patterns(&["labels/seq_{sequence}.txt"]),
            boxes: patterns(&["gt_bbox/seq_{sequence}.txt", "seq_{sequence}/xml"]),
            captions: patterns(&["first.json", "second.json", "seq_{sequence}/xml"]),
            interactions: patterns(&[
                "interactions/seq_{sequence}.csv",
                "interactions.csv",
                "seq_{sequence}/xml",
            ]),
            frame_step: 1,
            verbs: BTreeMap::new(),
        }
    }

    fn index(&self, on_bad_frame: OnBadFrame) -> Result<Index> {
        index::build(&self.source(), self.0.path(), &classes(), on_bad_frame)
    }

    fn captions(&self) -> Vec<Option<String>> {
        self.index(OnBadFrame::Fail)
            .unwrap()
            .annotations
            .into_iter()
            .map(|found| found.caption)
            .collect()
    }

    fn interactions(&self) -> Vec<Option<Vec<(usize, usize)>>> {
        let pairs = |found: Vec<LabelledInteraction>| {
            found.iter().map(|found| (found.class, found.interaction)).collect()
        };
        self.index(OnBadFrame::Fail)
            .unwrap()
            .annotations
            .into_iter()
            .map(|found| found.interactions.map(pairs))
            .collect()
    }

    fn failure(&self) -> String {
        self.index(OnBadFrame::Fail).err().unwrap().to_string()
    }
}

fn classes() -> ClassMap {
    let tools = [
        "bipolar forceps",
        "prograsp forceps",
        "large needle driver",
        "monopolar curved scissors",
        "ultrasound probe",
        "suction",
    ];
    let names = tools
        .into_iter()
        .chain(["clip applier", "stapler", "hook", "tissue"])
        .map(|class| (normalized(class), class));
    ClassMap {
        space: LabelSpace {
            classes: ["bipolar forceps", "suction", "tissue"].map(String::from).to_vec(),
        },
        names: names
            .chain([("kidney".to_string(), "tissue")])
            .map(|(name, class)| (name, class.to_string()))
            .collect(),
    }
}

fn captions_json(entries: &[(&str, &str)]) -> String {
    let entries = entries
        .iter()
        .map(|(id_path, caption)| serde_json::json!({ "id_path": id_path, "caption": caption }));
    serde_json::Value::from_iter(entries).to_string()
}

const XML: &str = "<annotation><caption>of the XML</caption>
<objects><name>kidney</name><interaction>Idle</interaction>
<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></objects>
<objects><name>bipolar_forceps</name><interaction>Looping</interaction></objects></annotation>";

#[test]
fn without_annotation_files_nothing_is_claimed() {
    assert_eq!(
        Folder::new().index(OnBadFrame::Fail).unwrap().annotations,
        vec![FrameAnnotation::default(); 4]
    );
}

#[test]
fn captions_of_all_files_are_put_together_and_the_earlier_counts() {
    let folder = Folder::new();
    folder.write(
        "first.json",
        &captions_json(&[("seq_2/features/frame000_features.npy", "of the first")]),
    );
    let elsewhere =
        [("seq_9/frame000.npy", "x"), ("seq_9/frame000.npy", "y"), ("seq_2/frame077.npy", "z")];
    folder.write(
        "second.json",
        &captions_json(
            &[&[("seq_2/frame000", "late"), ("seq_3/frame001", "of the second")], &elsewhere[..]]
                .concat(),
        ),
    );
    folder.write("seq_3/xml/frame001.xml", XML);
    folder.write("seq_3/xml/frame000.xml", XML);
    let expected = [Some("of the first"), None, Some("of the XML"), Some("of the second")];
    assert_eq!(folder.captions(), expected.map(|caption| caption.map(String::from)));
}

#[test]
fn two_captions_for_one_frame_name_both_places() {
    let folder = Folder::new();
    folder.write(
        "first.json",
        &captions_json(&[("seq_2/frame000", "one"), ("seq_2/left/frame000.png", "two")]),
    );
    let failure = folder.failure();
    assert!(
        failure.contains("first.json: entry 2: seq_2/frame000 has a second caption (the first: "),
        "{failure}"
    );
    assert!(failure.contains("first.json: entry 1)"), "{failure}");
}

#[test]
fn each_sequence_takes_the_first_interactions_that_exist() {
    let folder = Folder::new();
    folder.write(
        "interactions/seq_2.csv",
        "frame,tool,interaction\n000,Suction,Suction\n000,bipolar_forceps,Retraction\n\
         001,hook,Cutting\n",
    );
    folder.write(
        "interactions.csv",
        "sequence,frame,tool,interaction\n2,1,suction,Idle\nseq_3,1,suction,idle\n\
         seq_3,1,suction,Idle\n9,1,?,?\n",
    );
    folder.write("seq_3/xml/frame000.xml", XML);
    assert_eq!(
        folder.interactions(),
        [Some(vec![(0, 2), (1, 7)]), Some(vec![]), None, Some(vec![(1, 0)])]
    );
}

#[test]
fn xml_gives_interactions_and_captions_beside_another_box_file() {
    let folder = Folder::new();
    folder.write("seq_3/xml/frame001.xml", XML);
    let boxes = format!("frame001, 1, 2, 3, 4{}\n", ", 0, 0, 0, 0".repeat(8));
    folder.write("gt_bbox/seq_3.txt", &boxes);
    let index = folder.index(OnBadFrame::Fail).unwrap();
    assert_eq!(index.frames[3].boxes.as_ref().unwrap()[0].class, 0);
    let expected = FrameAnnotation {
        caption: Some("of the XML".into()),
        interactions: Some(vec![LabelledInteraction { class: 0, interaction: 8 }]),
        phase: None,
    };
    assert_eq!(index.annotations[3], expected);
}

#[test]
fn a_bad_annotation_fails_or_is_skipped_and_the_index_stays_the_same() {
    let folder = Folder::new();
    folder.write("gt_bbox/seq_3.txt", "");
    let without = folder.index(OnBadFrame::Skip).unwrap();
    folder.write(
        "interactions/seq_2.csv",
        "frame,tool,interaction\n000,laser,Idle\n000,suction,Juggling\n000,suction,Idle\n",
    );
    folder.write("seq_3/xml/frame000.xml", "<annotation>");
    let failure = folder.failure();
    assert!(failure.contains("frame000.xml:1: cannot understand the XML"), "{failure}");
    assert!(
        failure.contains("2 more captions and interactions of this data set have a problem"),
        "{failure}"
    );
    let with = folder.index(OnBadFrame::Skip).unwrap();
    assert_eq!((&with.frames, with.skipped_annotations.len()), (&without.frames, 3));
    let [_, laser, juggling] = &with.skipped_annotations[..] else {
        panic!("{:?}", with.skipped_annotations)
    };
    assert!(
        laser.place.ends_with("seq_2.csv:2") && laser.problem.contains("`laser` is not a class"),
        "{laser:?}"
    );
    assert!(
        juggling.place.ends_with("seq_2.csv:3")
            && juggling.problem.contains("`Juggling` is not an interaction"),
        "{juggling:?}"
    );
    assert_eq!(
        with.annotations[0].interactions,
        Some(vec![LabelledInteraction { class: 1, interaction: 0 }])
    );
}

#[test]
fn one_folder_of_xml_for_all_sequences_is_refused() {
    let folder = Folder::new();
    folder.write("second.json/frame000.xml", XML);
    assert!(folder.failure().contains("`second.json` names none"));
}

#[test]
fn the_digest_of_the_data_covers_the_annotation_files() {
    let folder = Folder::new();
    for name in
        ["second.json", "interactions.csv", "seq_2/xml/frame000.xml", "interactions/seq_3.csv"]
    {
        folder.write(name, "");
    }
    let files = folder.source().source_files(folder.0.path()).unwrap();
    for name in
        ["second.json", "interactions.csv", "seq_2/xml/frame000.xml", "interactions/seq_3.csv"]
    {
        assert!(files.contains(&PathBuf::from(name)), "{name} is not in {files:?}");
    }
}
