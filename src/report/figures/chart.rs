//! Charts as SVG that can be read on a light and on a dark background. Everything that is drawn in
//! black takes the colour of the text around it.

use std::ops::Range;

use plotters::prelude::*;

use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Points,
    /// Points with lines between them.
    Line,
    /// A thin line in the colour of the text.
    Front,
}

pub struct Series {
    pub name: String,
    pub look: Look,
    pub points: Vec<(f64, f64)>,
}

pub struct Chart {
    pub title: String,
    pub x_name: String,
    pub y_name: String,
    /// At most [`MOST_SERIES`] are drawn.
    pub series: Vec<Series>,
}

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

/// The most series that the legend has room for.
pub const MOST_SERIES: usize = 16;
const WIDTH: u32 = 820;
const HEIGHT: u32 = 430;
const PLOT_WIDTH: i32 = 590;
const LINE_OF_LEGEND: usize = 22;
const LANE: usize = 24;
/// Axes are computed for numbers up to this, and nothing that is measured is greater.
const LARGEST: f64 = 1e9;

/// The colours of Okabe and Ito, which colour-blind people can tell apart. Black and yellow are
/// left out, because each is invisible on one of the two backgrounds.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];
/// The colour of text on a bar of any of the colours, on both backgrounds.
const ON_COLOURS: RGBColor = RGBColor(1, 1, 1);

type Painted = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

pub fn draw(chart: &Chart) -> Result<String> {
    let mut svg = String::new();
    paint(chart, &mut svg).map_err(|error| {
        Error::failure(format!("cannot draw the figure `{}`: {error}", chart.title))
    })?;
    Ok(finished(&svg, &chart.title))
}

pub fn draw_bars(bars: &Bars) -> Result<String> {
    let mut svg = String::new();
    paint_bars(bars, &mut svg).map_err(|error| {
        Error::failure(format!("cannot draw the figure `{}`: {error}", bars.title))
    })?;
    Ok(finished(&svg, &bars.title))
}

