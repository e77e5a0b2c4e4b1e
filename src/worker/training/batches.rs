//! Augmented batches. Other threads make them while the device works on the batch before.

use std::sync::mpsc::sync_channel;

use rand::seq::SliceRandom;
use rayon::prelude::*;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::random::stream;
use tch::Device;

use crate::frame_set::FrameSet;
use crate::images::Pixels;

/// The train frames of all parts of a mix, or the clips that they make.
pub struct TrainFrames {
    pub parts: Vec<FrameSet>,
    samples: Vec<Sample>,
    /// Frames of a sample.
    clip_length: usize,
}

/// A frame with its label, or a clip with the label of its last frame.
struct Sample {
    part: usize,
    /// The clip's frames in their order: rows of the part.
    rows: Vec<usize>,
}

impl Sample {
    /// The frame that is predicted.
    fn last_row(&self) -> usize {
        self.rows.last().copied().unwrap_or_else(|| unreachable!("a clip has a frame"))
    }
}

/// How an epoch is cut into batches, and how their pictures are changed.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    pub seed: u64,
    /// It counts frames. A batch has as many whole clips as fit.
    pub batch_size: usize,
    pub augmentation: Augmentation,
    /// Where they are used.
    pub device: Device,
}

/// One batch on the CPU.
pub struct Batch<'a> {
    /// The pixels of each frame, augmented; those of clips, clip after clip. They lie in memory
    /// that a GPU can fetch them from, so that nobody has to copy them. A copy would have to wait
    /// for the threads that augment the next batch.
    pub pixels: Pixels,
    /// The classes in the last frame of each sample.
    pub labels: Vec<&'a [usize]>,
}

/// Batches that are ready before they are asked for.
const AHEAD: usize = 2;

