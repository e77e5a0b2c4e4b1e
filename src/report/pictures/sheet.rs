//! A contact sheet of a data set: frames of every class, small, with their boxes and the names of
//! their classes.

use std::collections::BTreeSet;
use std::path::Path;

use image::{RgbImage, imageops};
use rayon::prelude::*;

use super::name_tags::{ColouredName, NameTags};
use super::panel::{GAP, INK, NamedBox, draw_box, largest_first, write_text};
use super::scene::{class_name, colour_of, true_boxes};
use crate::report::drawing::{
    Anchor, Drawing, Label, Outline, Paint, Point, text_width, without_excess,
};
use surgcam_engine::error::Result;
use surgcam_engine::escape;
use surgcam_frames::dataset::index::{Frame, Index};
use surgcam_frames::dataset::labels::LabelSpace;
use surgcam_frames::vision::picture;

const COLUMNS: usize = 4;
const MOST_FRAMES: usize = 24;
/// Width and height that a frame is fitted into, in pixels.
const ROOM: [u32; 2] = [320, 240];
const WIDTH: f64 = ROOM[0] as f64;
const TEXT: f64 = 12.0;
const LINE: f64 = 20.0;
const BOX_WIDTH: f64 = 2.0;
/// More classes of a frame than these lines have room for are counted.
const MOST_CLASS_LINES: usize = 4;

/// A frame that is shown.
struct Tile {
    /// `None`: it cannot be read.
    picture: Option<RgbImage>,
    /// Its name and its split.
    caption: String,
    /// The tissue first. Among boxes of one size it is drawn first and hides nothing.
    boxes: Vec<NamedBox>,
    classes: NameTags,
}

/// Frames of all classes. A picture that cannot be read leaves its place empty.
pub fn sheet(root: &Path, index: &Index, classes: &LabelSpace) -> Result<Drawing> {
    let chosen = chosen(&index.frames, classes);
    let tiles = chosen
        .par_iter()
        .map(|&row| tile(&root.join(&index.pictures[row]), &index.frames[row], classes))
        .collect::<Result<Vec<Tile>>>()?;
    let title = title(root, tiles.len(), index.frames.len());
    let columns = tiles.len().clamp(1, COLUMNS);
    let width = columns as f64 * (WIDTH + GAP) + GAP;
    let below_title = LINE + GAP / 2.0;
    let height = below_title + tiles.chunks(COLUMNS).map(height_of_row).sum::<f64>();
    let mut drawing = Drawing::new(width.ceil() as u32, height.ceil() as u32, &*title)?;
    let shown = without_excess(&title, TEXT, width - 2.0 * GAP)?;
    write_text(&mut drawing, shown, (GAP, LINE * 0.8), TEXT);
    let mut top = below_title;
    for row in tiles.chunks(COLUMNS) {
        for (column, tile) in row.iter().enumerate() {
            let left = GAP + column as f64 * (WIDTH + GAP);
            draw_tile(&mut drawing, tile, (left, top), height_of_pictures(row));
        }
        top += height_of_row(row);
    }
    Ok(drawing)
}

fn title(root: &Path, shown: usize, all: usize) -> String {
    // A path such as `..` has no name.
    let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy();
    escape::line(&format!("{shown} of {all} frames of {name}")).into_owned()
}

fn height_of_pictures(row: &[Tile]) -> f64 {
    row.iter().map(|tile| f64::from(tile.size()[1])).fold(1.0, f64::max)
}