fn paint(chart: &Chart, svg: &mut String) -> Painted {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let (plot, legend) = root.split_horizontally(PLOT_WIDTH);
    let points =
        || chart.series.iter().flat_map(|series| &series.points).filter(|point| is_drawable(point));
    let mut context = ChartBuilder::on(&plot)
        .caption(shown(&chart.title, 70), ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(
            range(points().map(|point| point.0)),
            range(points().map(|point| point.1)),
        )?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .x_desc(shown(&chart.x_name, 60))
        .y_desc(shown(&chart.y_name, 40))
        .draw()?;
    for (place, series) in chart.series.iter().take(MOST_SERIES).enumerate() {
        let colour = colour(place);
        let points = || series.points.iter().copied().filter(is_drawable);
        match series.look {
            Look::Points => {}
            Look::Line => {
                context.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
            }
            Look::Front => {
                context.draw_series(LineSeries::new(points(), BLACK.mix(0.6).stroke_width(1)))?;
                continue;
            }
        }
        match mark(place) {
            Mark::Disc => {
                context.draw_series(points().map(|point| Circle::new(point, 4, colour.filled())))?
            }
            Mark::Triangle => context.draw_series(
                points().map(|point| TriangleMarker::new(point, 6, colour.filled())),
            )?,
            Mark::Cross => context
                .draw_series(points().map(|point| Cross::new(point, 4, colour.stroke_width(2))))?,
        };
    }
    for (place, series) in chart.series.iter().take(MOST_SERIES).enumerate() {
        let (middle, colour) = ((12, legend_line(place)), colour(place));
        match (series.look, mark(place)) {
            (Look::Front, _) => {
                legend.draw(&PathElement::<(i32, i32)>::new(
                    vec![(4, middle.1), (20, middle.1)],
                    BLACK.mix(0.6),
                ))?;
            }
            (_, Mark::Disc) => legend.draw(&Circle::new(middle, 4, colour.filled()))?,
            (_, Mark::Triangle) => legend.draw(&TriangleMarker::new(middle, 6, colour.filled()))?,
            (_, Mark::Cross) => legend.draw(&Cross::new(middle, 4, colour.stroke_width(2)))?,
        }
        legend.draw(&Text::new(
            shown(&series.name, 30),
            (24, middle.1 - 8),
            ("sans-serif", 14).into_font(),
        ))?;
    }
    root.present()?;
    Ok(())
}

fn paint_bars(bars: &Bars, svg: &mut String) -> Painted {
    let lanes = bars.bars.iter().map(|bar| bar.lane + 1).max().unwrap_or(1);
    let height = (100 + lanes * LANE).max(60 + bars.kinds.len().min(MOST_SERIES) * LINE_OF_LEGEND);
    let root = SVGBackend::with_string(svg, (WIDTH, u32::try_from(height).unwrap_or(u32::MAX)))
        .into_drawing_area();
    let (plot, legend) = root.split_horizontally(PLOT_WIDTH);
    let drawable = || bars.bars.iter().filter(|bar| is_drawable(&(bar.from, bar.to)));
    let seconds = drawable().map(|bar| bar.to).fold(0.001, f64::max);
    let mut context = ChartBuilder::on(&plot)
        .caption(shown(&bars.title, 70), ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(46)
        .build_cartesian_2d(0.0..seconds, 0.0..lanes as f64)?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .disable_y_mesh()
        .x_desc("seconds")
        .draw()?;
    let top = |bar: &Bar| (lanes - bar.lane) as f64 - 0.1;
    context.draw_series(drawable().map(|bar| {
        let corners = [(bar.from, top(bar)), (bar.to, top(bar) - 0.8)];
        Rectangle::new(corners, colour_of_kind(bar.kind).filled())
    }))?;
    let style = ("sans-serif", 12).into_font().color(&ON_COLOURS);
    // Text is about half as wide as it is high.
    let has_room = |bar: &&Bar| {
        (bar.to - bar.from) / seconds * f64::from(PLOT_WIDTH)
            > bar.label.chars().count() as f64 * 6.5 + 8.0
    };
    let inset = seconds * 4.0 / f64::from(PLOT_WIDTH);
    context.draw_series(drawable().filter(has_room).map(|bar| {
        Text::new(shown(&bar.label, 60), (bar.from + inset, top(bar) - 0.15), style.clone())
    }))?;
    for (place, kind) in bars.kinds.iter().take(MOST_SERIES).enumerate() {
        let y = legend_line(place);
        let corners = [(6, y - 6), (18, y + 6)];
        legend.draw(&Rectangle::new(corners, colour_of_kind(place).filled()))?;
        legend.draw(&Text::new(shown(kind, 30), (24, y - 8), ("sans-serif", 14).into_font()))?;
    }
    root.present()?;
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    Disc,
    Triangle,
    Cross,
}

/// Series of one colour have different marks.
fn mark(place: usize) -> Mark {
    [Mark::Disc, Mark::Triangle, Mark::Cross][place / COLOURS.len() % 3]
}

fn colour(place: usize) -> RGBColor {
    COLOURS[place % COLOURS.len()]
}

/// The colour of a kind of bars. Bars have no marks, so the kinds after the first six have the same
/// colours mixed with white. All kinds that are in the legend have different colours.
fn colour_of_kind(place: usize) -> RGBColor {
    const WHITE_SHARES: [f64; 3] = [0.0, 0.45, 0.72];
    let white = WHITE_SHARES[place / COLOURS.len() % WHITE_SHARES.len()];
    let mixed = |part: u8| (f64::from(part) * (1.0 - white) + 255.0 * white).round() as u8;
    let RGBColor(red, green, blue) = colour(place);
    RGBColor(mixed(red), mixed(green), mixed(blue))
}

/// The middle of a line of the legend, from the top; there are at most [`MOST_SERIES`].
fn legend_line(place: usize) -> i32 {
    i32::try_from(50 + place * LINE_OF_LEGEND).unwrap_or(i32::MAX)
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

/// Replaces black by the colour of the text around it, and adds a name for people who cannot see
/// the chart.
fn finished(svg: &str, title: &str) -> String {
    let title =
        escape::line(title).replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.replace("\"#000000\"", "\"currentColor\"").replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{title}\" "),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let series = [Look::Points, Look::Line, Look::Front].map(|look| Series {
            name: "a <b> & \"c\"".into(),
            look,
            points: points.clone(),
        });
        Chart {
            title: "x < y".into(),
            x_name: "FPS".into(),
            y_name: "mAP".into(),
            series: series.into(),
        }
    }

    #[test]
    fn black_takes_the_colour_of_the_text_and_names_are_text() {
        let svg = draw(&chart(vec![(1.0, 0.5), (2.0, 0.75)])).unwrap();
        assert!(
            svg.starts_with("<svg role=\"img\" aria-label=\"x &lt; y\"")
                && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        assert!(
            svg.contains("currentColor") && !svg.contains("#000000") && !svg.contains("<b>"),
            "{svg}"
        );
        assert!(svg.contains("<circle") && svg.contains("#0072B2"), "{svg}");
    }

    #[test]
    fn odd_numbers_are_left_out_and_lone_ones_are_drawn() {
        for points in [
            vec![],
            vec![(3.0, 3.0)],
            vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (1e300, 0.0)],
            vec![(1e8, 1.0), (1e8 + 1.0, 1.0)],
        ] {
            draw(&chart(points)).unwrap();
        }
    }

    #[test]
    fn no_two_kinds_of_bars_in_the_legend_have_one_colour() {
        let mut colours: Vec<(u8, u8, u8)> = (0..MOST_SERIES)
            .map(colour_of_kind)
            .map(|RGBColor(red, green, blue)| (red, green, blue))
            .collect();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), MOST_SERIES);
    }

    #[test]
    fn bars_are_drawn_in_lanes() {
        let bar = |lane| Bar { from: 0.0, to: 10.0, lane, kind: lane, label: "train gc-b".into() };
        let svg = draw_bars(&Bars {
            title: "stages".into(),
            kinds: vec!["train".into(), "pack".into()],
            bars: vec![bar(0), bar(1)],
        })
        .unwrap();
        assert_eq!(svg.matches("<rect").count(), 4, "two bars and the legend's two: {svg}");
        assert!(svg.contains("train gc-b"), "{svg}");
    }
}
