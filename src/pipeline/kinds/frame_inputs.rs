//! What every kind reads that looks at frames through a network: siblings in a pass have equal
//! inputs, and so one type of them.

use surgcam_engine::inputs;

/// Heat maps and features of one checkpoint are made in one pass over its frames.
pub const FRAMES_PASS: &str = "frames";

inputs! {
    /// A network and the frames that it looks at.
    pub struct FrameInputs<S> {
        checkpoint: S,
        pack: S,
        index: S,
        /// The boxes of a detector, where the extraction uses them.
        detections: Option<S>,
    }
}
