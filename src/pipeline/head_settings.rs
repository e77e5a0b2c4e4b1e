//! Parameters of the stages that train or use a head: a captioner or an interaction graph
//! (docs/method.md, section 8).

use serde::{Deserialize, Serialize};

use super::settings::ExtractionSettings;

/// The training settings that all heads share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadTraining {
    pub epochs: usize,
    /// The number of frames in a training step.
    pub batch_size: usize,
    pub learning_rate: f64,
    /// The most regions of a frame that a head sees. The most certain ones are kept.
    pub maximum_regions: usize,
    /// Whether this is the control, in which heads see each frame with another frame's features.
    pub shuffled: bool,
    pub seed: u64,
}

/// The shape of a Meshed-Memory Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransformerSettings {
    pub width: usize,
    /// The number of layers of the encoder, and also of the decoder.
    pub layers: usize,
    pub attention_heads: usize,
    pub feed_forward: usize,
    /// The number of memory slots of each attention in the encoder. It may be 0.
    pub memory_slots: usize,
    pub dropout: f64,
}

/// Whether vectors of this width can be split among this number of attention heads, and can hold
/// the sines and cosines of positions.
pub fn fits_attention_heads(width: usize, attention_heads: usize) -> bool {
    attention_heads > 0 && width.is_multiple_of(attention_heads) && width.is_multiple_of(2)
}

/// Heads up to this width are trained on one core, even where a GPU made their features. Their
/// steps are so many and so small that more threads, or a GPU, would mostly wait. Instead, several
/// such heads are trained at the same time.
pub(super) const ONE_CORE_WIDTH: usize = 128;

/// How sentences are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CaptionSearch {
    pub beam: usize,
    /// The most words of a sentence.
    pub longest: usize,
}

/// How trained heads are used. These are the settings with which they were scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadUse {
    pub search: CaptionSearch,
    /// The most regions of a frame that the captioner sees.
    pub caption_regions: usize,
    /// The most regions of a frame that the interaction graph sees.
    pub interaction_regions: usize,
}

impl Default for HeadUse {
    /// The paper's settings.
    fn default() -> Self {
        HeadUse {
            search: CaptionSearch { beam: 5, longest: 20 },
            caption_regions: 6,
            interaction_regions: 6,
        }
    }
}

/// Further epochs that raise CIDEr itself (Rennie et al., "Self-Critical Sequence Training for
/// Image Captioning", CVPR 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfCritical {
    pub epochs: usize,
    pub learning_rate: f64,
}

/// Further epochs in which the backbone and the head learn together, through SL-FE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointTraining {
    pub epochs: usize,
    /// The learning rate of the backbone.
    pub learning_rate: f64,
    pub extraction: ExtractionSettings,
}

/// The shape of the interaction graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GraphSettings {
    pub width: usize,
    /// Rounds of messages between nodes.
    pub rounds: usize,
    pub attention_heads: usize,
    pub dropout: f64,
    /// Classes of the label space; the last is the tissue.
    pub classes: usize,
    /// `[height, width]` of the picture that the coordinates of boxes refer to.
    pub image_size: [u32; 2],
}

/// Everything except the tensors that is needed to caption a picture. An export writes it as
/// `captioner.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionerSettings {
    pub extraction: ExtractionSettings,
    /// `[height, width]` that pictures are resized to.
    pub image_size: [u32; 2],
    /// Names of the label space's classes.
    pub classes: Vec<String>,
    pub heads: HeadUse,
}

/// The files of a trained head, which is an output of [`CaptionStage`](super::kinds::CaptionStage)
/// and [`InteractStage`](super::kinds::InteractStage).
pub mod head_file {
    pub const TENSORS: &str = "head.safetensors";
    pub const SETTINGS: &str = "head.json";
    /// The only file in the folder if the train or the validation frames have no annotations for
    /// the task.
    pub const NOTHING_ANNOTATED: &str = "nothing-annotated.json";
    /// The words that a captioner knows.
    pub const VOCABULARY: &str = "vocabulary.json";
    /// The backbone that was trained together with the head, if it was trained jointly.
    pub const BACKBONE: &str = "backbone.safetensors";
}

/// Files of an exported captioner's folder.
pub mod captioner_file {
    pub const SETTINGS: &str = "captioner.json";
    pub const BACKBONE: &str = "backbone.safetensors";
    /// Folders of heads.
    pub const CAPTION: &str = "caption";
    pub const INTERACT: &str = "interact";
}
