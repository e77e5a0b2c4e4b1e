//! Charts of series over two axes. The crate plotters draws the axes. The marks show their exact
//! numbers under the pointer. Where they would cover their line, some of them are seen only there.

use std::ops::Range;

use plotters::prelude::*;

use super::legend::Legend;
use super::palette::{
    COLUMN, FAINT_INK, TEXT, TICKS, TITLE, colour, hollow_mark, mark, unseen_mark,
};
use crate::report::drawing::plotting::{Plotting, UNITS, in_pixels};
use crate::report::drawing::{Drawing, Outline, Paint, Point, Stroke, without_excess};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Points,
    /// Points with lines between them.
    Line,
    /// The other line of what the series before it shows, in its colour: dashed, with hollow marks.
    SecondLine,
    /// A thin line in the colour of the text.
    Front,
}

#[derive(Debug)]
pub struct Series {
    pub name: String,
    pub look: Look,
    pub points: Vec<(f64, f64)>,
}

#[derive(Debug)]
pub struct Chart {
    pub title: String,
    pub x_name: String,
    pub y_name: String,
    /// At most [`MOST_SERIES`] are drawn.
    pub series: Vec<Series>,
}

/// More series than this cannot be told apart.
pub const MOST_SERIES: usize = 16;
const PLOT_HEIGHT: u32 = 330;
/// A fifth of the sample in a legend, which then begins and ends with a dash.
const DASH: f64 = 4.4;
/// Between the marks on a line, so that it is seen whether the line is dashed.
const MARK_DISTANCE: f64 = 24.0;
/// Axes are computed for numbers up to this, and nothing that is measured is greater.
const LARGEST: f64 = 1e9;

pub fn draw(chart: &Chart) -> Result<Drawing> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::failure(format!("cannot draw the figure `{}`: {error}", chart.title))
    };
    let series = &chart.series[..chart.series.len().min(MOST_SERIES)];
    let legend = Legend::of(series.iter().map(|one| one.name.as_str()), f64::from(COLUMN))?;
    let height = PLOT_HEIGHT + legend.height as u32;
    let mut drawing = Drawing::new(COLUMN, height, chart.title.clone())?;
    let title = without_excess(&escape::line(&chart.title), TITLE, f64::from(COLUMN) - 20.0)?;
    let places = axes(chart, series, &title, &mut drawing).map_err(|error| failed(&error))?;
    // Lines first, so that they cover no mark.
    let styles = styles(series);
    for ((one, points), style) in series.iter().zip(&places).zip(&styles) {
        draw_line(&mut drawing, *style, one.look, points);
    }
    for ((one, points), style) in series.iter().zip(&places).zip(&styles) {
        draw_marks(&mut drawing, chart, *style, one, points);
    }
    legend.draw(&mut drawing, f64::from(PLOT_HEIGHT), |drawing, place, middle| {
        sample(drawing, styles[place], series[place].look, middle);
    });
    Ok(drawing)
}

/// The places of each series' colour and mark in the palette. A second line has those of the series
/// before it.
fn styles(series: &[Series]) -> Vec<usize> {
    let mut begun: usize = 0;
    let style = |one: &Series| {
        if one.look != Look::SecondLine {
            begun += 1;
        }
        begun.saturating_sub(1)
    };
    series.iter().map(style).collect()
}

/// A number and where it is drawn.
type Placed = ((f64, f64), Point);

/// Draws the axes, and gives where the points of each series lie.
fn axes(
    chart: &Chart,
    series: &[Series],
    title: &str,
    drawing: &mut Drawing,
) -> std::result::Result<Vec<Vec<Placed>>, DrawingAreaErrorKind<std::convert::Infallible>> {
    let root = Plotting(drawing).into_drawing_area();
    let (plot, _) = root.split_vertically(units(f64::from(PLOT_HEIGHT)));
    let points = || series.iter().flat_map(|one| &one.points).filter(|point| is_drawable(point));
    let mut context = ChartBuilder::on(&plot)
        .caption(title, ("sans-serif", units(TITLE)))
        .margin(units(10.0))
        .margin_right(units(20.0))
        .x_label_area_size(units(52.0))
        .y_label_area_size(units(72.0))
        .build_cartesian_2d(
            range(points().map(|point| point.0)),
            range(points().map(|point| point.1)),
        )?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12).stroke_width(WIDE))
        .axis_style(BLACK.mix(0.5).stroke_width(WIDE))
        .set_all_tick_mark_size(units(4.0))
        .x_labels(7)
        .y_labels(7)
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .label_style(("sans-serif", units(TICKS)))
        .axis_desc_style(("sans-serif", units(TEXT)))
        .x_desc(shown(&chart.x_name, 50))
        .y_desc(shown(&chart.y_name, 30))
        .draw()?;
    let place = |point: &(f64, f64)| (*point, in_pixels(context.backend_coord(point)));
    let placed = series
        .iter()
        .map(|one| one.points.iter().filter(|point| is_drawable(point)).map(place).collect());
    let placed = placed.collect();
    root.present()?;
    Ok(placed)
}

