//! The pack: every picture of a data set decoded and resized once, in one mapped file.
//!
//! `frames.u8` has the pixels of one row after the other, each `[3, H, W]` u8. Row `i` is row `i`
//! of the index. If a picture cannot be read and `on_bad_frame` is `"skip"`, its row is all zeros
//! and is listed in `pack.json`.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memmap2::Mmap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::index::{OnBadFrame, SkippedFrame, skipped_frame};
use crate::vision::picture;
use crate::vision::resize::resize;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::file::remove_if_there;
use surgcam_engine::store::{read_json, write_json};

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

    /// The size of all rows in bytes. `None`: the number is larger than any address.
    fn bytes(&self) -> Option<usize> {
        [self.height as usize, self.width as usize, self.count]
            .into_iter()
            .try_fold(3, usize::checked_mul)
    }
}

/// What to pack.
pub struct Packing<'a> {
    /// The folder that the paths of the pictures count from.
    pub root: &'a Path,
    pub pictures: &'a [PathBuf],
    /// `[height, width]` of the rows, in pixels.
    pub image_size: [u32; 2],
    pub on_bad_frame: OnBadFrame,
}

/// How far a packing had come when it was interrupted.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    manifest: Manifest,
    /// How many rows are safely on the disk.
    done: usize,
}

const PROGRESS_FILE: &str = "progress.json";
/// How often progress is noted. An interruption loses at most the work since then.
const WORTH_KEEPING: Duration = Duration::from_secs(10);
/// How many pictures each thread packs between two checks for Ctrl-C.
const PICTURES_A_THREAD: usize = 32;

impl Packing<'_> {
    /// Decodes and resizes the pictures on all cores and writes each row to its place in the file,
    /// so the memory that is needed does not depend on the number of pictures. The unfinished pack
    /// and a note of its progress are in the folder `partial`, from which an interrupted packing
    /// goes on. The finished pack is moved to `folder`, which must be on the same disk.
    /// `on_progress` is called with the number of pictures that are done, and an error of it ends
    /// the packing.
    pub fn write(
        &self,
        partial: &Path,
        folder: &Path,
        mut on_progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Manifest> {
        std::fs::create_dir_all(partial).at_path("create the folder", partial)?;
        let path = partial.join(PIXELS_FILE);
        let Progress { mut manifest, mut done } = self.begin_or_go_on(partial);
        if done == 0 {
            forget_progress(partial)?;
        }
        let file = File::options()
            .create(true)
            .truncate(done == 0)
            .write(true)
            .open(&path)
            .at_path("create", &path)?;
        file.set_len((manifest.row_bytes() * self.pictures.len()) as u64)
            .at_path("make room in", &path)?;
        let mut noted = Instant::now();
        while done < self.pictures.len() {
            on_progress(done)?;
            let end =
                self.pictures.len().min(done + PICTURES_A_THREAD * rayon::current_num_threads());
            let skipped = (done..end)
                .into_par_iter()
                .map(|row| self.write_row(row, &file, &path))
                .collect::<Result<Vec<_>>>()?;
            manifest.skipped.extend(skipped.into_iter().flatten());
            done = end;
            if noted.elapsed() > WORTH_KEEPING && done < self.pictures.len() {
                file.sync_data().at_path("write", &path)?;
                let progress = Progress { manifest, done };
                write_json(&partial.join(PROGRESS_FILE), &progress)?;
                manifest = progress.manifest;
                noted = Instant::now();
            }
        }
        on_progress(done)?;
        if manifest.count > 0 && manifest.skipped.len() == manifest.count {
            return Err(Error::failure("not one picture could be read").at_path(self.root));
        }
        // The note is about rows that are moved away now.
        forget_progress(partial)?;
        let finished = folder.join(PIXELS_FILE);
        std::fs::rename(&path, &finished).at_path("move the finished pack to", &finished)?;
        write_json(&folder.join(MANIFEST_FILE), &manifest)?;
        Ok(manifest)
    }

    fn begin_or_go_on(&self, partial: &Path) -> Progress {
        let [height, width] = self.image_size;
        let empty = Manifest {
            format: FORMAT,
            count: self.pictures.len(),
            height,
            width,
            skipped: Vec::new(),
        };
        let same =
            |manifest: &Manifest| Manifest { skipped: Vec::new(), ..manifest.clone() } == empty;
        let is_there = std::fs::metadata(partial.join(PIXELS_FILE))
            .is_ok_and(|file| file.len() == (empty.row_bytes() * self.pictures.len()) as u64);
        let noted: Option<Progress> = read_json(&partial.join(PROGRESS_FILE)).ok();
        noted
            .filter(|noted| is_there && same(&noted.manifest))
            .unwrap_or(Progress { manifest: empty, done: 0 })
    }

    /// Packs one picture. The result is the row if it was skipped.
    fn write_row(&self, row: usize, file: &File, path: &Path) -> Result<Option<SkippedRow>> {
        let [height, width] = self.image_size;
        match decode(&self.root.join(&self.pictures[row]), height, width) {
            Ok(planes) => {
                let place = (row * planes.len()) as u64;
                file.write_all_at(&planes, place).at_path("write", path).map(|()| None)
            }
            Err(error) if self.on_bad_frame == OnBadFrame::Skip => {
                Ok(Some(SkippedRow { row, frame: skipped_frame(&error) }))
            }
            Err(error) => Err(error.hint(
                "correct it, or set `on_bad_frame = \"skip\"` in the data recipe to leave such \
                 frames out",
            )),
        }
    }
}

