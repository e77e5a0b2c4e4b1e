//! Augmented batches, made by threads of their own while the device works on the one before.

use std::sync::mpsc::sync_channel;

use rand::seq::SliceRandom;
use rayon::prelude::*;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::random::stream;
use tch::Device;

use crate::frame_set::FrameSet;
use crate::images::Pixels;

/// The train frames of all parts of a mix.
pub struct TrainFrames {
    pub parts: Vec<FrameSet>,
    /// Of each frame its part and its row there.
    samples: Vec<(usize, usize)>,
}

/// How an epoch is cut into batches, and how their pictures are changed.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    pub seed: u64,
    pub batch_size: usize,
    pub augmentation: Augmentation,
    /// Where they are used.
    pub device: Device,
}

/// One batch on the CPU.
pub struct Batch<'a> {
    /// Of each frame, augmented. They lie where a GPU fetches them from: whoever uses the batch has
    /// nothing to copy, and would wait for the threads that augment the next one.
    pub pixels: Pixels,
    /// Of each frame the classes in it.
    pub labels: Vec<&'a [usize]>,
}

/// Batches that are ready before they are asked for.
const AHEAD: usize = 2;

impl TrainFrames {
    pub fn new(parts: Vec<FrameSet>) -> Self {
        let of_part = |(part, frames): (usize, &FrameSet)| {
            frames.train_rows().into_iter().map(move |row| (part, row)).collect::<Vec<_>>()
        };
        let samples = parts.iter().enumerate().flat_map(of_part).collect();
        TrainFrames { parts, samples }
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// `[height, width]`.
    pub fn image_size(&self) -> [u32; 2] {
        self.parts[0].image_size()
    }

    /// The frames of one set, round and round: for measuring.
    pub fn repeated(set: FrameSet, count: usize) -> Self {
        let samples = set.usable.iter().cycle().take(count).map(|&row| (0, row)).collect();
        TrainFrames { parts: vec![set], samples }
    }

    /// Hands the batches of an epoch, in its own order of the frames, to `use_batch`, one after the
    /// other.
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
                // When nobody receives any more, the epoch was given up.
                let _ = order
                    .chunks(batching.batch_size)
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
        let augmented = |(&sample, values): (&usize, &mut [u8])| {
            let (part, row) = self.samples[sample];
            let draw = batching.augmentation.draw(batching.seed, epoch, sample);
            values.copy_from_slice(&draw.apply(self.parts[part].pack.row(row), height, width));
        };
        let labels = |&sample: &usize| {
            let (part, row) = self.samples[sample];
            self.parts[part].frames[row].labels.as_slice()
        };
        let mut pixels = Pixels::room_for(samples.len(), self.image_size(), batching.device);
        samples.par_iter().zip(pixels.pictures_mut()).for_each(augmented);
        Batch { pixels, labels: samples.iter().map(labels).collect() }
    }
}
