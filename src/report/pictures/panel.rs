//! Sheets of pictures: each with its caption, boxes with their names, and a legend for all of them.

use image::RgbImage;

use super::labels::Labels;
use super::overlay::jet;
use crate::report::drawing::{
    Anchor, Colour, Drawing, Label, Outline, Paint, Point, Stroke, text_width, without_excess,
};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// A box in shares of the picture: left, top, right, bottom.
pub type Place = [f64; 4];

/// A box with its name.
pub struct NamedBox {
    pub place: Place,
    pub name: String,
    pub colour: [u8; 3],
    /// Dashed.
    pub is_true: bool,
}

/// Cells of a heat map that are used as they are.
pub struct HotCells {
    pub places: Vec<Place>,
    pub colour: [u8; 3],
}

pub struct Panel {
    pub picture: RgbImage,
    pub caption: String,
    pub boxes: Vec<NamedBox>,
    pub cells: Vec<HotCells>,
}

/// What a legend has to explain.
#[derive(Debug, Clone, Copy, Default)]
pub struct Legend {
    pub heat: bool,
    pub boxes: bool,
    pub cells: bool,
}

pub struct Sheet {
    pub title: String,
    pub panels: Vec<Panel>,
    pub columns: usize,
    pub legend: Legend,
}

const GAP: f64 = 12.0;
const INK: Paint = Paint { colour: Colour::Ink, opacity: 1.0 };
/// A picture that is shown for people is not smaller than this.
const SMALLEST_WIDTH: u32 = 64;

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
        let whole_height = 2.0 * sizes.line + rows as f64 * below + GAP;
        let hint = |error: Error| error.hint("choose a smaller width of each picture with --size");
        // A float that is too large becomes the largest integer, which is refused.
        let mut drawing =
            Drawing::new(whole_width.ceil() as u32, whole_height.ceil() as u32, &*self.title)
                .map_err(hint)?;
        let title =
            without_excess(&escape::line(&self.title), sizes.text, whole_width - 2.0 * GAP)?;
        text(&mut drawing, title, (GAP, sizes.line * 0.72 + 2.0), &sizes);
        for (place, panel) in self.panels.iter().enumerate() {
            let left = GAP + (place % columns) as f64 * (sizes.width + GAP);
            let top = sizes.line + (place / columns) as f64 * below;
            draw_panel(&mut drawing, panel, (left, top), &sizes)?;
        }
        self.draw_legend(&mut drawing, whole_height - sizes.line - GAP / 2.0, &sizes)?;
        Ok(drawing)
    }

    fn sizes(&self, width: Option<u32>) -> Sizes {
        let own = self.panels.iter().map(|panel| panel.picture.width()).max().unwrap_or(1);
        let width = f64::from(width.unwrap_or(own).max(SMALLEST_WIDTH));
        let height = self.panels.iter().map(|panel| height_of(panel, width)).fold(1.0, f64::max);
        let text = (width / 38.0).clamp(10.0, 30.0);
        Sizes { width, height, text, line: text * 1.7 }
    }

    fn draw_legend(&self, drawing: &mut Drawing, top: f64, sizes: &Sizes) -> Result<()> {
        let middle = top + sizes.line / 2.0;
        let (sample, baseline) = (sizes.text * 2.5, middle + sizes.text * 0.36);
        let mut left = GAP;
        let mut entry = |drawing: &mut Drawing, name: &str| -> Result<f64> {
            let begin = left;
            text(drawing, name.to_string(), (left + sample + 6.0, baseline), sizes);
            left += sample + 6.0 + text_width(name, sizes.text)? + 2.0 * GAP;
            Ok(begin)
        };
        if self.legend.heat {
            let left = entry(drawing, "heat from 0 to 1")?;
            let steps = 32;
            for step in 0..steps {
                let at = |step: i32| left + sample * f64::from(step) / f64::from(steps);
                let half = sizes.text / 2.5;
                // Up to the end, so that no seam is seen between two.
                let slice = Outline::rectangle([at(step), middle - half, at(steps), middle + half]);
                drawing.fill(slice, Paint::rgb(jet((step as f32 + 0.5) / steps as f32)));
            }
        }
        if self.legend.boxes {
            for (name, dash) in [("predicted", None), ("true", Some(DASH))] {
                let left = entry(drawing, name)?;
                let line = Outline::Line(vec![(left, middle), (left + sample, middle)]);
                drawing.stroke(line, Stroke { paint: INK, width: 2.5, dash });
            }
        }
        if self.legend.cells {
            let left = entry(drawing, "cells hotter than T_ROI")?;
            let half = sizes.text / 2.5;
            let area = Outline::rectangle([left, middle - half, left + sample, middle + half]);
            drawing.fill(area, Paint { opacity: CELL_OPACITY, ..INK });
        }
        Ok(())
    }
}

