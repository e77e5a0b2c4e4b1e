//! Frames as a network sees them: a pack's pixels with an index's labels.

use std::path::Path;

use surgcam::dataset::index::{Frame, read_frames};
use surgcam::dataset::pack::Pack;
use surgcam::error::{Error, Result};
use surgcam::pipeline::stages::Normalization;
use tch::{Device, Kind, Tensor};

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
            return Err(Error::failure(format!("the index has {} frames, the pack {}", frames.len(), pack.manifest.count)));
        }
        let usable = (0..frames.len()).filter(|&row| !pack.is_skipped(row)).collect();
        Ok(FrameSet { pack, frames, usable })
    }

    pub fn train_rows(&self) -> Vec<usize> {
        self.usable.iter().copied().filter(|&row| self.frames[row].train).collect()
    }

    pub fn validation_rows(&self) -> Vec<usize> {
        self.usable.iter().copied().filter(|&row| self.frames[row].validation).collect()
    }

    /// `[height, width]`.
    pub fn image_size(&self) -> [u32; 2] {
        [self.pack.manifest.height, self.pack.manifest.width]
    }

    /// [N, 3, H, W], normalised, on the device.
    pub fn images(&self, rows: &[usize], normalization: &Normalization, device: Device) -> Tensor {
        let pixels: Vec<u8> = rows.iter().flat_map(|&row| self.pack.row(row)).copied().collect();
        images(&pixels, rows.len(), self.image_size(), normalization, device)
    }
}

/// N pictures of [3, H, W] u8, one behind the other -> [N, 3, H, W], normalised, on the device.
pub fn images(pixels: &[u8], count: usize, [height, width]: [u32; 2], normalization: &Normalization, device: Device) -> Tensor {
    let raw = Tensor::from_data_size(pixels, &[count as i64, 3, i64::from(height), i64::from(width)], Kind::Uint8);
    let channel = |values: [f64; 3]| Tensor::from_slice(&values.map(|value| value as f32)).to_device(device).view([1, 3, 1, 1]);
    (raw.to_device(device).to_kind(Kind::Float) / 255.0 - channel(normalization.mean)) / channel(normalization.std)
}

/// [N, classes] of 0 and 1.
pub fn label_tensor<'a>(labels: impl IntoIterator<Item = &'a [usize]>, classes: usize, device: Device) -> Tensor {
    let mut values = Vec::new();
    let mut count = 0;
    for present in labels {
        let start = values.len();
        values.resize(start + classes, 0f32);
        for &class in present {
            values[start + class] = 1.0;
        }
        count += 1;
    }
    Tensor::from_slice(&values).view([count, classes as i64]).to_device(device)
}
