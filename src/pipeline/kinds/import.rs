//! `import`: turns a weights file into a checkpoint.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, PathOf, StageKind};
use surgcam_values::Backbone;

/// Reads a weights file without executing anything in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportStage {
    pub backbone: Backbone,
    /// The number of classes that its last layer must have. With `None`, that layer is dropped.
    pub classes: Option<usize>,
    /// As in [`crate::settings::Architecture`]; only of a head that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_length: Option<usize>,
}

inputs! {
    pub struct ImportInputs<S> {
        /// The digest of the file.
        weights: S,
    }
}

impl StageKind for ImportStage {
    const NAME: &'static str = "import";
    const VERSION: u32 = 1;

    type Inputs<S> = ImportInputs<S>;
}

impl ImportStage {
    /// A safetensors file with torchvision's names of tensors.
    pub const CHECKPOINT: OutputOf<Self> = OutputOf::new("checkpoint.safetensors");
    /// The weights file.
    pub const WEIGHTS: PathOf<Self> = PathOf::new("weights");
}