/// Removes the note of progress. If it stayed, it would be taken for a note about the next packing
/// in this folder, whose rows would then look finished.
fn forget_progress(partial: &Path) -> Result<()> {
    remove_if_there(&partial.join(PROGRESS_FILE))
}

/// Decodes and resizes a picture to `[3, height, width]` u8 (METHOD 2).
pub fn decode(path: &Path, height: u32, width: u32) -> Result<Vec<u8>> {
    let resized = resize(&picture::read(path)?, height, width);
    let mut planes = vec![0; 3 * height as usize * width as usize];
    picture::to_planes(&resized, &mut planes);
    Ok(planes)
}

/// A pack that is open for reading.
pub struct Pack {
    pub manifest: Manifest,
    path: PathBuf,
    file: File,
    pixels: Mmap,
}

/// The rows of a pack whose pictures could not be read.
pub fn skipped_rows(folder: &Path) -> Result<HashSet<usize>> {
    Ok(read_manifest(folder)?.skipped.into_iter().map(|skipped| skipped.row).collect())
}

impl Pack {
    pub fn open(folder: &Path) -> Result<Self> {
        let manifest: Manifest = read_manifest(folder)?;
        if manifest.height == 0 || manifest.width == 0 {
            return Err(Error::failure("the pack's pictures have no size")
                .at_path(folder)
                .hint("delete this object; the next run makes it again"));
        }
        let path = folder.join(PIXELS_FILE);
        let file = File::open(&path).at_path("open", &path)?;
        // SAFETY: objects of the store are read-only and never rewritten in place.
        let pixels = unsafe { Mmap::map(&file) }.at_path("map", &path)?;
        if Some(pixels.len()) != manifest.bytes() {
            return Err(Error::failure("the pack is cut short")
                .at_path(&path)
                .hint("delete this object; the next run makes it again"));
        }
        Ok(Pack { manifest, path, file, pixels })
    }

    /// The pixels of a row, `[3, H, W]` u8, read into memory of their own. This is for passes over
    /// the whole pack: with [`Pack::row`], all of its pages would stay in memory.
    pub fn read_row(&self, row: usize) -> Result<Vec<u8>> {
        let mut planes = vec![0; self.manifest.row_bytes()];
        let place = (row * planes.len()) as u64;
        self.file.read_exact_at(&mut planes, place).at_path("read", &self.path)?;
        Ok(planes)
    }

    /// The pixels of a row, `[3, H, W]` u8, in the mapped file.
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

