//! Spans of time as bars in lanes. The axis is plotters'.

use plotters::prelude::*;

use super::chart::tick;
use super::legend::Legend;
use super::palette::{PAGE, TEXT, TICKS, TITLE, colour_of_area, letters_on};
use crate::report::drawing::plotting::{Plotting, UNITS, in_pixels};
use crate::report::drawing::{
    Anchor, Drawing, Label, Outline, Paint, Shape, text_width, without_excess,
};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// A span of time, as a bar.
pub struct Bar {
    pub from: f64,
    pub to: f64,
    /// The line that it is in, from the top.
    pub lane: usize,
    /// Its place among the kinds.
    pub kind: usize,
    pub label: String,
}

pub struct Bars {
    pub title: String,
    pub kinds: Vec<String>,
    pub bars: Vec<Bar>,
}

const LANE: u32 = 26;
/// More lanes are drawn over the last one.
const MOST_LANES: usize = 64;
const MOST_KINDS: usize = 24;
const AROUND_LANES: u32 = 100;
/// The axis is computed for numbers up to this, and no run is longer.
const LARGEST: f64 = 1e9;
const LABEL: f64 = 14.0;

pub fn draw(bars: &Bars) -> Result<Drawing> {
    let lanes = bars.bars.iter().map(|bar| bar.lane + 1).max().unwrap_or(1).min(MOST_LANES);
    let kinds = bars.kinds.iter().take(MOST_KINDS).map(String::as_str);
    let legend = Legend::of(kinds, f64::from(PAGE))?;
    let plot_height = AROUND_LANES + lanes as u32 * LANE;
    let height = plot_height + legend.height as u32;
    let mut drawing = Drawing::new(PAGE, height, bars.title.clone())?;
    let drawable = || bars.bars.iter().filter(|bar| bar.from.abs().max(bar.to.abs()) < LARGEST);
    let seconds = drawable().map(|bar| bar.to).fold(0.001, f64::max);
    let title = escape::line(&bars.title);
    let corners = axis(&title, lanes, seconds, plot_height, &mut drawing).map_err(|error| {
        Error::failure(format!("cannot draw the figure `{}`: {error}", bars.title))
    })?;
    let [left, top, right, bottom] = corners;
    let x = |time: f64| left + time / seconds * (right - left);
    let lane = (bottom - top) / lanes as f64;
    for bar in drawable() {
        let above = top + bar.lane.min(MOST_LANES - 1) as f64 * lane + 0.1 * lane;
        let place = [x(bar.from), above, x(bar.to), above + 0.8 * lane];
        draw_bar(&mut drawing, bar, place)?;
    }
    legend.draw(&mut drawing, f64::from(plot_height), |drawing, place, (x, y)| {
        let square = Outline::rectangle([x - 6.0, y - 6.0, x + 6.0, y + 6.0]);
        drawing.fill(square, Paint::rgb(colour_of_area(place)));
    });
    Ok(drawing)
}

fn draw_bar(drawing: &mut Drawing, bar: &Bar, place: [f64; 4]) -> Result<()> {
    let label = escape::line(&bar.label).into_owned();
    let area = colour_of_area(bar.kind);
    let meaning = format!("{label}: from {} s to {} s", bar.from, bar.to);
    drawing.shapes.push(Shape::Figure {
        outline: Outline::rectangle(place),
        fill: Some(Paint::rgb(area)),
        stroke: None,
        meaning: Some(meaning),
    });
    let [left, top, right, bottom] = place;
    let room = right - left - 8.0;
    // Half a name says less than none.
    if text_width(&label, LABEL)? > room.max(0.0) {
        return Ok(());
    }
    drawing.label(Label {
        text: without_excess(&label, LABEL, room)?,
        at: (left + 4.0, (top + bottom) / 2.0 + LABEL * 0.36),
        size: LABEL,
        paint: letters_on(area),
        anchor: Anchor::Start,
        is_upright: false,
    });
    Ok(())
}

/// Draws the axis, and gives left, top, right and bottom of what lies above it.
fn axis(
    title: &str,
    lanes: usize,
    seconds: f64,
    height: u32,
    drawing: &mut Drawing,
) -> std::result::Result<[f64; 4], DrawingAreaErrorKind<std::convert::Infallible>> {
    let units = |pixels: f64| (pixels * f64::from(UNITS)) as i32;
    let wide = UNITS.unsigned_abs();
    let root = Plotting(drawing).into_drawing_area();
    let (plot, _) = root.split_vertically(units(f64::from(height)));
    let mut context = ChartBuilder::on(&plot)
        .caption(title, ("sans-serif", units(TITLE)))
        .margin(units(10.0))
        .margin_left(units(24.0))
        .margin_right(units(24.0))
        .x_label_area_size(units(52.0))
        .build_cartesian_2d(0.0..seconds, 0.0..lanes as f64)?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12).stroke_width(wide))
        .axis_style(BLACK.mix(0.5).stroke_width(wide))
        .set_all_tick_mark_size(units(4.0))
        .label_style(("sans-serif", units(TICKS)))
        .axis_desc_style(("sans-serif", units(TEXT)))
        .disable_y_mesh()
        .x_label_formatter(&tick)
        .x_desc("seconds")
        .draw()?;
    let (left, top) = in_pixels(context.backend_coord(&(0.0, lanes as f64)));
    let (right, bottom) = in_pixels(context.backend_coord(&(seconds, 0.0)));
    root.present()?;
    Ok([left, top, right, bottom])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_in_lanes_and_the_legend_has_a_square_for_each_kind() {
        let bar = |lane| Bar { from: 0.0, to: 10.0, lane, kind: lane, label: "train gc-b".into() };
        let svg = draw(&Bars {
            title: "stages".into(),
            kinds: vec!["train".into(), "pack".into()],
            bars: vec![bar(0), bar(1)],
        })
        .unwrap()
        .svg()
        .unwrap();
        assert_eq!(svg.matches("<polygon").count(), 4, "two bars and the legend's two: {svg}");
        assert!(svg.contains(">train gc-b<"), "{svg}");
    }
}