/// A line of one pixel, in the units of plotters.
const WIDE: u32 = UNITS.unsigned_abs();

fn units(pixels: f64) -> i32 {
    (pixels * f64::from(UNITS)) as i32
}

/// The text of a tick: numbers as short as they are written by hand.
pub fn tick(number: &f64) -> String {
    let rounded = (number * 1e6).round() / 1e6;
    // Nobody means -0.
    (rounded + 0.0).to_string()
}

fn draw_line(drawing: &mut Drawing, style: usize, look: Look, points: &[Placed]) {
    if let Some(stroke) = stroke_of(look, style)
        && points.len() > 1
    {
        drawing.stroke(Outline::Line(points.iter().map(|(_, at)| *at).collect()), stroke);
    }
}

fn draw_marks(
    drawing: &mut Drawing,
    chart: &Chart,
    style: usize,
    series: &Series,
    points: &[Placed],
) {
    if series.look == Look::Front {
        return;
    }
    let mut last_seen = None;
    for ((x, y), at) in points {
        let (name, x_name, y_name) = (&series.name, &chart.x_name, &chart.y_name);
        let meaning = format!("{name}: {x_name} {x}, {y_name} {y}");
        if series.look != Look::Points && last_seen.is_some_and(|seen| is_near(seen, *at)) {
            unseen_mark(drawing, *at, meaning);
        } else {
            last_seen = Some(*at);
            draw_mark(drawing, style, series.look, *at, Some(meaning));
        }
    }
}

fn is_near(one: Point, other: Point) -> bool {
    // `hypot` would ask for a newer glibc than the rest of the program.
    (one.0 - other.0).powi(2) + (one.1 - other.1).powi(2) < MARK_DISTANCE.powi(2)
}

fn draw_mark(drawing: &mut Drawing, style: usize, look: Look, at: Point, meaning: Option<String>) {
    match look {
        Look::Points | Look::Line => mark(drawing, style, at, meaning),
        Look::SecondLine => hollow_mark(drawing, style, at, meaning),
        Look::Front => {}
    }
}

fn stroke_of(look: Look, style: usize) -> Option<Stroke> {
    let (paint, width) = match look {
        Look::Points => return None,
        Look::Line | Look::SecondLine => (Paint::rgb(colour(style)), 2.0),
        Look::Front => (FAINT_INK, 1.2),
    };
    Some(Stroke { paint, width, dash: (look == Look::SecondLine).then_some(DASH) })
}

fn sample(drawing: &mut Drawing, style: usize, look: Look, (x, y): Point) {
    if let Some(stroke) = stroke_of(look, style) {
        drawing.stroke(Outline::Line(vec![(x - 11.0, y), (x + 11.0, y)]), stroke);
    }
    draw_mark(drawing, style, look, (x, y), None);
}

