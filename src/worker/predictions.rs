//! The logits of frames for the evaluation of a classifier. Each frame goes through the ResNet
//! once, even if the classifier sees clips.

use std::collections::HashSet;

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Normalization;
use tch::{Device, Tensor};

use crate::frame_set::FrameSet;
use crate::model::classifier::Classifier;
use crate::model::clips::ClipMemory;

/// How frames are sent through the network.
pub struct Forwarding<'a> {
    pub normalization: &'a Normalization,
    /// Frames in a pass.
    pub batch_size: usize,
    pub device: Device,
}

/// The logits [rows, classes] of `rows`, on the device. The rows must be in rising order.
/// `on_progress` is told how many frames are done, and how many there are.
pub fn logits_of(
    classifier: &dyn Classifier,
    frames: &FrameSet,
    rows: &[usize],
    forwarding: &Forwarding,
    on_progress: impl Fn(usize, usize) -> Result<()>,
) -> Result<Tensor> {
    // A clip also has frames that are not asked for.
    let parts = if classifier.clip_length() == 1 { vec![rows] } else { frames.sequences_of(rows) };
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let wanted: HashSet<usize> = rows.iter().copied().collect();
    let mut memory = ClipMemory::new(classifier.clip_length());
    let (mut done, mut found) = (0, Vec::new());
    for part in parts {
        if let Some(&first) = part.first() {
            memory.enter(&frames.frames[first].sequence);
        }
        for batch in part.chunks(forwarding.batch_size) {
            let images = frames.images(batch, forwarding.normalization, forwarding.device);
            let maps = classifier.maps_of(&images)?;
            let clips = memory.clips_of(&classifier.pooled(&maps.layer4));
            let logits = classifier.logits_of_clips(&clips);
            let asked_for: Vec<i64> = (0..batch.len() as i64)
                .filter(|&place| wanted.contains(&batch[place as usize]))
                .collect();
            found.push(if asked_for.len() == batch.len() {
                logits
            } else {
                logits.index_select(0, &Tensor::from_slice(&asked_for).to_device(logits.device()))
            });
            done += batch.len();
            on_progress(done, total)?;
        }
    }
    Ok(Tensor::cat(&found, 0))
}
