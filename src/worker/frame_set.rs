//! The frames of a data set as a network sees them: a pack's pixels with an index's labels.

use std::collections::HashSet;
use std::path::Path;

use surgcam_artifacts::boxes::{self, BoxRow};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::fields::number_at_end;
use surgcam_frames::dataset::index::{DetectedBox, Frame, read_frames};
use surgcam_frames::dataset::pack::Pack;
use surgcam_pipeline::settings::{Architecture, Normalization};
use tch::{Device, Tensor};

use crate::images;

pub struct FrameSet {
    pub pack: Pack,
    pub frames: Vec<Frame>,
    /// Rows whose picture could be read.
    pub usable: Vec<usize>,
}

impl FrameSet {
    pub fn open(pack: &Path, index: &Path) -> Result<Self> {
        let pack = Pack::open(pack)?;
        let frames = read_frames(index)?;
        if frames.len() != pack.manifest.count {
            return Err(Error::failure(format!(
                "the index has {} frames, the pack {}",
                frames.len(),
                pack.manifest.count
            )));
        }
        let usable = (0..frames.len()).filter(|&row| !pack.is_skipped(row)).collect();
        Ok(FrameSet { pack, frames, usable })
    }

    /// With the boxes that a detector found, where there are some.
    pub fn with_detections(mut self, boxes: Option<&Path>) -> Result<Self> {
        let Some(path) = boxes else { return Ok(self) };
        for BoxRow { row, class, scored } in boxes::read(path)? {
            let frame = self.frames.get_mut(row).ok_or_else(|| {
                Error::failure(format!(
                    "there is a box of frame {row}, which the index does not have"
                ))
                .at_path(path)
            })?;
            frame.detected.push(DetectedBox { class, scored });
        }
        Ok(self)
    }

    pub fn train_rows(&self) -> Vec<usize> {
        self.usable.iter().copied().filter(|&row| self.frames[row].train).collect()
    }

    pub fn validation_rows(&self) -> Vec<usize> {
        self.usable.iter().copied().filter(|&row| self.frames[row].validation).collect()
    }

    /// All rows of those sequences that have one of `rows`, sequence after sequence.
    pub fn sequences_of(&self, rows: &[usize]) -> Vec<&[usize]> {
        let wanted: HashSet<&str> =
            rows.iter().map(|&row| self.frames[row].sequence.as_str()).collect();
        self.sequences()
            .filter(|rows| wanted.contains(self.frames[rows[0]].sequence.as_str()))
            .collect()
    }

    /// The rows of each sequence whose picture could be read.
    pub fn sequences(&self) -> impl Iterator<Item = &[usize]> {
        self.usable.chunk_by(move |&a, &b| self.frames[a].sequence == self.frames[b].sequence)
    }

    /// The clips of train frames: `length` consecutive frames of one sequence, all of them train
    /// frames. A frame whose picture could not be read is skipped.
    pub fn train_clips(&self, length: usize) -> Vec<&[usize]> {
        let clips = self.sequences().flat_map(|rows| rows.windows(length.max(1)));
        clips.filter(|clip| clip.iter().all(|&row| self.frames[row].train)).collect()
    }

    /// The `count` frames before this one in its clip, in their order. Where there are too few in
    /// its sequence, the first frame of the sequence is repeated.
    pub fn rows_before(&self, row: usize, count: usize) -> Vec<usize> {
        let place = self.usable.partition_point(|&usable| usable < row);
        let sequence = &self.frames[row].sequence;
        let mut before: Vec<usize> = self.usable[..place]
            .iter()
            .rev()
            .copied()
            .take_while(|&before| self.frames[before].sequence == *sequence)
            .take(count)
            .collect();
        let first = before.last().copied().unwrap_or(row);
        before.resize(count, first);
        before.reverse();
        before
    }

