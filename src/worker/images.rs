//! Pictures as tensors: normalised, on the device, channels last in memory.

use rayon::prelude::*;
use surgcam_pipeline::settings::Normalization;
use tch::{Device, Kind, Tensor};

use crate::features::values_mut;
use crate::model::fused_convolution::channels_last;
use crate::model::libtorch_operators::{PinnedKind, pinned};

/// Pictures of [3, H, W] u8 -> [N, 3, H, W], normalised, on the device, channels last in memory.
pub fn of_pictures(
    pictures: &[&[u8]],
    [height, width]: [u32; 2],
    normalization: &Normalization,
    device: Device,
) -> Tensor {
    if device == Device::Cpu {
        let mut images = Tensor::empty(
            [pictures.len() as i64, i64::from(height), i64::from(width), 3],
            (Kind::Float, Device::Cpu),
        );
        normalize(pictures, normalization, values_mut(&mut images));
        return images.permute([0, 3, 1, 2]);
    }
    let mut pixels = Pixels::room_for(pictures.len(), [height, width], device);
    match pictures {
        // Waking another thread takes longer than copying one picture.
        [picture] => values_mut(&mut pixels.0).copy_from_slice(picture),
        _ => pixels
            .pictures_mut()
            .zip(pictures)
            .for_each(|(values, picture)| values.copy_from_slice(picture)),
    }
    pixels.images_on(normalization, device)
}

/// The pictures of a batch, [N, 3, H, W] u8, in memory that its device can fetch them from.
pub struct Pixels(Tensor);

impl Pixels {
    /// Makes room that is not yet filled. For a GPU it is in pinned memory, which the GPU reads by
    /// itself.
    pub fn room_for(count: usize, [height, width]: [u32; 2], device: Device) -> Self {
        let size = [count as i64, 3, i64::from(height), i64::from(width)];
        Pixels(if device == Device::Cpu {
            Tensor::empty(size, (Kind::Uint8, device))
        } else {
            pinned(&size, PinnedKind::Uint8)
        })
    }

    /// Each [3, H, W], to be filled by several threads.
    pub fn pictures_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [u8]> {
        let length = self.length_of_one();
        values_mut(&mut self.0).par_chunks_mut(length)
    }

    fn length_of_one(&self) -> usize {
        self.0.size()[1..].iter().product::<i64>().max(1) as usize
    }

    /// [N, 3, H, W], normalised, on the device that the room was made for, channels last in memory.
    pub fn images(mut self, normalization: &Normalization, device: Device) -> Tensor {
        if device != Device::Cpu {
            return self.images_on(normalization, device);
        }
        let length = self.length_of_one();
        let size = [2, 3].map(|dimension| self.0.size()[dimension] as u32);
        let pictures: Vec<&[u8]> = values_mut::<u8>(&mut self.0).chunks(length).collect();
        of_pictures(&pictures, size, normalization, device)
    }

    /// The device gets u8, a quarter of the bytes of f32, and normalises them itself.
    fn images_on(self, normalization: &Normalization, device: Device) -> Tensor {
        let raw = self.0.to_device_(device, Kind::Uint8, true, false);
        // (value / 255 - mean) / std as value x factor + shift.
        let factor = normalization.std.map(|std| (1.0 / (255.0 * std)) as f32);
        let shift: [f32; 3] = std::array::from_fn(|channel| {
            (-normalization.mean[channel] / normalization.std[channel]) as f32
        });
        let [factor, shift] =
            [factor, shift].map(|values| uploaded(&values, device).view([1, 3, 1, 1]));
        channels_last(&(raw * factor + shift))
    }
}

/// A GPU fetches it from pinned memory by itself, while the GPU computes and the CPU continues.
pub fn uploaded(values: &[f32], device: Device) -> Tensor {
    let mut tensor = pinned(&[values.len() as i64], PinnedKind::Float);
    values_mut(&mut tensor).copy_from_slice(values);
    tensor.to_device_(device, Kind::Float, true, false)
}

/// Pictures of [3, H, W] to [N, H, W, 3]. A channel has only 256 possible values, and each is
/// computed once.
fn normalize(pictures: &[&[u8]], normalization: &Normalization, values: &mut [f32]) {
    let table = |channel: usize| -> [f32; 256] {
        let (mean, std) = (normalization.mean[channel] as f32, normalization.std[channel] as f32);
        std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
    };
    let tables = [table(0), table(1), table(2)];
    let length = pictures.first().map_or(1, |picture| picture.len()).max(1);
    values.par_chunks_mut(length).zip(pictures).for_each(|(values, picture)| {
        let (red, rest) = picture.split_at(picture.len() / 3);
        let (green, blue) = rest.split_at(rest.len() / 2);
        for (pixel, ((&red, &green), &blue)) in
            values.as_chunks_mut::<3>().0.iter_mut().zip(red.iter().zip(green).zip(blue))
        {
            *pixel = [
                tables[0][usize::from(red)],
                tables[1][usize::from(green)],
                tables[2][usize::from(blue)],
            ];
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_normalised_on_a_device_as_on_the_cpu() {
        let pictures: Vec<Vec<u8>> = (0..3u32)
            .map(|n| (0..3 * 4 * 5).map(|value| (value * 37 + n * 11) as u8).collect())
            .collect();
        let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
        let normalization = Normalization { mean: [0.4, 0.25, 0.1], std: [0.2, 0.3, 0.15] };
        let expected = of_pictures(&pictures, [4, 5], &normalization, Device::Cpu);
        let filled = || {
            let mut pixels = Pixels::room_for(3, [4, 5], Device::Cpu);
            pixels
                .pictures_mut()
                .zip(&pictures)
                .for_each(|(values, picture)| values.copy_from_slice(picture));
            pixels
        };
        assert_eq!(filled().images(&normalization, Device::Cpu), expected);
        let found = filled().images_on(&normalization, Device::Cpu);
        assert_eq!((found.size(), found.stride()), (expected.size(), expected.stride()));
        assert!(f64::try_from((found - expected).abs().max()).unwrap() < 2e-6);
    }
}
