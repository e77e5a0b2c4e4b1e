//! The pack: every picture of a data set decoded and resized once, in one mapped file.
//!
//! `frames.u8` holds row after row of `[3, H, W]` u8; row `i` is row `i` of the index. A picture that could not be read (with
//! `on_bad_frame = "skip"`) leaves a row of zeros and is listed in `pack.json`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use memmap2::Mmap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::index::{OnBadFrame, SkippedFrame, skipped_frame};
use crate::error::{AtPath, Error, Result};
use crate::store::{read_json, write_json};
use crate::vision::picture;
use crate::vision::resize::resize;

pub const FORMAT: u32 = 1;
const PIXELS_FILE: &str = "frames.u8";
const MANIFEST_FILE: &str = "pack.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub count: usize,
    pub height: u32,
    pub width: u32,
    pub skipped: Vec<SkippedRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkippedRow {
    pub row: usize,
    pub frame: SkippedFrame,
}

impl Manifest {
    pub fn row_bytes(&self) -> usize {
        3 * self.height as usize * self.width as usize
    }
}

/// Decodes and resizes on all cores, each row straight to its place in the file: memory does not grow with the pictures.
pub fn write(
    root: &Path,
    pictures: &[PathBuf],
    [height, width]: [u32; 2],
    on_bad_frame: OnBadFrame,
    folder: &Path,
    on_frame: impl Fn() + Sync,
) -> Result<Manifest> {
    let mut manifest = Manifest { format: FORMAT, count: pictures.len(), height, width, skipped: Vec::new() };
    let path = folder.join(PIXELS_FILE);
    let file = File::create(&path).at_path("create", &path)?;
    let row_bytes = manifest.row_bytes();
    file.set_len((row_bytes * pictures.len()) as u64).at_path("make room in", &path)?;
    let skipped = Mutex::new(Vec::new());
    pictures.par_iter().enumerate().try_for_each(|(row, picture)| {
        match decode(&root.join(picture), height, width) {
            Ok(planes) => file.write_all_at(&planes, (row * row_bytes) as u64).at_path("write", &path)?,
            Err(error) if on_bad_frame == OnBadFrame::Skip => {
                let frame = skipped_frame(&error);
                skipped.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(SkippedRow { row, frame });
            }
            Err(error) => {
                return Err(error.hint("mend it, or set `on_bad_frame = \"skip\"` in the data recipe to leave such frames out"));
            }
        }
        on_frame();
        Ok(())
    })?;
    manifest.skipped = skipped.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    manifest.skipped.sort_by_key(|skipped| skipped.row);
    if manifest.count > 0 && manifest.skipped.len() == manifest.count {
        return Err(Error::failure("not one picture could be read").at_path(root));
    }
    write_json(&folder.join(MANIFEST_FILE), &manifest)?;
    Ok(manifest)
}

/// A picture file to `[3, H, W]`.
fn decode(path: &Path, height: u32, width: u32) -> Result<Vec<u8>> {
    let resized = resize(&picture::read(path)?, height, width);
    let mut planes = vec![0; 3 * height as usize * width as usize];
    picture::to_planes(&resized, &mut planes);
    Ok(planes)
}

/// A pack opened for reading.
pub struct Pack {
    pub manifest: Manifest,
    path: PathBuf,
    file: File,
    pixels: Mmap,
}

impl Pack {
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest: Manifest = read_manifest(folder)?;
        let path = folder.join(PIXELS_FILE);
        let file = File::open(&path).at_path("open", &path)?;
        // SAFETY: objects of the store are read-only and never rewritten in place.
        let pixels = unsafe { Mmap::map(&file) }.at_path("map", &path)?;
        if pixels.len() != manifest.count * manifest.row_bytes() {
            return Err(Error::failure("the pack is cut short").at_path(&path).hint("delete this object; the next run makes it again"));
        }
        Ok(Pack { manifest, path, file, pixels })
    }

    /// `[3, H, W]` u8, read into memory of its own: for whom passes over the whole pack, whose mapped pages would all stay.
    pub fn read_row(&self, row: usize) -> Result<Vec<u8>> {
        let mut planes = vec![0; self.manifest.row_bytes()];
        let place = (row * planes.len()) as u64;
        self.file.read_exact_at(&mut planes, place).at_path("read", &self.path)?;
        Ok(planes)
    }

    /// `[3, H, W]` u8, mapped.
    pub fn row(&self, row: usize) -> &[u8] {
        let bytes = self.manifest.row_bytes();
        &self.pixels[row * bytes..][..bytes]
    }

    pub fn is_skipped(&self, row: usize) -> bool {
        self.manifest.skipped.binary_search_by_key(&row, |skipped| skipped.row).is_ok()
    }
}

pub fn read_manifest(folder: &Path) -> Result<Manifest> {
    read_json(&folder.join(MANIFEST_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn pictures(folder: &Path) -> Vec<PathBuf> {
        let colours: [u8; 2] = [10, 200];
        colours
            .iter()
            .map(|&colour| {
                let name = PathBuf::from(format!("{colour}.png"));
                RgbImage::from_pixel(8, 6, Rgb([colour, 1, 2])).save(folder.join(&name)).unwrap();
                name
            })
            .collect()
    }

    #[test]
    fn rows_come_back_as_planes() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        write(folder.path(), &pictures, [3, 4], OnBadFrame::Fail, folder.path(), || {}).unwrap();
        let pack = Pack::open(folder.path()).unwrap();
        assert_eq!(pack.row(1)[..12], [200; 12]);
        assert_eq!(pack.row(1)[12..], [[1; 12], [2; 12]].concat());
    }

    #[test]
    fn a_broken_picture_fails_or_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        std::fs::write(folder.path().join(&pictures[0]), "").unwrap();
        let failed = write(folder.path(), &pictures, [3, 4], OnBadFrame::Fail, folder.path(), || {});
        assert!(failed.unwrap_err().to_string().contains("10.png: the picture is an empty file"));
        let manifest = write(folder.path(), &pictures, [3, 4], OnBadFrame::Skip, folder.path(), || {}).unwrap();
        assert_eq!(manifest.skipped.len(), 1);
        let pack = Pack::open(folder.path()).unwrap();
        assert!(pack.is_skipped(0) && !pack.is_skipped(1));
    }
}
