//! `describe`: captions of pictures that are not annotated.

use serde::{Deserialize, Serialize};

use crate::checked::Checked;
use crate::head_settings::CaptionerSettings;
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::{OutputOf, PathOf, StageKind};

/// Captions pictures. The result is never kept in the user's store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescribeStage {
    pub captioner: Checked<CaptionerSettings>,
}

impl StageKind for DescribeStage {
    const NAME: &'static str = "describe";
    const VERSION: u32 = 2;

    type Inputs<S> = NoInputs;
}

impl DescribeStage {
    /// A file with one line for each picture.
    pub const DESCRIPTIONS: OutputOf<Self> = OutputOf::new("descriptions.jsonl");
    /// A picture or a folder of them.
    pub const ROOT: PathOf<Self> = PathOf::new("root");
    /// The folder of an exported captioner.
    pub const CAPTIONER: PathOf<Self> = PathOf::new("captioner");
}
