//! Captions, regions and a small captioner for tests.

use std::collections::HashMap;

use rand::RngExt;
use surgcam_frames::language::tokens::tokenize;
use surgcam_frames::language::vocabulary::Vocabulary;
use surgcam_frames::random::stream;
use surgcam_frames::vision::geometry::Box2;
use surgcam_pipeline::head_settings::TransformerSettings;
use tch::Device;

use super::Captioner;
use crate::heads::layers::TensorSource;
use crate::heads::regions::{FEATURES, FrameRegions, HeadRegion};
use crate::model::weights::Weights;

pub const SMALL: TransformerSettings = TransformerSettings {
    width: 64,
    layers: 2,
    attention_heads: 4,
    feed_forward: 128,
    memory_slots: 8,
    dropout: 0.0,
};

/// 30 different captions in the manner of the real ones, each with its own random regions.
pub fn thirty() -> (Vec<Vec<String>>, FrameRegions) {
    let tools = [
        "bipolar forceps",
        "prograsp forceps",
        "large needle driver",
        "monopolar curved scissors",
        "suction",
        "clip applier",
    ];
    let actions = ["looping", "cutting", "retracting", "cauterizing", "manipulating"];
    let caption = |number: usize| {
        let action = actions[number % actions.len()];
        tokenize(&match number % 2 {
            0 => format!("A {} is {action} tissue", tools[number / 5]),
            _ => format!(
                "A {} and a {} are {action} kidney tissue",
                tools[number / 5],
                tools[(number + 1) % tools.len()]
            ),
        })
    };
    let mut random = stream("thirty captions");
    let of_row = |row| {
        let count = random.random_range(1..=6);
        let region = |_| HeadRegion {
            class: 0,
            bounds: Box2::from([0, 0, 1, 1]),
            features: (0..FEATURES).map(|_| random.random_range(0.0..1.0)).collect(),
        };
        (row, (0..count).map(region).collect())
    };
    (
        (0..30).map(caption).collect(),
        FrameRegions::new((0..30).map(of_row).collect::<HashMap<_, _>>(), 6),
    )
}

pub fn captioner(captions: &[Vec<String>], seed: u64) -> (Captioner, Weights) {
    let vocabulary = Vocabulary::of(captions.iter().map(Vec::as_slice), 1);
    let mut source = TensorSource::random(seed, Device::Cpu);
    let captioner = Captioner::new(&mut source, SMALL, vocabulary).unwrap();
    (captioner, source.into_parameters())
}
