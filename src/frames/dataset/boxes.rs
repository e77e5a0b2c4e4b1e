//! Boxes as people wrote them down: the boxes of each frame in a file, and the check of each box
//! against its picture.
//!
//! If a box cannot be meant, because it is inverted, outside the picture or far over its edge, its
//! frame cannot be used: without the box, the frame would claim that the instrument is not there. A
//! box that runs off its picture by a little is cut.

use std::collections::BTreeMap;

use super::frame::LabelledBox;
use super::labels::ClassMap;
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};

/// A box may run off its picture by a twentieth of that side and is then cut. This happens when
/// people drag a corner: in real files (m2cai16, CholecT50, EndoVis18) by up to 1.2 % of the side.
/// Boxes that run off further are more likely in pixels of another picture size. The nearest usual
/// size, 1080 rows instead of 1024, is already 5.5 % larger.
const PARTS_OF_SIDE: i64 = 20;

/// A box as a file has it.
#[derive(Debug, Clone)]
pub struct RawBox {
    /// The data set's name of the class.
    pub name: String,
    /// In pixels of the picture, or of the layout's `box_space`.
    pub bounds: Box2,
    /// `file:line` of the box.
    pub place: String,
}

/// The boxes of each frame by its number, or why they cannot be used. A frame that is not in here
/// is not annotated, which is not the same as a frame without boxes.
#[derive(Debug, Default)]
pub struct BoxesByFrame(BTreeMap<u32, Result<Vec<RawBox>>>);

impl BoxesByFrame {
    /// Says that a frame is annotated, whether it has a box or not.
    pub fn annotate(&mut self, frame: u32) {
        self.0.entry(frame).or_insert_with(|| Ok(Vec::new()));
    }

    /// Adds boxes to a frame. If a frame has several problems, the first one is kept.
    pub fn add(&mut self, frame: u32, found: Result<Vec<RawBox>>) {
        let of_frame = self.0.entry(frame).or_insert_with(|| Ok(Vec::new()));
        match found {
            Ok(more) => {
                if let Ok(boxes) = of_frame {
                    boxes.extend(more);
                }
            }
            Err(error) => {
                if of_frame.is_ok() {
                    *of_frame = Err(error);
                }
            }
        }
    }

    /// Takes the boxes of a frame out. `None`: the frame is not annotated, or was taken before.
    pub fn take(&mut self, frame: u32) -> Option<Result<Vec<RawBox>>> {
        self.0.remove(&frame)
    }

    /// The problems of the frames that were not taken, because no label names them.
    pub fn into_problems(self) -> impl Iterator<Item = Error> {
        self.0.into_values().filter_map(Result::err)
    }
}

/// The largest coordinate of a box that reaches the right or the lower edge of its picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BoxEnds {
    /// The picture's width or height.
    #[default]
    Edge,
    /// The number of the last pixel, because a corner is a pixel of the box.
    LastPixel,
}

/// The boxes of one frame as they go into the index.
#[derive(Debug, Default)]
pub struct CheckedBoxes {
    pub boxes: Vec<LabelledBox>,
    /// What was changed, each with its place.
    pub corrected: Vec<Error>,
}

/// Checks all boxes of a frame. Boxes of classes that the label space does not have are checked and
/// then dropped. `picture` is the `[width, height]` of the pixels that the boxes are in.
pub fn checked(
    raw: Vec<RawBox>,
    classes: &ClassMap,
    picture: [u32; 2],
    ends: BoxEnds,
) -> Result<CheckedBoxes> {
    let mut checked = CheckedBoxes::default();
    let mut seen: BTreeMap<(String, Box2), String> = BTreeMap::new();
    for RawBox { name, bounds, place } in raw {
        let class = classes.class(&name).map_err(|error| error.at(&place))?;
        let problem = |what: &str| {
            Error::failure(format!("the box {} of `{name}` {what}", bounds.file_name_part()))
                .at(&place)
        };
        let inside = in_picture(bounds, picture).map_err(|what| problem(&what))?;
        let Some(class) = class else { continue };
        if let Some(first) = seen.get(&(name.clone(), bounds)) {
            checked
                .corrected
                .push(problem(&format!("is listed twice (first at {first}) and was taken once")));
            continue;
        }
        if inside != bounds {
            let what = format!(
                "runs off the {} and was cut to {}",
                picture_of(picture),
                inside.file_name_part()
            );
            checked.corrected.push(problem(&what));
        }
        checked.boxes.push(LabelledBox { class, bounds: ended(inside, picture, ends) });
        seen.insert((name, bounds), place);
    }
    Ok(checked)
}

/// The part of a box inside its picture, or what is wrong with the box. A side of one pixel may
/// have two equal numbers, and a box may end at the picture's width or height: some data sets count
/// the last pixel of a box and others the first one outside.
pub(super) fn in_picture(bounds: Box2, picture: [u32; 2]) -> std::result::Result<Box2, String> {
    let Box2 { x1, y1, x2, y2 } = bounds;
    let [width, height] = picture.map(i64::from);
    if x2 < x1 || y2 < y1 {
        return Err("is inverted: its second corner lies left of the first, or above it".into());
    }
    if x1 >= width || y1 >= height || x2 < 0 || y2 < 0 {
        return Err(format!("lies outside the {}", picture_of(picture)));
    }
    let overruns = [(-x1, width), (-y1, height), (x2 - width, width), (y2 - height, height)];
    if overruns.iter().any(|(overrun, side)| overrun * PARTS_OF_SIDE > *side) {
        return Err(format!(
            "runs off the {} by more than 1/{PARTS_OF_SIDE} of its side",
            picture_of(picture)
        ));
    }
    Ok(bounds.inside(picture))
}