    fn packing<'a>(
        folder: &'a Path,
        pictures: &'a [PathBuf],
        on_bad_frame: OnBadFrame,
    ) -> Packing<'a> {
        Packing { root: folder, pictures, image_size: [3, 4], on_bad_frame }
    }

    #[test]
    fn rows_come_back_as_planes() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        packing(folder.path(), &pictures, OnBadFrame::Fail)
            .write(&folder.path().join("partial"), folder.path(), |_| Ok(()))
            .unwrap();
        let pack = Pack::open(folder.path()).unwrap();
        assert_eq!(pack.row(1)[..12], [200; 12]);
        assert_eq!(pack.row(1)[12..], [[1; 12], [2; 12]].concat());
        assert_eq!(pack.read_row(1).unwrap(), pack.row(1));
    }

    #[test]
    fn a_broken_picture_fails_or_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = pictures(folder.path());
        std::fs::write(folder.path().join(&pictures[0]), "").unwrap();
        let write = |on_bad_frame| {
            packing(folder.path(), &pictures, on_bad_frame).write(
                &folder.path().join("partial"),
                folder.path(),
                |_| Ok(()),
            )
        };
        assert!(
            write(OnBadFrame::Fail)
                .unwrap_err()
                .to_string()
                .contains("10.png: the picture is an empty file")
        );
        let manifest = write(OnBadFrame::Skip).unwrap();
        assert_eq!(manifest.skipped.len(), 1);
        let pack = Pack::open(folder.path()).unwrap();
        assert!(pack.is_skipped(0) && !pack.is_skipped(1));
    }

    #[test]
    fn an_interrupted_packing_goes_on_where_it_was_and_not_from_another_packs_rows() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("partial");
        let pictures = pictures(folder.path());
        let packing = packing(folder.path(), &pictures, OnBadFrame::Fail);
        // The first picture seems to be packed, with pixels that no picture has.
        std::fs::create_dir(&partial).unwrap();
        std::fs::write(partial.join(PIXELS_FILE), vec![77; 2 * 36]).unwrap();
        let manifest = Manifest { format: FORMAT, count: 2, height: 3, width: 4, skipped: vec![] };
        write_json(&partial.join(PROGRESS_FILE), &Progress { manifest: manifest.clone(), done: 1 })
            .unwrap();
        packing.write(&partial, folder.path(), |_| Ok(())).unwrap();
        let pack = Pack::open(folder.path()).unwrap();
        assert_eq!((pack.row(0)[0], pack.row(1)[0]), (77, 200));

        std::fs::write(partial.join(PIXELS_FILE), vec![77; 2 * 36]).unwrap();
        write_json(
            &partial.join(PROGRESS_FILE),
            &Progress { manifest: Manifest { width: 5, ..manifest }, done: 1 },
        )
        .unwrap();
        packing.write(&partial, folder.path(), |_| Ok(())).unwrap();
        assert_eq!(Pack::open(folder.path()).unwrap().row(0)[0], 10);
    }

    /// One packing was interrupted after its rows had been moved away, another one before it noted
    /// anything. The old note must not be used for either.
    #[test]
    fn a_note_without_its_rows_is_forgotten_before_there_are_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("partial");
        let pictures = pictures(folder.path());
        let packing = packing(folder.path(), &pictures, OnBadFrame::Fail);
        std::fs::create_dir(&partial).unwrap();
        let manifest = Manifest { format: FORMAT, count: 2, height: 3, width: 4, skipped: vec![] };
        write_json(&partial.join(PROGRESS_FILE), &Progress { manifest, done: 1 }).unwrap();
        let stopped = packing.write(&partial, folder.path(), |_| Err(Error::interrupted("stop")));
        assert!(stopped.is_err() && partial.join(PIXELS_FILE).exists());
        packing.write(&partial, folder.path(), |_| Ok(())).unwrap();
        assert_eq!(Pack::open(folder.path()).unwrap().row(0)[0], 10);
        assert!(!partial.join(PROGRESS_FILE).exists());
    }
}
