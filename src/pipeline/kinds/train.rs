//! `train`: the training of a classifier.

use serde::{Deserialize, Serialize};

use crate::settings::{Architecture, Normalization, Plateau};
use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_values::TrainingPrecision;

/// Trains a classifier.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub validation_normalization: Normalization,
    pub augmentation: Augmentation,
    pub epochs: usize,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub dropout: f64,
    pub plateau: Plateau,
    /// It is not serialised for f32, so that a training keeps the key that it had before there was
    /// a choice.
    #[serde(default, skip_serializing_if = "TrainingPrecision::is_default")]
    pub precision: TrainingPrecision,
    pub seed: u64,
}

inputs! {
    pub struct TrainInputs<S> {
        /// For a mix, the pack of each part.
        pack: Vec<S>,
        index: Vec<S>,
        validation_pack: S,
        validation_index: S,
        /// The checkpoint that training starts from, if it does not start from random weights.
        checkpoint: Option<S>,
    }
}

impl StageKind for TrainStage {
    const NAME: &'static str = "train";
    const VERSION: u32 = 2;

    type Inputs<S> = TrainInputs<S>;
}

impl TrainStage {
    /// The weights of the epoch with the best validation mAP, as safetensors with torchvision's
    /// names.
    pub const CHECKPOINT: OutputOf<Self> = OutputOf::new("checkpoint.safetensors");
    /// The weights after the last epoch.
    pub const LAST: OutputOf<Self> = OutputOf::new("last.safetensors");
    /// The losses, accuracy, mAP, learning rate and time of every epoch.
    pub const HISTORY: OutputOf<Self> = OutputOf::new("history.parquet");
    pub const HISTORY_CSV: OutputOf<Self> = OutputOf::new("history.csv");
}