fn ended(inside: Box2, picture: [u32; 2], ends: BoxEnds) -> Box2 {
    match ends {
        BoxEnds::Edge => inside,
        BoxEnds::LastPixel => inside.inside(picture.map(|side| side.saturating_sub(1))),
    }
}

fn picture_of([width, height]: [u32; 2]) -> String {
    format!("picture of {width}x{height} pixels")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::labels::LabelSpace;

    fn classes() -> ClassMap {
        let names = ["hook", "grasper"].map(|name| (name.to_string(), name.to_string()));
        ClassMap {
            space: LabelSpace { classes: vec!["hook".into(), "tissue".into()] },
            names: BTreeMap::from(names),
        }
    }

    fn raw(name: &str, corners: [i64; 4], line: usize) -> RawBox {
        RawBox { name: name.into(), bounds: corners.into(), place: format!("f:{line}") }
    }

    fn of_one(corners: [i64; 4]) -> Result<CheckedBoxes> {
        checked(vec![raw("hook", corners, 1)], &classes(), [80, 64], BoxEnds::Edge)
    }

    #[test]
    fn boxes_within_the_picture_stay_as_they_are() {
        for corners in [[0, 0, 80, 64], [79, 63, 80, 64], [5, 5, 5, 5], [0, 0, 0, 9]] {
            let found = of_one(corners).unwrap();
            assert_eq!(
                (<[i64; 4]>::from(found.boxes[0].bounds), found.corrected.len()),
                (corners, 0)
            );
        }
    }

    #[test]
    fn a_box_a_little_over_the_edge_is_cut_and_told() {
        let found = of_one([-4, -3, 84, 67]).unwrap();
        assert_eq!(<[i64; 4]>::from(found.boxes[0].bounds), [0, 0, 80, 64]);
        let told = "f:1: the box -4,-3,84,67 of `hook` runs off the picture of 80x64 pixels and \
                    was cut to 0,0,80,64";
        assert_eq!(found.corrected[0].to_string(), told);
    }

    #[test]
    fn corners_that_are_pixels_end_at_the_last_one() {
        let found =
            checked(vec![raw("hook", [1, 2, 80, 66], 1)], &classes(), [80, 64], BoxEnds::LastPixel)
                .unwrap();
        assert_eq!(<[i64; 4]>::from(found.boxes[0].bounds), [1, 2, 79, 63]);
        let found =
            checked(vec![raw("hook", [1, 2, 80, 64], 1)], &classes(), [80, 64], BoxEnds::LastPixel)
                .unwrap();
        assert!(found.corrected.is_empty());
    }

    #[test]
    fn a_box_that_cannot_be_meant_is_a_problem_with_its_place() {
        for (corners, what) in [
            ([9, 5, 5, 9], "f:1: the box 9,5,5,9 of `hook` is inverted"),
            ([5, 9, 9, 5], "is inverted"),
            ([80, 0, 90, 9], "lies outside the picture of 80x64 pixels"),
            ([0, 64, 9, 70], "lies outside"),
            ([-9, 0, -1, 9], "lies outside"),
            ([0, -9, 9, -1], "lies outside"),
            ([0, 0, 85, 9], "runs off the picture of 80x64 pixels by more than 1/20 of its side"),
            ([0, 0, 9, 68], "runs off"),
            ([-5, 0, 9, 9], "runs off"),
            ([0, -4, 9, 9], "runs off"),
        ] {
            let error = of_one(corners).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            // The same frames are left out in a label space that lacks the class.
            assert!(
                checked(vec![raw("grasper", corners, 1)], &classes(), [80, 64], BoxEnds::Edge)
                    .is_err()
            );
        }
    }

    #[test]
    fn a_box_that_is_listed_twice_is_taken_once() {
        let found = vec![
            raw("hook", [1, 2, 3, 4], 1),
            raw("hook", [1, 2, 3, 5], 2),
            raw("hook", [1, 2, 3, 4], 3),
        ];
        let found = checked(found, &classes(), [80, 64], BoxEnds::Edge).unwrap();
        assert_eq!(found.boxes.len(), 2);
        let told =
            "f:3: the box 1,2,3,4 of `hook` is listed twice (first at f:1) and was taken once";
        assert_eq!(found.corrected[0].to_string(), told);
    }

    #[test]
    fn a_frame_with_a_problem_keeps_the_first_one() {
        let mut boxes = BoxesByFrame::default();
        boxes.annotate(1);
        boxes.add(2, Ok(vec![raw("hook", [1, 2, 3, 4], 1)]));
        boxes.add(2, Err(Error::failure("one")));
        boxes.add(2, Ok(vec![raw("hook", [1, 2, 3, 4], 2)]));
        boxes.add(2, Err(Error::failure("two")));
        boxes.add(3, Err(Error::failure("three")));
        assert!(boxes.take(1).unwrap().unwrap().is_empty() && boxes.take(0).is_none());
        assert_eq!(boxes.take(2).unwrap().unwrap_err().what(), "one");
        assert_eq!(
            boxes.into_problems().map(|error| error.what().to_string()).collect::<Vec<_>>(),
            ["three"]
        );
    }

    proptest! {
        #[test]
        fn what_passes_lies_in_the_picture(
            corners in [-100i64..200, -100i64..200, -100i64..200, -100i64..200],
        ) {
            for labelled in of_one(corners).into_iter().flat_map(|checked| checked.boxes) {
                let Box2 { x1, y1, x2, y2 } = labelled.bounds;
                prop_assert!(0 <= x1 && x1 <= x2 && x2 <= 80 && 0 <= y1 && y1 <= y2 && y2 <= 64);
            }
        }
    }
}
