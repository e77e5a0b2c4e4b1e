//! Compares caption scores with those of the COCO caption tools and of METEOR's own program
//! (tests/golden/metrics.json).

use surgcam_testkit as common;

use std::collections::BTreeMap;

use common::golden_folder;
use serde::Deserialize;
use surgcam_frames::language::meteor::meteor;
use surgcam_frames::language::scores::{Judged, score};
use surgcam_frames::language::tokens::tokenize;

#[derive(Deserialize)]
struct Golden {
    captions: Captions,
}

#[derive(Deserialize)]
struct Captions {
    references: BTreeMap<String, String>,
    hypotheses: BTreeMap<String, String>,
    bleu: [f64; 4],
    rouge_l: f64,
    cider: f64,
    meteor_1_5: f64,
    meteor_1_5_per_caption: Vec<f64>,
}

#[test]
fn scores_are_those_of_the_caption_tools() {
    let golden: Golden =
        serde_json::from_slice(&std::fs::read(golden_folder().join("metrics.json")).unwrap())
            .unwrap();
    let golden = golden.captions;
    let judge = |place: usize| {
        let of = |captions: &BTreeMap<String, String>| tokenize(&captions[&place.to_string()]);
        Judged { candidate: of(&golden.hypotheses), references: vec![of(&golden.references)] }
    };
    let judged: Vec<Judged> = (0..golden.references.len()).map(judge).collect();
    let found = score(&judged);
    for (found, expected) in found
        .bleu
        .iter()
        .zip(golden.bleu)
        .chain([(&found.rouge_l, golden.rouge_l), (&found.cider, golden.cider)])
    {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    for (judged, expected) in judged.iter().zip(&golden.meteor_1_5_per_caption) {
        let found = meteor(std::slice::from_ref(judged));
        assert!((found - expected).abs() < 2e-3, "{judged:?}: {found} {expected}");
    }
    assert!(
        (found.meteor - golden.meteor_1_5).abs() < 2e-3,
        "{} {}",
        found.meteor,
        golden.meteor_1_5
    );
}