/// With the captions and the gap below them.
fn height_of_row(row: &[Tile]) -> f64 {
    let classes = row.iter().map(|tile| tile.classes.height).fold(0.0, f64::max);
    height_of_pictures(row) + LINE + classes + GAP
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

fn tile(path: &Path, frame: &Frame, classes: &LabelSpace) -> Result<Tile> {
    let tissue = classes.tissue();
    let named: Vec<ColouredName> = frame
        .labels
        .iter()
        .filter(|&&class| class != tissue)
        .map(|&class| ColouredName {
            name: class_name(classes, class).to_string(),
            colour: colour_of(class),
        })
        .collect();
    // All boxes are true ones, so dashes would tell nothing.
    let with_full_lines = |found: NamedBox| NamedBox { is_true: false, ..found };
    Ok(Tile {
        picture: picture::read(path).ok().map(|picture| fitted(&picture)),
        caption: caption(frame)?,
        boxes: true_boxes(frame, classes).into_iter().rev().map(with_full_lines).collect(),
        classes: NameTags::in_lines(&named, TEXT, WIDTH, MOST_CLASS_LINES)?,
    })
}

/// A long name is cut, so that the split is seen.
fn caption(frame: &Frame) -> Result<String> {
    let split = match (frame.train, frame.validation) {
        (true, true) => ", train, validation",
        (true, false) => ", train",
        (false, true) => ", validation",
        (false, false) => "",
    };
    let name = format!("{}/{}", frame.sequence, frame.name);
    let room = WIDTH - text_width(split, TEXT)?;
    Ok(without_excess(&escape::line(&name), TEXT, room)? + split)
}

/// As large as there is room for.
fn fitted(picture: &RgbImage) -> RgbImage {
    let scale = (f64::from(ROOM[0]) / f64::from(picture.width().max(1)))
        .min(f64::from(ROOM[1]) / f64::from(picture.height().max(1)));
    let side = |length: u32, room: u32| ((f64::from(length) * scale) as u32).clamp(1, room);
    let [width, height] = [side(picture.width(), ROOM[0]), side(picture.height(), ROOM[1])];
    imageops::thumbnail(picture, width, height)
}

impl Tile {
    fn size(&self) -> [u32; 2] {
        self.picture.as_ref().map_or(ROOM, |picture| [picture.width(), picture.height()])
    }
}

/// `height`: that of the pictures in the tile's row.
fn draw_tile(drawing: &mut Drawing, tile: &Tile, (left, top): Point, height: f64) {
    let [across, down] = tile.size().map(f64::from);
    let place = [left, top, left + across, top + down];
    match &tile.picture {
        Some(picture) => {
            drawing.picture(picture.clone(), place);
            for found in largest_first(&tile.boxes) {
                draw_box(drawing, found, place, BOX_WIDTH);
            }
        }
        None => draw_absence(drawing, place),
    }
    let below = top + height;
    write_text(drawing, tile.caption.clone(), (left, below + LINE * 0.75), TEXT);
    tile.classes.draw(drawing, (left, below + LINE));
}

/// The place of a picture that cannot be read.
fn draw_absence(drawing: &mut Drawing, place: [f64; 4]) {
    drawing.fill(Outline::rectangle(place), Paint { opacity: 0.1, ..INK });
    let [left, top, right, bottom] = place;
    drawing.label(Label {
        text: "cannot be read".into(),
        at: ((left + right) / 2.0, (top + bottom) / 2.0),
        size: TEXT,
        paint: INK,
        anchor: Anchor::Middle,
        is_upright: false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_frames::dataset::index::LabelledBox;
    use surgcam_frames::vision::geometry::Box2;

    #[test]
    fn rows_are_spread_over_all_that_there_are() {
        let rows: Vec<usize> = (100..200).collect();
        assert_eq!(spread(&rows, 2), [125, 175]);
        assert_eq!(spread(&rows[..3], 9), [100, 101, 102]);
        assert!(spread(&[], 3).is_empty());
    }

    fn frame(name: &str, labels: Vec<usize>) -> Frame {
        Frame {
            sequence: "video01".into(),
            name: name.into(),
            train: true,
            validation: false,
            labels,
            boxes: None,
            box_space: [0, 0],
            detected: Vec::new(),
        }
    }

    fn index(frames: Vec<Frame>) -> Index {
        Index {
            pictures: frames.iter().map(|frame| format!("{}.png", frame.name).into()).collect(),
            frames,
            annotations: Vec::new(),
            summary: Default::default(),
            skipped_annotations: Vec::new(),
            corrected_boxes: Vec::new(),
        }
    }

    fn classes() -> LabelSpace {
        LabelSpace { classes: ["hook", "grasper", "tissue"].map(String::from).into() }
    }

    #[test]
    fn a_frame_whose_picture_is_gone_has_its_place_all_the_same() {
        let frames = (0..6).map(|row| frame(&format!("{row}"), vec![row % 2, 2])).collect();
        let sheet = sheet(Path::new("/absent"), &index(frames), &classes()).unwrap();
        // Title; and two rows of a picture, a caption, a line of class names and a gap.
        let height = 26.0 + 2.0 * (240.0 + 20.0 + 19.2 + 12.0);
        assert_eq!((sheet.width, sheet.height), (4 * 332 + 12, f64::ceil(height) as u32));
        let svg = sheet.svg().unwrap();
        for (text, count) in
            [("cannot be read", 6), ("hook", 3), ("grasper", 3), ("video01/4, train", 1)]
        {
            assert_eq!(svg.matches(&format!(">{text}</text>")).count(), count, "{text}: {svg}");
        }
        assert!(svg.contains(">6 of 6 frames of absent</text>"), "{svg}");
    }

    #[test]
    fn a_long_name_ends_with_an_ellipsis_and_the_split_is_seen() {
        let caption = caption(&frame(&"long".repeat(40), Vec::new())).unwrap();
        assert!(caption.ends_with("…, train"), "{caption}");
        assert!(text_width(&caption, TEXT).unwrap() <= WIDTH);
    }

    #[test]
    fn boxes_have_the_colours_of_their_classes_and_the_tissue_hides_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.png");
        RgbImage::from_pixel(640, 360, image::Rgb([9; 3])).save(&path).unwrap();
        let labelled = |class, x2, y2| LabelledBox { class, bounds: Box2 { y1: 0, x1: 0, y2, x2 } };
        let boxes = Some(vec![labelled(0, 320, 180), labelled(2, 640, 360)]);
        let frame = Frame { boxes, box_space: [640, 360], ..frame("7", vec![0, 2]) };
        let sheet = sheet(folder.path(), &index(vec![frame]), &classes()).unwrap();
        let pixels = sheet.pixels().unwrap();
        let colour = |x: u32, y: u32| pixels.get_pixel(12 + x, 26 + y).0;
        // Both begin in the same corner. At its right and lower edges each has its own line.
        assert_eq!(colour(0, 0), colour_of(0));
        assert_eq!(colour(159, 40), colour_of(0));
        assert_eq!(colour(319, 40), colour_of(2));
        assert_eq!(colour(200, 179), colour_of(2));
        assert_eq!(colour(60, 40), [9; 3]);
    }
}
