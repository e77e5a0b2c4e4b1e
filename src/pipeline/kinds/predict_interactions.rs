//! `predict-interactions`: what a trained interaction graph says of each annotated instrument of
//! the validation frames.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};

/// Asks an interaction graph about the validation frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PredictInteractionsStage {
    pub maximum_regions: usize,
    /// For the control, the seed by which frames exchange their features, as in training.
    pub shuffled_by: Option<u64>,
}

inputs! {
    pub struct PredictInteractionsInputs<S> {
        head: S,
        features: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
        annotations: S,
    }
}

impl StageKind for PredictInteractionsStage {
    const NAME: &'static str = "predict-interactions";
    const VERSION: u32 = 1;

    type Inputs<S> = PredictInteractionsInputs<S>;
}

impl PredictInteractionsStage {
    /// The probabilities of all interactions for each instrument. It has no rows if the train or
    /// the validation frames have no interactions.
    pub const PREDICTIONS: OutputOf<Self> = OutputOf::new("predictions.parquet");
}
