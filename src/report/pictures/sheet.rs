//! A contact sheet of a data set: frames of every class, small, with their boxes and the names of
//! their classes.

use std::collections::BTreeSet;
use std::path::Path;

use image::{Rgb, RgbImage, imageops};
use rayon::prelude::*;

use super::lettering;
use surgcam_frames::dataset::index::{Frame, Index};
use surgcam_frames::dataset::labels::{CLASS_COLOURS, LabelSpace};
use surgcam_frames::vision::picture;

const COLUMNS: usize = 4;
const MOST_FRAMES: usize = 24;
/// Width and height that a frame is fitted into, in pixels.
const ROOM: [u32; 2] = [240, 180];
const GAP: u32 = 8;
const LINE: u32 = lettering::HEIGHT + 3;
/// Below each frame: its name and split, and its classes on two lines.
const CAPTION: u32 = 3 * LINE + 2;
const BACKGROUND: Rgb<u8> = Rgb([32, 32, 32]);
const INK: [u8; 3] = [230, 230, 230];

/// Frames of all classes. A picture that cannot be read leaves its place empty.
pub fn sheet(root: &Path, index: &Index, classes: &LabelSpace) -> RgbImage {
    let chosen = chosen(&index.frames, classes);
    let tiles: Vec<RgbImage> = chosen
        .par_iter()
        .map(|&row| tile(&root.join(&index.pictures[row]), &index.frames[row], classes))
        .collect();
    let (tile_width, tile_height) = (ROOM[0] + GAP, ROOM[1] + CAPTION + GAP);
    let columns = tiles.len().clamp(1, COLUMNS) as u32;
    let rows = tiles.len().div_ceil(COLUMNS).max(1) as u32;
    let mut sheet =
        RgbImage::from_pixel(columns * tile_width + GAP, rows * tile_height + GAP, BACKGROUND);
    for (place, tile) in tiles.iter().enumerate() {
        let (row, column) = ((place / COLUMNS) as u32, (place % COLUMNS) as u32);
        let (x, y) = (GAP + column * tile_width, GAP + row * tile_height);
        imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y));
    }
    sheet
}

/// Rows of the index, rising: of each class some, spread over all frames that show it.
fn chosen(frames: &[Frame], classes: &LabelSpace) -> Vec<usize> {
    let mut chosen = BTreeSet::new();
    let share = MOST_FRAMES.div_ceil(classes.len().max(1));
    // The tissue is everywhere, and fills what room is left.
    for class in 0..classes.len() {
        let of_class: Vec<usize> =
            (0..frames.len()).filter(|&row| frames[row].labels.contains(&class)).collect();
        let wanted = if class == classes.tissue() { MOST_FRAMES } else { share };
        for row in spread(&of_class, wanted) {
            if chosen.len() < MOST_FRAMES {
                chosen.insert(row);
            }
        }
    }
    chosen.into_iter().collect()
}

/// At most so many, at even distances.
fn spread(rows: &[usize], wanted: usize) -> Vec<usize> {
    let count = wanted.min(rows.len());
    (0..count).map(|place| rows[rows.len() * (2 * place + 1) / (2 * count)]).collect()
}

fn tile(path: &Path, frame: &Frame, classes: &LabelSpace) -> RgbImage {
    let mut tile = RgbImage::from_pixel(ROOM[0], ROOM[1] + CAPTION, BACKGROUND);
    match picture::read(path) {
        Ok(picture) => {
            let small = with_boxes(&picture, frame);
            imageops::replace(&mut tile, &small, 0, 0);
        }
        Err(_) => {
            lettering::write(&mut tile, (4, 4), "cannot be read", INK);
        }
    }
    let split = match (frame.train, frame.validation) {
        (true, true) => "train, validation",
        (true, false) => "train",
        (false, true) => "validation",
        (false, false) => "",
    };
    let name = format!("{}/{} {split}", frame.sequence, frame.name);
    let first = ROOM[1] + 3;
    let shown: String = name.chars().take(lettering::letters_in(ROOM[0])).collect();
    lettering::write(&mut tile, (0, first), &shown, INK);
    write_classes(&mut tile, first + LINE, frame, classes);
    tile
}

/// Names in the colours of their boxes, on as many lines as there are.
fn write_classes(tile: &mut RgbImage, first: u32, frame: &Frame, classes: &LabelSpace) {
    let (mut x, mut y) = (0, first);
    for &class in frame.labels.iter().filter(|&&class| class != classes.tissue()) {
        let name = classes.classes[class].as_str();
        let needed = name.chars().count();
        if x > 0 && needed > lettering::letters_in(ROOM[0].saturating_sub(x)) {
            (x, y) = (0, y + LINE);
        }
        x = lettering::write(tile, (x, y), name, colour(class)) + 6;
    }
}

fn colour(class: usize) -> [u8; 3] {
    CLASS_COLOURS[class % CLASS_COLOURS.len()]
}

/// Fitted into its room.
fn with_boxes(picture: &RgbImage, frame: &Frame) -> RgbImage {
    let scale = (f64::from(ROOM[0]) / f64::from(picture.width().max(1)))
        .min(f64::from(ROOM[1]) / f64::from(picture.height().max(1)));
    let side = |length: u32, room: u32| ((f64::from(length) * scale) as u32).clamp(1, room);
    let [width, height] = [side(picture.width(), ROOM[0]), side(picture.height(), ROOM[1])];
    let mut small = imageops::thumbnail(picture, width, height);
    // The tissue fills the frame: drawn first, so that it hides nothing.
    for labelled in frame.boxes.iter().flatten().rev() {
        let bounds = labelled.bounds.scaled(frame.box_space, [width, height]);
        let corners = [bounds.x1, bounds.y1, bounds.x2 - 1, bounds.y2 - 1];
        rectangle(&mut small, corners, colour(labelled.class));
    }
    small
}

/// In the pixels of the picture, which both corners belong to.
fn rectangle(picture: &mut RgbImage, [x1, y1, x2, y2]: [i64; 4], colour: [u8; 3]) {
    let mut dot = |x: i64, y: i64| {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
            *pixel = Rgb(colour);
        }
    };
    for thickness in 0..2 {
        for x in x1..=x2 {
            dot(x, y1 + thickness);
            dot(x, y2 - thickness);
        }
        for y in y1..=y2 {
            dot(x1 + thickness, y);
            dot(x2 - thickness, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_over_all_that_there_are() {
        let rows: Vec<usize> = (100..200).collect();
        assert_eq!(spread(&rows, 2), [125, 175]);
        assert_eq!(spread(&rows[..3], 9), [100, 101, 102]);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn a_frame_whose_picture_is_gone_has_its_place_all_the_same() {
        let frame = |name: &str, class: usize| Frame {
            sequence: "video01".into(),
            name: name.into(),
            train: true,
            validation: false,
            labels: vec![class, 2],
            boxes: None,
            box_space: [0, 0],
            detected: Vec::new(),
        };
        let index = Index {
            frames: (0..6).map(|row| frame(&format!("{row}"), row % 2)).collect(),
            pictures: (0..6).map(|row| format!("{row}.png").into()).collect(),
            annotations: Vec::new(),
            summary: Default::default(),
            skipped_annotations: Vec::new(),
            corrected_boxes: Vec::new(),
        };
        let classes =
            LabelSpace { classes: ["hook", "grasper", "tissue"].map(String::from).into() };
        let sheet = sheet(Path::new("/absent"), &index, &classes);
        assert_eq!((sheet.width(), sheet.height()), (4 * 248 + 8, 2 * (188 + 35) + 8));
    }
}
