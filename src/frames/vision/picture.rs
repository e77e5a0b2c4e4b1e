//! Pictures: reading them, changing their layout, stretching their values, and cutting out parts.

use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use image::{ImageReader, Limits, RgbImage};

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::regular_file;

/// The largest file of a picture. A frame of 8K with two bytes for each channel and without
/// compression has 200 MB.
pub const FILE_BYTES: u64 = 256 << 20;
/// How much memory decoding may take. A frame of 8K has 100 MB, but a header can claim any size.
const DECODED_BYTES: u64 = 128 << 20;
/// In how many bytes at the end of a file its end marker stands.
const END_BYTES: u64 = 1024;
/// The longest side of a picture, in pixels. A frame of 8K is 7680 pixels wide.
const LONGEST_SIDE: u32 = 1 << 14;

/// Decodes a PNG or JPEG file to RGB. A broken or incomplete file is an error that names it.
pub fn read(path: &Path) -> Result<RgbImage> {
    let bytes = regular_file::read(path, FILE_BYTES)?;
    if bytes.is_empty() {
        return Err(Error::failure("the picture is an empty file").at_path(path));
    }
    let reader = limited_reader(Cursor::new(&bytes), path)?;
    if reader.format() == Some(image::ImageFormat::Jpeg) && !ends_like_jpeg(&bytes) {
        return Err(Error::failure("the picture is cut short (a JPEG without its end marker)")
            .at_path(path));
    }
    Ok(reader.decode().at_path("decode the picture", path)?.into_rgb8())
}

/// The `[width, height]` of a picture file, from its header.
pub fn dimensions(path: &Path) -> Result<[u32; 2]> {
    let file = regular_file::open(path)?;
    // The decoder reads the whole file of a JPEG for this.
    if file.metadata().at_path("read the picture", path)?.len() > FILE_BYTES {
        return Err(
            Error::failure(format!("the picture is larger than {FILE_BYTES} bytes")).at_path(path)
        );
    }
    let reader = limited_reader(BufReader::new(file), path)?;
    let (width, height) = reader.into_dimensions().at_path("read the size of the picture", path)?;
    Ok([width, height])
}

/// `[width, height]` of a file that ends like a whole picture. Of a PNG this takes its first and
/// last bytes alone.
pub fn dimensions_of_whole(path: &Path) -> Result<[u32; 2]> {
    let size = dimensions(path)?;
    let mut file = regular_file::open(path)?;
    let length = file.metadata().at_path("read the picture", path)?.len();
    let (mut start, mut end) = ([0u8; 4], Vec::new());
    file.read_exact(&mut start).at_path("read the picture", path)?;
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))
        .at_path("read the picture", path)?;
    file.take(END_BYTES).read_to_end(&mut end).at_path("read the picture", path)?;
    let is_whole = match start {
        [0xFF, 0xD8, ..] => ends_like_jpeg(&end),
        [0x89, b'P', b'N', b'G'] => end.windows(4).any(|chunk| chunk == b"IEND"),
        _ => true,
    };
    if is_whole {
        Ok(size)
    } else {
        Err(Error::failure("the picture is cut short (a file without its end)").at_path(path))
    }
}

/// A reader with limits. The first bytes decide the format, and not the name of the file.
fn limited_reader<R: BufRead + Seek>(bytes: R, path: &Path) -> Result<ImageReader<R>> {
    let mut reader =
        ImageReader::new(bytes).with_guessed_format().at_path("read the picture", path)?;
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(DECODED_BYTES);
    reader.limits(limits);
    Ok(reader)
}

/// Whether a JPEG is complete: it has the marker of its end. The decoder fills missing parts with
/// grey and reports nothing.
fn ends_like_jpeg(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(END_BYTES as usize)..];
    tail.windows(2).any(|pair| pair == [0xFF, 0xD9])
}

