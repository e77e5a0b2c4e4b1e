//! Real captions are read as they are.

use surgcam_testkit as common;

use std::collections::BTreeSet;

use common::real_frames;
use surgcam_frames::dataset::annotations::caption_file;
use surgcam_frames::language::tokens::tokenize;
use surgcam_frames::language::vocabulary::Vocabulary;

/// The sequences for training (METHOD 2).
const TRAIN: [u32; 11] = [2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 15];

const VALIDATION: [u32; 3] = [1, 5, 16];

#[test]
fn every_real_caption_belongs_to_a_frame_of_its_split() {
    let Some(real) = real_frames() else { return };
    for (name, count, sequences) in
        [("captions_train.json", 1124, &TRAIN[..]), ("captions_val.json", 392, &VALIDATION[..])]
    {
        let mut problems = Vec::new();
        let captions =
            caption_file::read(&real.join("endovis18/captions").join(name), &mut problems).unwrap();
        assert!(problems.is_empty(), "{}", problems[0]);
        assert_eq!(captions.len(), count);
        assert_eq!(
            captions.iter().map(|found| found.frame).collect::<BTreeSet<_>>().len(),
            count,
            "{name} has a frame twice"
        );
        let found: BTreeSet<u32> = captions.iter().map(|found| found.frame.sequence).collect();
        assert_eq!(found, sequences.iter().copied().collect(), "{name}");
        for found in &captions {
            assert!(found.frame.frame < 300 && found.caption.starts_with('A'), "{found:?}");
        }
    }
}

/// The words of each caption of a file.
fn sentences(real: &std::path::Path, name: &str) -> Vec<Vec<String>> {
    let captions =
        caption_file::read(&real.join("endovis18/captions").join(name), &mut Vec::new()).unwrap();
    captions.iter().map(|found| tokenize(&found.caption)).collect()
}

#[test]
fn every_real_caption_is_told_again_in_the_words_of_the_vocabulary() {
    let Some(real) = real_frames() else { return };
    let (train, validation) =
        (sentences(&real, "captions_train.json"), sentences(&real, "captions_val.json"));
    let vocabulary = Vocabulary::of(train.iter().map(Vec::as_slice), 1);
    for words in train.iter().chain(&validation) {
        assert!((1..=20).contains(&words.len()), "{words:?} is longer than a captioner tells");
        assert!(words.iter().all(|word| !word.is_empty()
            && word.chars().all(|letter| !letter.is_uppercase() && !letter.is_whitespace())));
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
    let captions =
        caption_file::read(&real.join("endovis18/captions/captions_train.json"), &mut Vec::new())
            .unwrap();
    for sequence in TRAIN {
        let text = std::fs::read_to_string(
            real.join(format!("endovis18/labels_all_train/seq_{sequence}.txt")),
        )
        .unwrap();
        let labelled: BTreeSet<u32> =
            text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
        let captioned =
            captions.iter().map(|found| found.frame).filter(|frame| frame.sequence == sequence);
        for frame in captioned {
            assert!(labelled.contains(&frame.frame), "{frame:?}");
        }
    }
}
