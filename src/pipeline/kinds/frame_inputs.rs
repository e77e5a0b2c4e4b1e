//! The inputs of every kind that sends frames through a network. Stages that are made in one pass
//! have equal inputs, so these kinds share this type.

use surgcam_engine::inputs;

/// Heat maps and features of one checkpoint are made in one pass over its frames.
pub const FRAMES_PASS: &str = "frames";

inputs! {
    /// A network and the frames that are sent through it.
    pub struct FrameInputs<S> {
        checkpoint: S,
        pack: S,
        index: S,
        /// The boxes of a detector, where the extraction uses them.
        detections: Option<S>,
    }
}
