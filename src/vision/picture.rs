//! Pictures: decoding, planes, the stretch that crops are taken from, cut-outs.

use std::path::Path;

use image::{ImageReader, RgbImage};

use crate::error::{AtPath, Error, Result};
use crate::regular_file;

/// Bytes of a picture's file. One of 8192x8192 pixels that does not compress has less.
const LARGEST_FILE: u64 = 1 << 29;

/// Decodes a PNG or JPEG to RGB. A file that is broken or cut short is an error that names it.
pub fn read(path: &Path) -> Result<RgbImage> {
    let bytes = regular_file::read(path, LARGEST_FILE)?;
    if bytes.is_empty() {
        return Err(Error::failure("the picture is an empty file").at_path(path));
    }
    let reader = ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format().at_path("read the picture", path)?;
    if reader.format() == Some(image::ImageFormat::Jpeg) && !ends_like_jpeg(&bytes) {
        return Err(Error::failure("the picture is cut short (a JPEG without its end marker)").at_path(path));
    }
    Ok(reader.decode().at_path("decode the picture", path)?.into_rgb8())
}

/// The decoder fills up what is missing with grey, silently: look for the end-of-image marker.
fn ends_like_jpeg(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(1024)..];
    tail.windows(2).any(|pair| pair == [0xFF, 0xD9])
}

/// `[H, W, 3]` to `[3, H, W]`.
pub fn to_planes(picture: &RgbImage, planes: &mut [u8]) {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    for (((pixel, red), green), blue) in picture.as_raw().as_chunks().0.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = *pixel;
    }
}

/// `[3, H, W]` to `[H, W, 3]`.
pub fn from_planes(planes: &[u8], height: u32, width: u32) -> RgbImage {
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let mut picture = RgbImage::new(width, height);
    for (((pixel, &red), &green), &blue) in picture.as_chunks_mut().0.iter_mut().zip(red).zip(green).zip(blue) {
        *pixel = [red, green, blue];
    }
    picture
}

/// The picture stretched over its own min..max, all channels together, in f32, to 0..255, truncated (METHOD 6, LN-FE).
/// A picture of one single value becomes black.
pub fn stretched(values: &[u8]) -> Vec<u8> {
    let low = f32::from(values.iter().copied().min().unwrap_or(0)) / 255.0;
    let high = f32::from(values.iter().copied().max().unwrap_or(0)) / 255.0;
    if high == low {
        return vec![0; values.len()];
    }
    // 256 possible values: computed once each, in the method's own order of operations.
    let table: Vec<u8> = (0..=255u8).map(|value| ((f32::from(value) / 255.0 - low) / (high - low) * 255.0) as u8).collect();
    values.iter().map(|&value| table[value as usize]).collect()
}

/// The part of a picture inside a box that lies within it.
pub fn cut_out(picture: &RgbImage, bounds: &super::geometry::Box2) -> RgbImage {
    image::imageops::crop_imm(picture, bounds.x1 as u32, bounds.y1 as u32, bounds.width() as u32, bounds.height() as u32).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_and_a_truncated_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.png");
        std::fs::write(&empty, "").unwrap();
        assert!(read(&empty).unwrap_err().to_string().contains("empty.png: the picture is an empty file"));

        let jpeg = folder.path().join("short.jpg");
        let picture = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 7]));
        picture.save(&jpeg).unwrap();
        let bytes = std::fs::read(&jpeg).unwrap();
        std::fs::write(&jpeg, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&jpeg).unwrap_err().to_string().contains("short.jpg"));
    }

    #[test]
    fn planes_and_pixels_are_inverse() {
        let picture = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let mut planes = vec![0; 45];
        to_planes(&picture, &mut planes);
        assert_eq!(from_planes(&planes, 3, 5), picture);
    }

    #[test]
    fn stretching_reaches_both_ends() {
        assert_eq!(stretched(&[50, 100, 150]), [0, 127, 255]);
        assert_eq!(stretched(&[7, 7, 7]), [0, 0, 0]);
    }
}
