//! What the kinds of stages have among their parameters that learn a task from features, or ask
//! those that have learnt: captions and interaction graphs (METHOD 8).

use serde::{Deserialize, Serialize};

use super::settings::ExtractionSettings;

/// What every head is trained with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadTraining {
    pub epochs: usize,
    /// Frames a step.
    pub batch_size: usize,
    pub learning_rate: f64,
    /// Regions of a frame; the most certain ones are kept.
    pub maximum_regions: usize,
    /// The control: heads see each frame with another frame's features.
    pub shuffled: bool,
    pub seed: u64,
}

/// The shape of a Meshed-Memory Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TransformerSettings {
    pub width: usize,
    /// Of the encoder, and of the decoder.
    pub layers: usize,
    pub attention_heads: usize,
    pub feed_forward: usize,
    /// Of each attention in the encoder; 0 for none.
    pub memory_slots: usize,
    pub dropout: f64,
}

/// Whether vectors of this width can be split among so many attention heads, and hold the sines and
/// cosines of places.
pub fn fits_attention_heads(width: usize, attention_heads: usize) -> bool {
    attention_heads > 0 && width.is_multiple_of(attention_heads) && width.is_multiple_of(2)
}

/// Heads up to this width are trained on one core, wherever their features come from: their steps
/// are so many and so small that more threads, or a GPU, would mostly wait. Several of them are
/// trained side by side instead.
pub(super) const ONE_CORE_WIDTH: usize = 128;

/// How sentences are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CaptionSearch {
    pub beam: usize,
    /// In words.
    pub longest: usize,
}

/// How trained heads are asked: as they were when they were scored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadUse {
    pub search: CaptionSearch,
    /// Of a frame, that the captioner and the graph see.
    pub caption_regions: usize,
    pub interaction_regions: usize,
}

impl Default for HeadUse {
    /// The paper's.
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

/// Further epochs in which backbone and head learn together, through SL-FE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointTraining {
    pub epochs: usize,
    /// Of the backbone.
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
    /// `[height, width]` that boxes count in.
    pub image_size: [u32; 2],
}

/// All that is needed to caption a picture beside the tensors: what an export writes as
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

/// Files of a trained head, which is an output of [`CaptionStage`](super::kinds::CaptionStage) and
/// of [`InteractStage`](super::kinds::InteractStage).
pub mod head_file {
    pub const TENSORS: &str = "head.safetensors";
    pub const SETTINGS: &str = "head.json";
    /// Alone in the folder where the train or the validation frames have no annotation of the task.
    pub const NOTHING_ANNOTATED: &str = "nothing-annotated.json";
    /// Of a captioner.
    pub const VOCABULARY: &str = "vocabulary.json";
    /// Of a jointly trained one: the backbone that belongs to it.
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