    /// Fails where the frames of a sequence are not in the order of their numbers and a classifier
    /// depends on it.
    pub fn check_order_for(&self, architecture: Architecture) -> Result<()> {
        if architecture.clip_length.is_none() {
            return Ok(());
        }
        let out_of_order = |pair: &&[usize]| {
            let number = |row: usize| number_at_end(&self.frames[row].name);
            number(pair[0]).zip(number(pair[1])).is_some_and(|(before, after)| after <= before)
        };
        let Some(pair) = self.sequences().flat_map(|rows| rows.windows(2)).find(out_of_order)
        else {
            return Ok(());
        };
        let [before, frame] = [pair[0], pair[1]].map(|row| &self.frames[row]);
        Err(Error::failure(format!(
            "{} comes after {} in {}, and clips need the frames in the order of their numbers",
            frame.name, before.name, frame.sequence
        ))
        .hint("list the frames of each sequence in their order, or set model.clip_length = 1"))
    }

    /// `[height, width]`.
    pub fn image_size(&self) -> [u32; 2] {
        [self.pack.manifest.height, self.pack.manifest.width]
    }

    /// [N, 3, H, W], normalised, on the device.
    pub fn images(&self, rows: &[usize], normalization: &Normalization, device: Device) -> Tensor {
        let planes: Vec<&[u8]> = rows.iter().map(|&row| self.pack.row(row)).collect();
        images::of_pictures(&planes, self.image_size(), normalization, device)
    }
}

/// [N, classes] of 0 and 1.
///
/// # Errors
/// If a label is not one of the classes, which can happen with an index that somebody else made.
pub fn label_tensor<'a>(
    labels: impl IntoIterator<Item = &'a [usize]>,
    classes: usize,
    device: Device,
) -> Result<Tensor> {
    let mut values = Vec::new();
    let mut count = 0;
    for present in labels {
        let start = values.len();
        values.resize(start + classes, 0f32);
        for &class in present {
            let Some(value) = values[start..].get_mut(class) else {
                return Err(Error::failure(format!(
                    "a frame of the index has the label {class}, and there are {classes} classes"
                ))
                .hint(
                    "the index was not made by this program; remove it from the store, and the \
                     next run makes it again",
                ));
            };
            *value = 1.0;
        }
        count += 1;
    }
    let labels = if device == Device::Cpu {
        Tensor::from_slice(&values)
    } else {
        images::uploaded(&values, device)
    };
    Ok(labels.view([count, classes as i64]))
}

#[cfg(test)]
pub mod drawn {
    //! Frame sets of drawn pictures, for tests.

    use std::path::PathBuf;

    use image::{Rgb, RgbImage};
    use surgcam_frames::dataset::index::{FRAMES_FILE, OnBadFrame, write_lines};
    use surgcam_frames::dataset::pack::Packing;

    use super::*;

    /// An index and a pack of the frames, below `folder`. `shade` gives the colour of a pixel from
    /// the frame's row, x and y.
    pub fn frame_set(
        folder: &Path,
        frames: &[Frame],
        [height, width]: [u32; 2],
        shade: impl Fn(usize, u32, u32) -> [u8; 3],
    ) -> FrameSet {
        let index = folder.join("index");
        std::fs::create_dir(&index).unwrap();
        write_lines(&index.join(FRAMES_FILE), frames).unwrap();
        let pictures: Vec<PathBuf> =
            (0..frames.len()).map(|row| format!("{row}.png").into()).collect();
        for (row, picture) in pictures.iter().enumerate() {
            let drawn = RgbImage::from_fn(width, height, |x, y| Rgb(shade(row, x, y)));
            drawn.save(folder.join(picture)).unwrap();
        }
        let pack = folder.join("pack");
        std::fs::create_dir(&pack).unwrap();
        let packing = Packing {
            root: folder,
            pictures: &pictures,
            image_size: [height, width],
            on_bad_frame: OnBadFrame::Fail,
        };
        packing.write(&folder.join("partial"), &pack, |_| Ok(())).unwrap();
        FrameSet::open(&pack, &index).unwrap()
    }
}
