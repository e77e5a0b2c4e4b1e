//! `pack`: the pixels of all frames, decoded once.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, PathOf, StageKind};
use surgcam_frames::dataset::index::OnBadFrame;
use surgcam_frames::metrics::LeftOut;

/// Decodes and resizes pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackStage {
    /// `[height, width]`.
    pub image_size: [u32; 2],
    pub on_bad_frame: OnBadFrame,
}

inputs! {
    pub struct PackInputs<S> {
        pictures: S,
        /// The pictures themselves, where they are drawn.
        sample: Option<S>,
    }
}

impl StageKind for PackStage {
    const NAME: &'static str = "pack";
    const VERSION: u32 = 2;

    type Inputs<S> = PackInputs<S>;
}

impl HasMetrics for PackStage {
    type Metrics = LeftOut;
}

impl PackStage {
    /// The pixels, in files that are mapped into memory.
    pub const PACK: OutputOf<Self> = OutputOf::new("pack");
    /// The user's folder, where the data set is not drawn.
    pub const ROOT: PathOf<Self> = PathOf::new("root");
}