fn shown(text: &str, letters: usize) -> String {
    let text = escape::line(text);
    if text.chars().count() <= letters {
        return text.into_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

fn is_drawable(point: &(f64, f64)) -> bool {
    point.0.abs() < LARGEST && point.1.abs() < LARGEST
}

/// From the lowest to the highest, with some room around.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return 0.0..1.0;
    }
    // An axis of no length, or of one that is lost in the size of its numbers, has no ticks.
    let room = ((high - low) * 0.06).max(high.abs().max(low.abs()) * 1e-3).max(1e-3);
    low - room..high + room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        let series = [Look::Points, Look::Line, Look::Front].map(|look| Series {
            name: "a <b> & \"c\"".into(),
            look,
            points: points.to_vec(),
        });
        Chart {
            title: "x < y".into(),
            x_name: "FPS".into(),
            y_name: "mAP".into(),
            series: series.into(),
        }
    }

    /// The number of an attribute of the first element of an SVG that has both texts.
    fn attribute(svg: &str, element: &str, of: &str, name: &str) -> f64 {
        let line = svg.lines().find(|line| line.starts_with(element) && line.contains(of));
        let line = line.unwrap_or_else(|| panic!("{element} with {of}: {svg}"));
        let begin = line.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        line[begin..].split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn ink_takes_the_colour_of_the_text_and_names_are_text() {
        let svg = draw(&chart(&[(1.0, 0.5), (2.0, 0.75)])).unwrap().svg().unwrap();
        assert!(
            svg.starts_with("<svg role=\"img\" aria-label=\"x &lt; y\"")
                && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        assert!(svg.contains("currentColor") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("<circle") && svg.contains("#0072B2"), "{svg}");
    }

    #[test]
    fn marks_lie_where_the_ticks_say_that_their_numbers_are() {
        let svg = draw(&chart(&[(100.0, 0.2), (200.0, 0.4), (237.0, 0.6)])).unwrap().svg().unwrap();
        let mark = |number: &str, name: &str| attribute(&svg, "<circle", number, name);
        let across = |number: &str| attribute(&svg, "<text", &format!(">{number}<"), "x");
        assert!((mark("FPS 100,", "cx") - across("100")).abs() < 0.2, "{svg}");
        assert!((mark("FPS 200,", "cx") - across("200")).abs() < 0.2, "{svg}");
        let up = |number: &str| attribute(&svg, "<text", &format!(">{number}<"), "y");
        // Labels of the vertical axis lie half a capital letter below their ticks.
        let below = up("0.4") - mark("mAP 0.4", "cy");
        assert!((0.0..TICKS).contains(&below), "{below}");
        assert!((up("0.6") - mark("mAP 0.6", "cy") - below).abs() < 0.2, "{svg}");
        let expected = (across("200") - across("100")) * 1.37 + across("100");
        assert!((mark("FPS 237,", "cx") - expected).abs() < 0.3, "{svg}");
    }

    #[test]
    fn a_second_line_has_the_colour_of_the_line_before_and_is_dashed() {
        let line = |look: Look| Series {
            name: format!("{look:?}"),
            look,
            points: vec![(0.0, 0.5), (1.0, 0.25), (2.0, 0.75)],
        };
        let looks = [Look::Line, Look::SecondLine, Look::Line, Look::SecondLine];
        let svg =
            draw(&Chart { series: looks.map(line).into(), ..chart(&[]) }).unwrap().svg().unwrap();
        let lines: Vec<&str> =
            svg.lines().filter(|line| line.starts_with("<polyline points")).collect();
        for (place, colour) in ["#0072B2", "#D55E00"].into_iter().enumerate() {
            let of_colour: Vec<&&str> = lines.iter().filter(|line| line.contains(colour)).collect();
            let dashed = of_colour.iter().filter(|line| line.contains("dasharray")).count();
            assert_eq!((of_colour.len(), dashed), (4, 2), "pair {place} and its legend: {svg}");
        }
        assert!(!lines.iter().any(|line| line.contains("#009E73")), "{svg}");
        assert_eq!(svg.matches("<title>SecondLine: ").count(), 6, "{svg}");
    }

    #[test]
    fn marks_that_would_cover_their_line_are_only_found_by_the_pointer() {
        let flat: Vec<(f64, f64)> = (0..200).map(|epoch| (f64::from(epoch), 0.5)).collect();
        let series =
            |look: Look, points: Vec<(f64, f64)>| Series { name: "a".into(), look, points };
        let svg =
            |one: Series| draw(&Chart { series: vec![one], ..chart(&[]) }).unwrap().svg().unwrap();
        let line = svg(series(Look::Line, flat.clone()));
        assert_eq!(line.matches("<title>a: FPS ").count(), 200);
        let seen = 200 - line.matches("fill-opacity=\"0\"").count();
        assert!((10..25).contains(&seen), "{seen}");
        assert!(!svg(series(Look::Points, flat)).contains("fill-opacity=\"0\""));
    }

    #[test]
    fn odd_numbers_are_left_out_and_lone_ones_are_drawn() {
        for points in [
            vec![],
            vec![(3.0, 3.0)],
            vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (1e300, 0.0)],
            vec![(1e8, 1.0), (1e8 + 1.0, 1.0)],
        ] {
            draw(&chart(&points)).unwrap();
        }
    }

    #[test]
    fn a_legend_of_many_long_names_lies_below_the_plot_and_inside_the_figure() {
        let series = (0..MOST_SERIES + 4).map(|place| Series {
            name: format!(
                "a name of {place} that is nearly as wide as a column of a paper, or wider"
            ),
            look: Look::Line,
            points: vec![(0.0, place as f64), (1.0, 1.0)],
        });
        let chart = Chart { series: series.collect(), ..chart(&[]) };
        let drawing = draw(&chart).unwrap();
        let svg = drawing.svg().unwrap();
        let first = attribute(&svg, "<text", ">a name of 0 ", "y");
        let last = attribute(&svg, "<text", &format!(">a name of {} ", MOST_SERIES - 1), "y");
        assert!(first > f64::from(PLOT_HEIGHT) && last < f64::from(drawing.height), "{svg}");
        assert!(!svg.contains(&format!(">a name of {MOST_SERIES} ")), "{svg}");
    }
}