const DASH: f64 = 7.0;
const CELL_OPACITY: f64 = 0.45;
/// Around lines of colours that dark pictures would swallow.
const HALO: Paint = Paint { colour: Colour::Rgb([255; 3]), opacity: 0.5 };

fn height_of(panel: &Panel, width: f64) -> f64 {
    let (across, down) = panel.picture.dimensions();
    width * f64::from(down) / f64::from(across.max(1))
}

fn text(drawing: &mut Drawing, text: String, at: Point, sizes: &Sizes) {
    let (size, anchor) = (sizes.text, Anchor::Start);
    drawing.label(Label { text, at, size, paint: INK, anchor, is_upright: false });
}

fn draw_panel(
    drawing: &mut Drawing,
    panel: &Panel,
    (left, top): Point,
    sizes: &Sizes,
) -> Result<()> {
    let caption = without_excess(&escape::line(&panel.caption), sizes.text, sizes.width)?;
    text(drawing, caption, (left, top + sizes.line * 0.72), sizes);
    let (top, height) = (top + sizes.line, height_of(panel, sizes.width));
    let frame = [left, top, left + sizes.width, top + height];
    drawing.picture(panel.picture.clone(), frame);
    // What lies outside a picture would cover its neighbours.
    let inside = |place: &Place| {
        let share = |value: f64| if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
        let (x, y) =
            (|value| left + share(value) * sizes.width, |value| top + share(value) * height);
        [x(place[0]), y(place[1]), x(place[2]), y(place[3])]
    };
    for cells in &panel.cells {
        let paint = Paint { colour: Colour::Rgb(cells.colour), opacity: CELL_OPACITY };
        cells.places.iter().for_each(|cell| drawing.fill(Outline::rectangle(inside(cell)), paint));
    }
    // Large boxes first, so that they hide nothing.
    let mut boxes: Vec<&NamedBox> = panel.boxes.iter().collect();
    let area = |found: &NamedBox| {
        let [left, top, right, bottom] = found.place;
        (right - left) * (bottom - top)
    };
    boxes.sort_by(|a, b| area(b).total_cmp(&area(a)));
    let width = (sizes.width / 320.0).clamp(1.5, 4.0);
    for found in &boxes {
        let dash = found.is_true.then_some(DASH);
        let stroke = Stroke { paint: Paint::rgb(found.colour), width, dash };
        let [left, top, right, bottom] = inside(&found.place);
        let half = width / 2.0;
        let line = [left + half, top + half, right - half, bottom - half];
        drawing.stroke(Outline::rectangle(line), Stroke { paint: HALO, width: width + 2.0, dash });
        drawing.stroke(Outline::rectangle(line), stroke);
    }
    let mut labels = Labels::in_frame(frame, sizes.text * 0.85);
    // Small boxes have less room for their names and choose first.
    for found in boxes.iter().rev() {
        labels.add(drawing, &found.name, found.colour, inside(&found.place))?;
    }
    Ok(())
}
