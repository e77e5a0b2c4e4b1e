//! Finds the pictures of a folder that its labels are about.

use super::listing::{Listing, has_ending};
use super::numbered::{Group, Numbered, groups};
use crate::dataset::annotations::FrameNumber;

/// Those that can be decoded.
const READABLE: [&str; 3] = ["png", "jpg", "jpeg"];
const OTHERS: [&str; 6] = ["bmp", "tif", "tiff", "webp", "gif", "ppm"];

/// The values of `frame_step` that are tried, besides 1: the frame rates of videos, for one picture
/// a second, and 5 and 10.
const STEPS: [u32; 7] = [25, 30, 24, 50, 60, 5, 10];

/// How many of the largest groups of pictures are compared with the labels.
const MOST_GROUPS: usize = 50;

/// Words in the names of folders whose pictures are not frames: masks of a segmentation, the other
/// eye of a stereo camera.
const UNLIKELY: [&str; 6] = ["mask", "label", "segment", "annot", "right", "depth"];

#[derive(Debug)]
pub struct Pictures {
    groups: Vec<Numbered>,
    pub notes: Vec<String>,
}

/// The pictures of a folder, and how their numbers fit those of the labels.
#[derive(Debug)]
pub struct Match<'a> {
    pub pictures: &'a Numbered,
    pub frame_step: u32,
    /// How many labelled frames have a picture.
    pub count: usize,
}

impl Pictures {
    pub fn of(listing: &Listing) -> Self {
        let mut readable = groups(listing.with_ending(&READABLE));
        readable.truncate(MOST_GROUPS);
        let mut notes = Vec::new();
        let others = listing.files.iter().filter(|file| has_ending(file, &OTHERS)).count();
        if others > 0 {
            notes.push(format!("{others} pictures are neither PNG nor JPEG and cannot be read"));
        }
        Pictures { groups: readable.iter().filter_map(Group::of_frames).collect(), notes }
    }

    /// The group that has pictures for most of the labelled frames, which are in rising order.
    pub fn matching(&self, labelled: &[FrameNumber]) -> Option<Match<'_>> {
        let mut best: Option<(Match, bool)> = None;
        for pictures in &self.groups {
            let is_likely = !is_unlikely(&pictures.pattern.to_string());
            for frame_step in steps(labelled) {
                let count = matched(labelled, &pictures.frames, frame_step);
                let is_better = best.as_ref().is_none_or(|(best, best_is_likely)| {
                    (count, is_likely) > (best.count, *best_is_likely)
                });
                if count > 0 && is_better {
                    best = Some((Match { pictures, frame_step, count }, is_likely));
                }
            }
        }
        best.map(|(best, _)| best)
    }

    /// The largest group, where none fits.
    pub fn largest(&self) -> Option<&Numbered> {
        self.groups.iter().max_by_key(|group| group.frames.len())
    }
}

fn is_unlikely(pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    UNLIKELY.iter().any(|word| pattern.contains(word))
}

/// 1 comes first, so that it wins unless another step matches more.
fn steps(labelled: &[FrameNumber]) -> Vec<u32> {
    let common = labelled.iter().fold(0, |common, found| common_divisor(common, found.frame));
    let mut steps = vec![1];
    for step in STEPS.into_iter().chain([common]) {
        if step > 1 && !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

pub fn common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

fn matched(labelled: &[FrameNumber], pictures: &[FrameNumber], step: u32) -> usize {
    let picture_of = |found: &FrameNumber| FrameNumber { frame: found.frame / step, ..*found };
    labelled
        .iter()
        .filter(|found| found.frame.is_multiple_of(step))
        .filter(|found| pictures.binary_search(&picture_of(found)).is_ok())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[&str]) -> Listing {
        Listing { files: files.iter().map(ToString::to_string).collect(), notes: Vec::new() }
    }

    fn labelled(frames: &[u32]) -> Vec<FrameNumber> {
        frames.iter().map(|&frame| FrameNumber { sequence: 1, frame }).collect()
    }

    #[test]
    fn labels_at_25_fps_find_pictures_at_one() {
        let pictures =
            Pictures::of(&listing(&["f/video1/2.png", "f/video1/3.png", "f/video1/9.jpg"]));
        let found = pictures.matching(&labelled(&[50, 75])).unwrap();
        assert_eq!(
            (found.pictures.pattern.to_string().as_str(), found.frame_step, found.count),
            ("f/video{sequence}/{frame}.png", 25, 2)
        );
        assert!(pictures.matching(&labelled(&[51])).is_none());
    }

    #[test]
    fn masks_and_the_other_eye_are_not_taken_for_frames() {
        let pictures = Pictures::of(&listing(&[
            "seq_1/labels/frame000.png",
            "seq_1/labels/frame001.png",
            "seq_1/left_frames/frame000.png",
            "seq_1/left_frames/frame001.png",
            "seq_1/right_frames/frame000.png",
            "seq_1/right_frames/frame001.png",
            "seq_1/x.bmp",
        ]));
        let found = pictures.matching(&labelled(&[0, 1])).unwrap();
        assert_eq!(
            found.pictures.pattern.to_string(),
            "seq_{sequence}/left_frames/frame{frame:03}.png"
        );
        assert!(pictures.notes[0].starts_with("1 pictures are neither PNG nor JPEG"));
    }
}
