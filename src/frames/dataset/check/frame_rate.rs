//! Finds pictures that were extracted from a video at another rate than the labels say, or that are
//! numbered in another way.
//!
//! Labels count frames in their own way (Cholec80's `Frame` counts decoded frames at 25 a second),
//! and there is one picture for every `frame_step` of these numbers. If the numbers of the pictures
//! do not fit, the first explanation that fits is reported. The name of a picture does not say
//! which frame of the video it shows: `-vf fps=1` gives the names of the right frames to other
//! frames, but often makes one picture less than there are labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::pictures::common_divisor;
use crate::dataset::adapters::Layout;
use crate::dataset::source::SourceLayout;
use surgcam_engine::error::Error;

/// Numbers count as without gaps if at most this share of them is missing.
const WHOLE: f64 = 0.9;
/// If the numbers of the pictures reach this many times further than those of the labels, the
/// pictures were extracted at another rate.
const FAR_BEYOND: f64 = 1.5;
/// With fewer frames than this, nothing is concluded.
const FEWEST: usize = 3;

/// The numbers of a sequence.
#[derive(Debug, Default)]
struct Counted {
    /// As the labels count.
    labels: BTreeSet<u32>,
    /// As the pictures are named.
    pictures: BTreeSet<u32>,
}

/// What is wrong with the numbers of each sequence, if anything.
pub fn mistakes(source: &SourceLayout, root: &Path) -> Vec<Error> {
    // These name each picture.
    if matches!(source.layout, Layout::Table | Layout::Coco) {
        return Vec::new();
    }
    let counted = counted(source, root);
    counted
        .into_iter()
        .filter_map(|(sequence, counted)| {
            let explained = explanation(&counted, source.frame_step)?;
            let example = PathBuf::from(source.frames.fill(sequence, 0));
            let folder = root.join(example.parent().unwrap_or(Path::new("")));
            let name = source.sequence_name(sequence);
            Some(
                Error::failure(format!("{name}: {}", explained.what))
                    .at_path(&folder)
                    .hint(explained.hint),
            )
        })
        .collect()
}

fn counted(source: &SourceLayout, root: &Path) -> BTreeMap<u32, Counted> {
    let mut counted: BTreeMap<u32, Counted> = BTreeMap::new();
    // With a step of 1 the reader gives the labels' own numbers. Files of boxes are not needed.
    let as_labelled = SourceLayout { frame_step: 1, boxes: Vec::new(), ..source.clone() };
    let folder = as_labelled.folder(root);
    // The check of the frames reports what cannot be read.
    let sequences = as_labelled.layout.adapter().sequences(&folder).into_iter().flatten();
    for sequence in sequences.flatten() {
        let numbers = sequence.frames.iter().filter(|frame| frame.picture.is_none());
        counted
            .entry(sequence.number)
            .or_default()
            .labels
            .extend(numbers.map(|frame| frame.number));
    }
    let only = folder.only_sequence();
    for picture in folder.files_beside_frames().unwrap_or_default() {
        let numbers = picture.to_str().and_then(|name| source.frames.numbers_in(name));
        let Some(numbers) = numbers else { continue };
        if let (Some(sequence), Some(frame)) = (numbers.sequence.or(only), numbers.frame)
            && let Some(of_sequence) = counted.get_mut(&sequence)
        {
            of_sequence.pictures.insert(frame);
        }
    }
    counted
}

struct Explanation {
    what: String,
    hint: String,
}

const EXTRACT: &str = "extract the frames that the labels are about, as in: ffmpeg -i video.mp4 \
                       -vf \"select='not(mod(n\\,25))'\" -fps_mode passthrough \
                       -start_number 0 %06d.png";

