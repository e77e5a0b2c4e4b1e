//! Legends of sheets: what heat, lines and areas mean, and which colour is which class.

use super::lines::places_in_lines;
use super::name_tags::{ColouredName, NameTags};
use super::overlay::jet;
use super::panel::{CELL_OPACITY, DASH, GAP, INK, write_text};
use crate::report::drawing::{Drawing, Outline, Paint, Point, Stroke, text_width, without_excess};
use surgcam_engine::error::Result;

/// What a legend has to explain.
#[derive(Debug, Clone, Default)]
pub struct Legend {
    pub heat: bool,
    pub boxes: bool,
    pub cells: bool,
    /// The classes whose colours occur.
    pub classes: Vec<ColouredName>,
}

/// More classes than these lines have room for are counted.
const MOST_CLASS_LINES: usize = 4;
/// The height of a line, in sizes of the font.
const LINE: f64 = 1.7;
/// Between a sample and its name.
const BEFORE_NAME: f64 = 6.0;

#[derive(Debug, Clone, Copy)]
enum Sample {
    Heat,
    Line(Option<f64>),
    Cells,
}

struct Entry {
    sample: Sample,
    name: String,
    /// The middle of its left edge, from the corner of the legend.
    at: Point,
}

/// A legend whose entries have their places.
pub struct PlacedLegend {
    entries: Vec<Entry>,
    classes: NameTags,
    text: f64,
    entries_height: f64,
}

impl Legend {
    /// In lines of at most `room` pixels, with letters of the size `text`.
    pub fn placed(&self, text: f64, room: f64) -> Result<PlacedLegend> {
        let before_name = sample_width(text) + BEFORE_NAME;
        let (mut names, mut widths) = (Vec::new(), Vec::new());
        for (_, name) in self.samples() {
            let name = without_excess(name, text, room - before_name)?;
            widths.push(before_name + text_width(&name, text)?);
            names.push(name);
        }
        let places = places_in_lines(widths.into_iter(), 2.0 * GAP, room);
        let lines = places.last().map_or(0, |(_, line)| line + 1);
        let entries = self.samples().into_iter().zip(names).zip(places);
        let entries = entries.map(|(((sample, _), name), (left, line))| {
            let middle = (line as f64 + 0.5) * text * LINE;
            Entry { sample, name, at: (left, middle) }
        });
        Ok(PlacedLegend {
            entries: entries.collect(),
            classes: NameTags::in_lines(&self.classes, text, room, MOST_CLASS_LINES)?,
            text,
            entries_height: lines as f64 * text * LINE,
        })
    }

    fn samples(&self) -> Vec<(Sample, &'static str)> {
        let heat = self.heat.then_some((Sample::Heat, "heat from 0 to 1"));
        let boxes = [(Sample::Line(None), "predicted"), (Sample::Line(Some(DASH)), "true")];
        let boxes = boxes.into_iter().filter(|_| self.boxes);
        let cells = self.cells.then_some((Sample::Cells, "cells hotter than T_ROI"));
        heat.into_iter().chain(boxes).chain(cells).collect()
    }
}

fn sample_width(text: f64) -> f64 {
    text * 2.5
}

impl PlacedLegend {
    pub fn height(&self) -> f64 {
        self.entries_height + self.classes.height
    }

    /// With its upper left corner at a place.
    pub fn draw(&self, drawing: &mut Drawing, (left, top): Point) {
        let width = sample_width(self.text);
        for Entry { sample, name, at } in &self.entries {
            let (left, middle) = (left + at.0, top + at.1);
            draw_sample(drawing, *sample, [left, middle], [width, self.text / 2.5]);
            let at = (left + width + BEFORE_NAME, middle + self.text * 0.36);
            write_text(drawing, name.clone(), at, self.text);
        }
        self.classes.draw(drawing, (left, top + self.entries_height));
    }
}

/// From the middle of its left edge, with this width and half of its height.
fn draw_sample(
    drawing: &mut Drawing,
    sample: Sample,
    [left, middle]: [f64; 2],
    [width, half]: [f64; 2],
) {
    let slice =
        |left: f64, right: f64| Outline::rectangle([left, middle - half, right, middle + half]);
    let right = left + width;
    match sample {
        Sample::Heat => {
            let steps = 32;
            for step in 0..steps {
                let begin = left + width * f64::from(step) / f64::from(steps);
                // Up to the end, so that no seam is seen between two.
                let colour = jet((step as f32 + 0.5) / steps as f32);
                drawing.fill(slice(begin, right), Paint::rgb(colour));
            }
        }
        Sample::Line(dash) => {
            let line = Outline::Line(vec![(left, middle), (right, middle)]);
            drawing.stroke(line, Stroke { paint: INK, width: 2.5, dash });
        }
        Sample::Cells => {
            drawing.fill(slice(left, right), Paint { opacity: CELL_OPACITY, ..INK });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_without_entries_has_no_height_and_a_narrow_one_has_more_lines() {
        assert_eq!(Legend::default().placed(10.0, 400.0).unwrap().height(), 0.0);
        let classes = vec![ColouredName { name: "hook".into(), colour: [255, 0, 0] }];
        let legend = Legend { heat: true, boxes: true, cells: true, classes };
        let wide = legend.placed(10.0, 600.0).unwrap();
        assert_eq!(wide.height(), 17.0 + 16.0);
        let narrow = legend.placed(10.0, 180.0).unwrap();
        assert!(narrow.height() > wide.height());
        let mut drawing = Drawing::new(180, 200, "").unwrap();
        narrow.draw(&mut drawing, (0.0, 0.0));
        let svg = drawing.svg().unwrap();
        for name in ["heat from 0 to 1", "predicted", "true", "cells hotter than T_ROI", "hook"] {
            assert!(svg.contains(&format!(">{name}</text>")), "{name}: {svg}");
        }
    }
}