/// Writes the channels of a picture one after the other: `[H, W, 3]` to `[3, H, W]`.
pub fn to_planes(picture: &RgbImage, planes: &mut [u8]) {
    let (red, rest) = planes.split_at_mut(planes.len() / 3);
    let (green, blue) = rest.split_at_mut(rest.len() / 2);
    for (((pixel, red), green), blue) in
        picture.as_raw().as_chunks().0.iter().zip(red).zip(green).zip(blue)
    {
        [*red, *green, *blue] = *pixel;
    }
}

/// The picture of three channels that lie one after the other: `[3, H, W]` to `[H, W, 3]`.
pub fn from_planes(planes: &[u8], height: u32, width: u32) -> RgbImage {
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let mut picture = RgbImage::new(width, height);
    for (((pixel, &red), &green), &blue) in
        picture.as_chunks_mut().0.iter_mut().zip(red).zip(green).zip(blue)
    {
        *pixel = [red, green, blue];
    }
    picture
}

/// The values stretched from their own minimum and maximum to 0 and 255, in f32 and truncated, all
/// channels together (METHOD 6, LN-FE). If all values are equal, they become 0.
pub fn stretched(values: &[u8]) -> Vec<u8> {
    let low = f32::from(values.iter().copied().min().unwrap_or(0)) / 255.0;
    let high = f32::from(values.iter().copied().max().unwrap_or(0)) / 255.0;
    if high == low {
        return vec![0; values.len()];
    }
    // There are 256 possible values. Each is computed once, with the operations in the order of the
    // method.
    let table: Vec<u8> = (0..=255u8)
        .map(|value| ((f32::from(value) / 255.0 - low) / (high - low) * 255.0) as u8)
        .collect();
    values.iter().map(|&value| table[value as usize]).collect()
}

/// The part of a picture inside a box. The box must lie within the picture.
pub fn cut_out(picture: &RgbImage, bounds: &super::geometry::Box2) -> RgbImage {
    image::imageops::crop_imm(
        picture,
        bounds.x1 as u32,
        bounds.y1 as u32,
        bounds.width() as u32,
        bounds.height() as u32,
    )
    .to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_and_a_truncated_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.png");
        std::fs::write(&empty, "").unwrap();
        assert!(
            read(&empty)
                .unwrap_err()
                .to_string()
                .contains("empty.png: the picture is an empty file")
        );

        let jpeg = folder.path().join("short.jpg");
        let picture = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 4, y as u8 * 4, 7]));
        picture.save(&jpeg).unwrap();
        let bytes = std::fs::read(&jpeg).unwrap();
        std::fs::write(&jpeg, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&jpeg).unwrap_err().to_string().contains("short.jpg"));
        assert!(dimensions_of_whole(&jpeg).unwrap_err().to_string().contains("short.jpg"));

        let png = folder.path().join("short.png");
        picture.save(&png).unwrap();
        assert_eq!(dimensions_of_whole(&png).unwrap(), [64, 64]);
        let bytes = std::fs::read(&png).unwrap();
        std::fs::write(&png, &bytes[..bytes.len() - 12]).unwrap();
        let error = dimensions_of_whole(&png).unwrap_err().to_string();
        assert!(error.contains("short.png: the picture is cut short"), "{error}");
    }

    /// The checksum of a chunk of a PNG file.
    fn checksum(bytes: &[u8]) -> u32 {
        let shift = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        !bytes
            .iter()
            .fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
    }

    #[test]
    fn a_header_that_claims_a_huge_picture_is_refused_before_there_is_room_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.png");
        RgbImage::new(8, 8).save(&path).unwrap();
        let small = std::fs::read(&path).unwrap();
        // Sides of 12000 pixels are accepted, but not a picture of 12000 x 12000.
        for (side, what) in [(100_000u32, "cannot decode"), (12_000, "cannot decode"), (8, "")] {
            let mut bytes = small.clone();
            bytes[16..20].copy_from_slice(&side.to_be_bytes());
            bytes[20..24].copy_from_slice(&side.to_be_bytes());
            let sum = checksum(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.to_be_bytes());
            std::fs::write(&path, bytes).unwrap();
            let said = read(&path).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(what) && said.is_empty() == what.is_empty(), "{side}: {said}");
        }
        assert_eq!(dimensions(&path).unwrap(), [8, 8]);
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