impl TrainFrames {
    /// All clips of `clip_length` frames. With 1, these are all frames.
    pub fn new(parts: Vec<FrameSet>, clip_length: usize) -> Self {
        let of_part = |(part, frames): (usize, &FrameSet)| -> Vec<Sample> {
            let clips = frames.train_clips(clip_length).into_iter();
            clips.map(|rows| Sample { part, rows: rows.to_vec() }).collect()
        };
        let samples = parts.iter().enumerate().flat_map(of_part).collect();
        TrainFrames { parts, samples, clip_length }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Batches of an epoch.
    pub fn batches(&self, batch_size: usize) -> usize {
        self.len().div_ceil(self.samples_in(batch_size))
    }

    /// Samples of a batch.
    fn samples_in(&self, batch_size: usize) -> usize {
        (batch_size / self.clip_length).max(1)
    }

    /// `[height, width]`.
    pub fn image_size(&self) -> [u32; 2] {
        self.parts[0].image_size()
    }

    /// The frames of one set again and again, for measuring.
    pub fn repeated(set: FrameSet, count: usize) -> Self {
        let sample = |&row: &usize| Sample { part: 0, rows: vec![row] };
        let samples = set.usable.iter().cycle().take(count).map(sample).collect();
        TrainFrames { parts: vec![set], samples, clip_length: 1 }
    }

    /// Hands the batches of an epoch, in its own order of the samples, to `use_batch`, one after
    /// the other.
    pub fn for_each_batch<'a>(
        &'a self,
        batching: &Batching,
        epoch: usize,
        mut use_batch: impl FnMut(usize, Batch<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut stream(&format!("order/{}/{epoch}", batching.seed)));
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                // If nobody receives batches any more, the epoch was given up.
                let _ = order
                    .chunks(self.samples_in(batching.batch_size))
                    .try_for_each(|batch| sender.send(self.batch(batching, epoch, batch)));
            });
            receiver
                .into_iter()
                .enumerate()
                .try_for_each(|(number, batch)| use_batch(number, batch))
        })
    }

    fn batch(&self, batching: &Batching, epoch: usize, samples: &[usize]) -> Batch<'_> {
        let [height, width] = self.image_size().map(|side| side as usize);
        // Random draws depend only on the sample, so all frames of a clip get the same one.
        let augmented = |(&(sample, row), values): (&(usize, usize), &mut [u8])| {
            let draw = batching.augmentation.draw(batching.seed, epoch, sample);
            let pack = &self.parts[self.samples[sample].part].pack;
            values.copy_from_slice(&draw.apply(pack.row(row), height, width));
        };
        let labels = |&sample: &usize| {
            let sample = &self.samples[sample];
            self.parts[sample.part].frames[sample.last_row()].labels.as_slice()
        };
        let frames: Vec<(usize, usize)> = samples
            .iter()
            .flat_map(|&sample| self.samples[sample].rows.iter().map(move |&row| (sample, row)))
            .collect();
        let mut pixels = Pixels::room_for(frames.len(), self.image_size(), batching.device);
        frames.par_iter().zip(pixels.pictures_mut()).for_each(augmented);
        Batch { pixels, labels: samples.iter().map(labels).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::values_of;
    use crate::frame_set::drawn;
    use std::path::Path;
    use surgcam_frames::dataset::index::Frame;
    use surgcam_pipeline::settings::Normalization;

    const SIZE: [u32; 2] = [32, 48];
    const BATCHING: Batching =
        Batching { seed: 5, batch_size: 8, augmentation: Augmentation::PAPER, device: Device::Cpu };

    /// Five frames of one sequence and two of another. The pictures of a sequence are equal; a
    /// frame's label is its row.
    fn frames(folder: &Path, is_train: impl Fn(usize) -> bool) -> FrameSet {
        let sequences = [1, 1, 1, 1, 1, 2, 2];
        let frame = |(row, sequence): (usize, &u32)| Frame {
            sequence: format!("seq_{sequence}"),
            name: format!("frame{row:03}"),
            train: is_train(row),
            validation: false,
            labels: vec![row],
            boxes: None,
            box_space: [0, 0],
            detected: vec![],
        };
        let frames: Vec<Frame> = sequences.iter().enumerate().map(frame).collect();
        drawn::frame_set(folder, &frames, SIZE, |row, x, y| {
            [(x * 5) as u8, (y * 7 * sequences[row]) as u8, 90]
        })
    }

    #[test]
    fn clips_are_whole_lie_in_one_sequence_and_have_the_label_of_their_last_frame() {
        let folder = tempfile::tempdir().unwrap();
        let clips = TrainFrames::new(vec![frames(folder.path(), |_| true)], 3);
        let (mut labels, mut sizes) = (Vec::new(), Vec::new());
        clips
            .for_each_batch(&BATCHING, 1, |_, batch| {
                sizes.push(batch.labels.len());
                labels.extend(batch.labels.iter().map(|labels| labels[0]));
                Ok(())
            })
            .unwrap();
        labels.sort_unstable();
        assert_eq!(labels, [2, 3, 4]);
        // Eight frames have room for two clips.
        assert_eq!((sizes, clips.batches(BATCHING.batch_size)), (vec![2, 1], 2));
        let with_a_gap = tempfile::tempdir().unwrap();
        let set = frames(with_a_gap.path(), |row| row != 2);
        assert_eq!(TrainFrames::new(vec![set], 3).len(), 0);
    }

    /// As [`crate::model::clips::ClipMemory`] has them.
    #[test]
    fn before_a_frame_come_those_of_its_sequence_or_the_first_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let set = frames(folder.path(), |_| true);
        let before = [(4, 2), (1, 2), (0, 2), (6, 3), (3, 0)];
        let found = before.map(|(row, count)| set.rows_before(row, count));
        assert_eq!(found, [vec![2, 3], vec![0, 0], vec![0, 0], vec![5, 5, 5], vec![]]);
    }

    #[test]
    fn the_frames_of_a_clip_are_changed_alike_and_clips_differently() {
        let folder = tempfile::tempdir().unwrap();
        let clips = TrainFrames::new(vec![frames(folder.path(), |_| true)], 3);
        let plain = Normalization { mean: [0.0; 3], std: [1.0; 3] };
        let mut of_clips: Vec<Vec<Vec<f32>>> = Vec::new();
        clips
            .for_each_batch(&BATCHING, 1, |_, batch| {
                let values = values_of(&batch.pixels.images(&plain, Device::Cpu));
                let frame = 3 * (SIZE[0] * SIZE[1]) as usize;
                let frames: Vec<Vec<f32>> = values.chunks(frame).map(<[f32]>::to_vec).collect();
                of_clips.extend(frames.chunks(3).map(<[Vec<f32>]>::to_vec));
                Ok(())
            })
            .unwrap();
        assert_eq!(of_clips.len(), 3);
        assert!(of_clips.iter().all(|clip| clip[0] == clip[1] && clip[1] == clip[2]));
        assert!(of_clips[0][0] != of_clips[1][0] || of_clips[1][0] != of_clips[2][0]);
    }
}
