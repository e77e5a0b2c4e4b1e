//! Sheets of pictures: each with its caption, boxes with their names, and a legend for all of them.

use image::RgbImage;

use super::labels::Labels;
use super::legend::Legend;
use super::lines::text_in_lines;
use crate::report::drawing::{
    Anchor, Colour, Drawing, Label, Outline, Paint, Point, Stroke, without_excess,
};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// A box in shares of the picture: left, top, right, bottom.
pub type Place = [f64; 4];

/// A box with its name.
pub struct NamedBox {
    /// `None`: a box of no class.
    pub class: Option<usize>,
    pub place: Place,
    pub name: String,
    pub colour: [u8; 3],
    /// Dashed.
    pub is_true: bool,
}

/// Cells of a heat map that are used as they are.
pub struct HotCells {
    pub class: usize,
    pub places: Vec<Place>,
    pub colour: [u8; 3],
}

pub struct Panel {
    pub picture: RgbImage,
    pub caption: String,
    pub boxes: Vec<NamedBox>,
    pub cells: Vec<HotCells>,
}

pub struct Sheet {
    pub title: String,
    pub panels: Vec<Panel>,
    pub columns: usize,
    pub legend: Legend,
}

pub(super) const GAP: f64 = 12.0;
pub(super) const INK: Paint = Paint { colour: Colour::Ink, opacity: 1.0 };
/// A picture that is shown for people is not smaller than this.
const SMALLEST_WIDTH: u32 = 64;
/// Titles that list many classes have this many lines where pictures are small.
const MOST_TITLE_LINES: usize = 8;

/// Sizes that follow from the width of a panel.
struct Sizes {
    width: f64,
    /// Of each line of panels.
    height: f64,
    text: f64,
    line: f64,
}

impl Sheet {
    /// `width`: that of each picture in pixels; without it, the pictures' own.
    pub fn draw(&self, width: Option<u32>) -> Result<Drawing> {
        let sizes = self.sizes(width);
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let rows = self.panels.len().div_ceil(columns);
        let whole_width = columns as f64 * (sizes.width + GAP) + GAP;
        let below = sizes.line + sizes.height + GAP;
        let room = whole_width - 2.0 * GAP;
        let title = text_in_lines(&self.title, sizes.text, room, MOST_TITLE_LINES)?;
        let title_height = title.len() as f64 * sizes.line;
        let legend = self.legend.placed(sizes.text, room)?;
        let whole_height = title_height + rows as f64 * below + legend.height() + GAP;
        let hint = |error: Error| error.hint("choose a smaller width of each picture with --size");
        // A float that is too large becomes the largest integer, which is refused.
        let mut drawing =
            Drawing::new(whole_width.ceil() as u32, whole_height.ceil() as u32, &*self.title)
                .map_err(hint)?;
        for (place, line) in title.into_iter().enumerate() {
            let baseline = (place as f64 + 0.72) * sizes.line + 2.0;
            write_text(&mut drawing, line, (GAP, baseline), sizes.text);
        }
        for (place, panel) in self.panels.iter().enumerate() {
            let left = GAP + (place % columns) as f64 * (sizes.width + GAP);
            let top = title_height + (place / columns) as f64 * below;
            draw_panel(&mut drawing, panel, (left, top), &sizes)?;
        }
        legend.draw(&mut drawing, (GAP, whole_height - legend.height() - GAP / 2.0));
        Ok(drawing)
    }

    fn sizes(&self, width: Option<u32>) -> Sizes {
        let own = self.panels.iter().map(|panel| panel.picture.width()).max().unwrap_or(1);
        let width = f64::from(width.unwrap_or(own).max(SMALLEST_WIDTH));
        let height = self.panels.iter().map(|panel| height_of(panel, width)).fold(1.0, f64::max);
        let text = (width / 38.0).clamp(10.0, 30.0);
        Sizes { width, height, text, line: text * 1.7 }
    }
}

pub(super) const DASH: f64 = 7.0;
pub(super) const CELL_OPACITY: f64 = 0.45;
/// Around lines of colours that dark pictures would swallow.
const HALO: Paint = Paint { colour: Colour::Rgb([255; 3]), opacity: 0.5 };

fn height_of(panel: &Panel, width: f64) -> f64 {
    let (across, down) = panel.picture.dimensions();
    width * f64::from(down) / f64::from(across.max(1))
}

pub(super) fn write_text(drawing: &mut Drawing, text: String, at: Point, size: f64) {
    let anchor = Anchor::Start;
    drawing.label(Label { text, at, size, paint: INK, anchor, is_upright: false });
}