fn explanation(counted: &Counted, step: u32) -> Option<Explanation> {
    let Counted { labels, pictures } = counted;
    let wanted: BTreeSet<u32> = labels
        .iter()
        .filter(|number| number.is_multiple_of(step))
        .map(|number| number / step)
        .collect();
    if labels.len() < FEWEST || pictures.is_empty() {
        return None;
    }
    if wanted.is_empty() {
        return Some(Explanation {
            what: format!(
                "none of the {} labelled frames has a number that `frame_step` = {step} divides",
                labels.len()
            ),
            hint: "correct `frame_step` of the data recipe: by how much labels count from one \
                   picture to the next"
                .into(),
        });
    }
    let missing = wanted.difference(pictures).count();
    let (last_wanted, last_picture) = (*wanted.last()?, *pictures.last()?);
    if missing == 0 {
        return reaches_too_far(&wanted, pictures, step);
    }
    let shifted = wanted.iter().all(|number| pictures.contains(&number.saturating_add(1)));
    if shifted && !pictures.contains(&0) && wanted.contains(&0) {
        return Some(Explanation {
            what: "the pictures are numbered from 1 and the labels from 0, so each picture would \
                   have another one's labels"
                .into(),
            hint: "extract them with `-start_number 0`, or rename them".into(),
        });
    }
    let has_most = |numbers: &mut dyn Iterator<Item = u32>, of: usize| {
        numbers.filter(|number| pictures.contains(number)).count() as f64 >= WHOLE * of as f64
    };
    if step > 1 && has_most(&mut labels.iter().copied(), labels.len()) {
        return Some(Explanation {
            what: "the pictures are numbered like the labels".into(),
            hint: "write `frame_step = 1` in the data recipe".into(),
        });
    }
    let common = labels.iter().fold(0, |common, number| common_divisor(common, *number));
    if step == 1
        && common > 1
        && has_most(&mut labels.iter().map(|number| number / common), labels.len())
    {
        return Some(Explanation {
            what: format!("the labels count {common} frames from one picture to the next"),
            hint: format!("write `frame_step = {common}` in the data recipe"),
        });
    }
    if step > 1 && missing == 1 && !pictures.contains(&last_wanted) && is_whole(&wanted) {
        return Some(Explanation {
            what: format!(
                "the last labelled frame ({last_wanted}) has no picture, which is what \
                 `-vf fps=1` leaves: it takes the frames 12, 37, 62 and so on, and not those that \
                 the labels are about"
            ),
            hint: EXTRACT.into(),
        });
    }
    if is_whole(&wanted)
        && is_whole(pictures)
        && f64::from(last_wanted) > FAR_BEYOND * f64::from(last_picture)
    {
        return Some(Explanation {
            what: format!(
                "the labels reach to picture {last_wanted}, but the pictures end at \
                 {last_picture}: they were extracted at another rate than the labels say"
            ),
            hint: format!("{EXTRACT}; or correct `frame_step` of the data recipe"),
        });
    }
    None
}

/// Each label has a picture, but it may show another moment of the video.
fn reaches_too_far(
    wanted: &BTreeSet<u32>,
    pictures: &BTreeSet<u32>,
    step: u32,
) -> Option<Explanation> {
    let (last_wanted, last_picture) = (*wanted.last()?, *pictures.last()?);
    let ratio = (f64::from(last_picture) + 1.0) / (f64::from(last_wanted) + 1.0);
    if step == 1 || !is_whole(wanted) || !is_whole(pictures) || ratio < FAR_BEYOND {
        return None;
    }
    let fitting = (f64::from(step) / ratio.round()).round().max(1.0);
    Some(Explanation {
        what: format!(
            "the pictures reach to {last_picture}, but the labels to picture {last_wanted}: there \
             are about {ratio:.0} pictures for each labelled one, so they were extracted at \
             another rate than the labels say"
        ),
        hint: format!("write `frame_step = {fitting}` in the data recipe, or {EXTRACT}"),
    })
}

/// Whether hardly a number is missing between the first and the last.
fn is_whole(numbers: &BTreeSet<u32>) -> bool {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return false };
    numbers.len() >= FEWEST && numbers.len() as f64 >= WHOLE * (f64::from(last - first) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(
        labels: impl IntoIterator<Item = u32>,
        pictures: impl IntoIterator<Item = u32>,
        step: u32,
    ) -> Option<String> {
        let counted = Counted {
            labels: labels.into_iter().collect(),
            pictures: pictures.into_iter().collect(),
        };
        explanation(&counted, step)
            .map(|explained| format!("{} | {}", explained.what, explained.hint))
    }

    fn at_25_fps(frames: u32) -> impl Iterator<Item = u32> {
        (0..frames).map(|frame| frame * 25)
    }

    #[test]
    fn pictures_that_fit_are_passed_over() {
        assert_eq!(told(at_25_fps(100), 0..100, 25), None);
        assert_eq!(told([2075, 2250, 4050], [83, 90, 162], 25), None, "sparse labels");
        assert_eq!(told(at_25_fps(50), 0..52, 25), None, "the video goes on a little");
        assert_eq!(told(0..10, 0..10, 1), None);
        assert_eq!(
            told(at_25_fps(100), (0..100).filter(|frame| frame % 9 != 4), 25),
            None,
            "single gaps"
        );
    }

    #[test]
    fn another_rate_or_numbering_is_explained() {
        for (labels, pictures, step, expected) in [
            (
                at_25_fps(100).collect::<Vec<u32>>(),
                (1..=100).collect::<Vec<u32>>(),
                25,
                "numbered from 1",
            ),
            (at_25_fps(100).collect(), at_25_fps(100).collect(), 25, "`frame_step = 1`"),
            (at_25_fps(100).collect(), (0..100).collect(), 1, "`frame_step = 25`"),
            (at_25_fps(100).collect(), (0..99).collect(), 25, "`-vf fps=1` leaves"),
            (
                at_25_fps(100).collect(),
                (0..2500).collect(),
                25,
                "about 25 pictures for each labelled one",
            ),
            (at_25_fps(100).collect(), (0..500).collect(), 25, "`frame_step = 5`"),
            (at_25_fps(100).collect(), (0..50).collect(), 25, "the pictures end at 49"),
            (vec![1, 26, 51], (0..3).collect(), 25, "`frame_step` = 25 divides"),
        ] {
            let found = told(labels, pictures, step).unwrap();
            assert!(found.contains(expected), "{expected}: {found}");
        }
    }
}
