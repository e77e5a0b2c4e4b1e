//! Drawings as SVG that is part of a page or a file of its own.

use std::fmt::Write;

use super::{Anchor, Colour, Drawing, Label, Outline, Paint, Point, Shape, Stroke, font};
use crate::report::encoded::{base64, png};
use surgcam_engine::error::Result;
use surgcam_engine::escape;

pub fn write(drawing: &Drawing) -> Result<String> {
    let Drawing { width, height, title, shapes } = drawing;
    let title = escape::xml(title);
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"{title}\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">\n",
        font::FAMILIES
    );
    for shape in shapes {
        match shape {
            Shape::Figure { outline, fill, stroke, meaning } => {
                figure(&mut svg, outline, fill.as_ref(), stroke.as_ref(), meaning.as_deref());
            }
            Shape::Label(text) => label(&mut svg, text),
            Shape::Picture { pixels, place: [left, top, right, bottom] } => push(
                &mut svg,
                format_args!(
                    "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" \
                     preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>\n",
                    short(*left),
                    short(*top),
                    short(right - left),
                    short(bottom - top),
                    base64(&png(pixels)?)
                ),
            ),
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn push(svg: &mut String, text: std::fmt::Arguments) {
    // Writing to a string cannot fail.
    let _ = svg.write_fmt(text);
}

fn figure(
    svg: &mut String,
    outline: &Outline,
    fill: Option<&Paint>,
    stroke: Option<&Stroke>,
    meaning: Option<&str>,
) {
    let element = match outline {
        Outline::Circle((x, y), radius) => {
            let (x, y, radius) = (short(*x), short(*y), short(*radius));
            push(svg, format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""));
            "circle"
        }
        Outline::Line(points) => {
            push(svg, format_args!("<polyline points=\"{}\"", listed(points)));
            "polyline"
        }
        Outline::Polygon(points) => {
            push(svg, format_args!("<polygon points=\"{}\"", listed(points)));
            "polygon"
        }
    };
    match fill {
        Some(paint) => painted(svg, "fill", paint),
        None => svg.push_str(" fill=\"none\""),
    }
    if let Some(stroke) = stroke {
        painted(svg, "stroke", &stroke.paint);
        push(svg, format_args!(" stroke-width=\"{}\"", short(stroke.width)));
        if let Some(dash) = stroke.dash {
            push(svg, format_args!(" stroke-dasharray=\"{}\"", short(dash)));
        }
    }
    match meaning {
        Some(meaning) => {
            push(svg, format_args!("><title>{}</title></{element}>\n", escape::xml(meaning)));
        }
        None => svg.push_str("/>\n"),
    }
}

fn label(svg: &mut String, label: &Label) {
    let (x, y) = (short(label.at.0), short(label.at.1));
    push(svg, format_args!("<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"", short(label.size)));
    match label.anchor {
        Anchor::Start => {}
        Anchor::Middle => svg.push_str(" text-anchor=\"middle\""),
        Anchor::End => svg.push_str(" text-anchor=\"end\""),
    }
    if label.is_upright {
        push(svg, format_args!(" transform=\"rotate(-90 {x} {y})\""));
    }
    painted(svg, "fill", &label.paint);
    push(svg, format_args!(">{}</text>\n", escape::xml(&label.text)));
}

fn painted(svg: &mut String, what: &str, paint: &Paint) {
    match paint.colour {
        Colour::Ink => push(svg, format_args!(" {what}=\"currentColor\"")),
        Colour::Rgb([red, green, blue]) => {
            push(svg, format_args!(" {what}=\"#{red:02X}{green:02X}{blue:02X}\""));
        }
    }
    if paint.opacity < 1.0 {
        push(svg, format_args!(" {what}-opacity=\"{}\"", short(paint.opacity)));
    }
}

fn listed(points: &[Point]) -> String {
    let points: Vec<String> =
        points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
    points.join(" ")
}

/// A hundredth of a pixel is as fine as anybody sees.
fn short(number: f64) -> f64 {
    let rounded = (number * 100.0).round() / 100.0;
    // Nobody means -0.
    if rounded == 0.0 { 0.0 } else { rounded }
}
