//! Real captions are read as they are.

mod common;

use std::collections::BTreeSet;

use common::objects::objects;
use common::{Place, real_frames};
use surgcam_frames::dataset::annotations::caption_file;
use surgcam_frames::language::tokens::tokenize;
use surgcam_frames::language::vocabulary::Vocabulary;

/// METHOD 2.
const TRAIN: [u32; 11] = [2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 15];
const VALIDATION: [u32; 3] = [1, 5, 16];

#[test]
fn every_real_caption_belongs_to_a_frame_of_its_split() {
    let Some(real) = real_frames() else { return };
    for (name, count, sequences) in [("captions_train.json", 1124, &TRAIN[..]), ("captions_val.json", 392, &VALIDATION[..])] {
        let mut problems = Vec::new();
        let captions = caption_file::read(&real.join("endovis18/captions").join(name), &mut problems).unwrap();
        assert!(problems.is_empty(), "{}", problems[0]);
        assert_eq!(captions.len(), count);
        assert_eq!(captions.iter().map(|found| found.frame).collect::<BTreeSet<_>>().len(), count, "{name} has a frame twice");
        let found: BTreeSet<u32> = captions.iter().map(|found| found.frame.sequence).collect();
        assert_eq!(found, sequences.iter().copied().collect(), "{name}");
        for found in &captions {
            assert!(found.frame.frame < 300 && found.caption.starts_with('A'), "{found:?}");
        }
    }
}

/// Words of the captions of a file.
fn sentences(real: &std::path::Path, name: &str) -> Vec<Vec<String>> {
    let captions = caption_file::read(&real.join("endovis18/captions").join(name), &mut Vec::new()).unwrap();
    captions.iter().map(|found| tokenize(&found.caption)).collect()
}

#[test]
fn every_real_caption_is_told_again_in_the_words_of_the_vocabulary() {
    let Some(real) = real_frames() else { return };
    let (train, validation) = (sentences(&real, "captions_train.json"), sentences(&real, "captions_val.json"));
    let vocabulary = Vocabulary::of(train.iter().map(Vec::as_slice), 1);
    for words in train.iter().chain(&validation) {
        assert!((1..=20).contains(&words.len()), "{words:?} is longer than a captioner tells");
        assert!(words.iter().all(|word| !word.is_empty() && word.chars().all(|letter| !letter.is_uppercase() && !letter.is_whitespace())));
        let encoded = vocabulary.encode(words);
        assert_eq!(encoded.len(), words.len() + 2, "with start and end");
        assert_eq!(vocabulary.decode(&encoded[1..encoded.len() - 1]), *words);
    }
    let rare = Vocabulary::of(train.iter().map(Vec::as_slice), 50);
    assert!(rare.len() < vocabulary.len());
}

#[test]
fn every_real_caption_of_the_train_split_has_a_labelled_frame() {
    let Some(real) = real_frames() else { return };
    let captions = caption_file::read(&real.join("endovis18/captions/captions_train.json"), &mut Vec::new()).unwrap();
    for sequence in TRAIN {
        let text = std::fs::read_to_string(real.join(format!("endovis18/labels_all_train/seq_{sequence}.txt"))).unwrap();
        let labelled: BTreeSet<u32> = text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        let captioned = captions.iter().map(|found| found.frame).filter(|frame| frame.sequence == sequence);
        for frame in captioned {
            assert!(labelled.contains(&frame.frame), "{frame:?}");
        }
    }
}

/// The two real frames through the program: their captions arrive at their rows.
#[test]
fn real_captions_are_joined_to_their_frames() {
    let Some(real) = real_frames() else { return };
    let place = Place::new();
    let text = format!(
        "[experiment]\nname = \"real\"\ntables = [\"extraction\"]\nspeed = false\nheads = [\"caption-small\"]\n\
         [data.real]\nextends = \"endovis18\"\nroot = {:?}\ntrain = [2]\nvalidation = [1]\nimage_size = [64, 80]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"real\"\nepochs = 1\nbatch_size = 1\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n[set]\nhead.epochs = 2\n",
        real.join("endovis18")
    );
    let file = place.write("real.toml", &text);
    place.run(&["run", file.to_str().unwrap()], 0);
    let rows = place.table("real", "extraction");
    let (header, row) = rows.split_once('\n').unwrap();
    let column = header.split(',').position(|name| name == "BLEU-4").unwrap();
    assert!(!row.split(',').nth(column).unwrap().is_empty(), "{rows}");
    // What the captioner is judged by are the captions that the files have of these very frames.
    let written = |file: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(real.join("endovis18/captions").join(file)).unwrap()).unwrap()
    };
    let entries = [written("captions_train.json"), written("captions_val.json")].concat();
    let (_, _, said) = objects(&place).into_iter().find(|(kind, name, _)| kind == "caption" && name == "captions.jsonl").unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.lines().count() > 0);
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| line[name].as_str().unwrap().to_string();
        let (folder, file) = (format!("{}/", part("sequence")), format!("/{}_", part("frame")));
        let of_frame = |entry: &&serde_json::Value| {
            let id_path = entry["id_path"].as_str().unwrap();
            id_path.starts_with(&folder) && id_path.contains(&file)
        };
        let caption = |entry: &serde_json::Value| tokenize(entry["caption"].as_str().unwrap()).join(" ");
        let expected: Vec<String> = entries.iter().filter(of_frame).map(caption).collect();
        assert!(expected.contains(&part("reference")), "{line} {expected:?}");
    }
}