fn draw_panel(
    drawing: &mut Drawing,
    panel: &Panel,
    (left, top): Point,
    sizes: &Sizes,
) -> Result<()> {
    let caption = without_excess(&escape::line(&panel.caption), sizes.text, sizes.width)?;
    write_text(drawing, caption, (left, top + sizes.line * 0.72), sizes.text);
    let (top, height) = (top + sizes.line, height_of(panel, sizes.width));
    let frame = [left, top, left + sizes.width, top + height];
    drawing.picture(panel.picture.clone(), frame);
    for cells in &panel.cells {
        let paint = Paint { colour: Colour::Rgb(cells.colour), opacity: CELL_OPACITY };
        for cell in &cells.places {
            drawing.fill(Outline::rectangle(inside(cell, frame)), paint);
        }
    }
    let boxes = largest_first(&panel.boxes);
    for found in &boxes {
        draw_box(drawing, found, frame, (sizes.width / 320.0).clamp(1.5, 4.0));
    }
    let mut labels = Labels::in_frame(frame, sizes.text * 0.85);
    // Small boxes have less room for their names and choose first.
    for found in boxes.iter().rev() {
        labels.add(drawing, &found.name, found.colour, inside(&found.place, frame))?;
    }
    Ok(())
}

/// So that large boxes hide nothing.
pub(super) fn largest_first(boxes: &[NamedBox]) -> Vec<&NamedBox> {
    let area = |found: &NamedBox| {
        let [left, top, right, bottom] = found.place;
        (right - left) * (bottom - top)
    };
    let mut sorted: Vec<&NamedBox> = boxes.iter().collect();
    sorted.sort_by(|a, b| area(b).total_cmp(&area(a)));
    sorted
}

/// Strokes a box of the picture that fills the area `frame`, in lines of this width.
pub(super) fn draw_box(drawing: &mut Drawing, found: &NamedBox, frame: [f64; 4], width: f64) {
    let dash = found.is_true.then_some(DASH);
    let [left, top, right, bottom] = inside(&found.place, frame);
    let half = width / 2.0;
    let line = [left + half, top + half, right - half, bottom - half];
    drawing.stroke(Outline::rectangle(line), Stroke { paint: HALO, width: width + 2.0, dash });
    let paint = Paint::rgb(found.colour);
    drawing.stroke(Outline::rectangle(line), Stroke { paint, width, dash });
}

/// Where a place of the picture lies in the drawing. What lies outside the picture would cover its
/// neighbours.
fn inside(place: &Place, [left, top, right, bottom]: [f64; 4]) -> [f64; 4] {
    let share = |value: f64| if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    let x = |value: f64| left + share(value) * (right - left);
    let y = |value: f64| top + share(value) * (bottom - top);
    [x(place[0]), y(place[1]), x(place[2]), y(place[3])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::drawing::{Shape, text_width};
    use crate::report::pictures::name_tags::ColouredName;

    fn sheet(title: &str, classes: Vec<ColouredName>) -> Sheet {
        let panel = || Panel {
            picture: RgbImage::new(64, 48),
            caption: "a frame".into(),
            boxes: Vec::new(),
            cells: Vec::new(),
        };
        let legend = Legend { heat: true, boxes: true, cells: true, classes };
        Sheet { title: title.into(), panels: vec![panel(), panel()], columns: 2, legend }
    }

    fn labels(drawing: &Drawing) -> Vec<&Label> {
        let labels = drawing.shapes.iter().filter_map(|shape| match shape {
            Shape::Label(label) => Some(label),
            _ => None,
        });
        labels.collect()
    }

    #[test]
    fn a_title_of_many_classes_is_whole_at_every_usual_size() {
        let classes = "bipolar forceps, prograsp forceps, large needle driver, monopolar curved \
                       scissors, ultrasound probe, suction instrument, clip applier, tissue";
        let title = format!("seq_1/frame067 by net; present: {classes}; labelled: {classes}");
        let sheet = sheet(&title, Vec::new());
        for size in [160, 320, 1280] {
            let drawing = sheet.draw(Some(size)).unwrap();
            let labels = labels(&drawing);
            let first_caption = labels.iter().position(|label| label.text == "a frame").unwrap();
            let lines: Vec<&str> =
                labels[..first_caption].iter().map(|label| label.text.as_str()).collect();
            assert_eq!(lines.join(" "), title, "{size}");
        }
    }

    #[test]
    fn what_is_written_lies_inside_the_sheet_however_narrow_it_is() {
        let named = |class: u8| ColouredName { name: format!("class {class}"), colour: [class; 3] };
        let sheet =
            sheet("a title; and more of it; and even more of it", (0..40).map(named).collect());
        for size in [64, 320] {
            let drawing = sheet.draw(Some(size)).unwrap();
            for label in labels(&drawing) {
                let right = label.at.0 + text_width(&label.text, label.size).unwrap();
                assert!(right <= f64::from(drawing.width), "{size}: {}", label.text);
                assert!(label.at.1 <= f64::from(drawing.height), "{size}: {}", label.text);
            }
        }
    }
}
