//! Drawings of lines, areas, texts and pictures, written as SVG, PDF, PNG and JPEG.
//!
//! One list of shapes and one font stand behind all forms, so that they show the same. Axes
//! and series come from plotters, which draws into a drawing through [`plotting`].

mod font;
mod pdf;
pub mod plotting;
mod png;
mod svg;

use std::path::Path;

use image::RgbImage;

use super::encoded;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub use font::{text_width, without_excess};

/// The forms that a drawing can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// Vector, for the web
    Svg,
    /// Vector, for LaTeX; labels are text, and their font is embedded
    Pdf,
    /// Pixels
    Png,
    /// Pixels in a smaller file, with traces around letters and lines
    #[value(name = "jpg", alias = "jpeg")]
    Jpeg,
}

impl Format {
    /// The forms that each figure of a run is written in.
    pub const ALL: [Format; 3] = [Format::Svg, Format::Pdf, Format::Png];

    pub fn extension(self) -> &'static str {
        match self {
            Format::Svg => "svg",
            Format::Pdf => "pdf",
            Format::Png => "png",
            Format::Jpeg => "jpg",
        }
    }

    /// The form that a file's name asks for, or `otherwise` where the name has no extension.
    pub fn of_path(path: &Path, otherwise: Self) -> Result<Self> {
        let Some(extension) = path.extension() else { return Ok(otherwise) };
        let extension = extension.to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "svg" => Ok(Format::Svg),
            "pdf" => Ok(Format::Pdf),
            "png" => Ok(Format::Png),
            "jpg" | "jpeg" => Ok(Format::Jpeg),
            _ => Err(Error::usage(format!(
                "a picture cannot be written in the form `.{}`",
                shortened(&extension)
            ))
            .at_path(path)
            .hint("choose a name that ends in .png, .jpg, .svg or .pdf")),
        }
    }
}

/// Right and down from the upper left corner, in pixels.
pub type Point = (f64, f64);

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Colour {
    /// Black on white, and the colour of the text around it where an SVG is part of a page.
    Ink,
    Rgb([u8; 3]),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paint {
    pub colour: Colour,
    pub opacity: f64,
}

impl Paint {
    pub fn full(colour: Colour) -> Self {
        Paint { colour, opacity: 1.0 }
    }

    pub fn rgb(colour: [u8; 3]) -> Self {
        Self::full(Colour::Rgb(colour))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    pub paint: Paint,
    pub width: f64,
    /// The length of dashes and of the gaps between them.
    pub dash: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Debug, Clone)]
pub struct Label {
    pub text: String,
    /// On the baseline.
    pub at: Point,
    pub size: f64,
    pub paint: Paint,
    pub anchor: Anchor,
    /// Read from below to above.
    pub is_upright: bool,
}

#[derive(Debug, Clone)]
pub enum Outline {
    Line(Vec<Point>),
    Polygon(Vec<Point>),
    Circle(Point, f64),
}

impl Outline {
    pub fn rectangle([left, top, right, bottom]: [f64; 4]) -> Self {
        Outline::Polygon(vec![(left, top), (right, top), (right, bottom), (left, bottom)])
    }
}

#[derive(Debug, Clone)]
pub enum Shape {
    Figure {
        outline: Outline,
        fill: Option<Paint>,
        stroke: Option<Stroke>,
        /// What it shows, in words: an SVG tells it to the pointer.
        meaning: Option<String>,
    },
    Label(Label),
    /// A picture, stretched to a rectangle of left, top, right and bottom.
    Picture {
        pixels: RgbImage,
        place: [f64; 4],
    },
}

pub struct Drawing {
    pub width: u32,
    pub height: u32,
    /// What it shows, for those who cannot see it.
    pub title: String,
    pub shapes: Vec<Shape>,
}

/// At this quality the traces around letters are hardly seen.
const JPEG_QUALITY: u8 = 92;

/// A sheet of pictures is as wide as the page of a paper, which has so many points.
const PAGE_POINTS: f64 = 504.0;

/// No drawing is wider or higher, in pixels of any form.
pub const LARGEST_SIDE: u32 = 16_384;

impl Drawing {
    /// A size without pixels or with too many of them is an error.
    pub fn new(width: u32, height: u32, title: impl Into<String>) -> Result<Self> {
        let fits = |side: u32| (1..=LARGEST_SIDE).contains(&side);
        if !fits(width) || !fits(height) {
            return Err(Error::usage(format!("a drawing cannot have {width} x {height} pixels"))
                .hint(format!("each side may have from 1 to {LARGEST_SIDE} pixels")));
        }
        Ok(Drawing { width, height, title: title.into(), shapes: Vec::new() })
    }

    pub fn fill(&mut self, outline: Outline, paint: Paint) {
        self.shapes.push(Shape::Figure { outline, fill: Some(paint), stroke: None, meaning: None });
    }

    pub fn stroke(&mut self, outline: Outline, stroke: Stroke) {
        self.shapes.push(Shape::Figure {
            outline,
            fill: None,
            stroke: Some(stroke),
            meaning: None,
        });
    }

    pub fn label(&mut self, label: Label) {
        self.shapes.push(Shape::Label(label));
    }

    pub fn picture(&mut self, pixels: RgbImage, place: [f64; 4]) {
        self.shapes.push(Shape::Picture { pixels, place });
    }

    /// For a page: without white ground, and with ink in the colour of its text.
    pub fn svg(&self) -> Result<String> {
        svg::write(self)
    }

    /// On white ground.
    pub fn pixels(&self) -> Result<RgbImage> {
        png::pixels(self, 1.0)
    }

    /// A file of a sheet of pictures, whose pixels stay as they are.
    pub fn sheet_file(&self, format: Format) -> Result<Vec<u8>> {
        self.file(format, 1.0, PAGE_POINTS / f64::from(self.width))
    }

    /// `scale`: PNG or JPEG pixels for each pixel of the drawing. `points`: PDF points for each.
    pub fn file(&self, format: Format, scale: f64, points: f64) -> Result<Vec<u8>> {
        match format {
            Format::Svg => Ok(svg::write(self)?.into_bytes()),
            Format::Pdf => pdf::write(self, points),
            Format::Png => png::write(self, scale),
            Format::Jpeg => encoded::jpeg(&png::pixels(self, scale)?, JPEG_QUALITY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_form_and_other_forms_are_refused() {
        let form = |name: &str| Format::of_path(Path::new(name), Format::Png);
        for (name, format) in [
            ("a/b.svg", Format::Svg),
            ("b.PDF", Format::Pdf),
            ("b.jpg", Format::Jpeg),
            ("b.jpeg", Format::Jpeg),
            ("without", Format::Png),
        ] {
            assert_eq!(form(name).unwrap(), format, "{name}");
        }
        let error = form("frame.webp").unwrap_err();
        assert_eq!(error.class().exit_code(), 2);
        assert!(error.to_string().contains(".png, .jpg, .svg or .pdf"), "{error}");
    }

    #[test]
    fn a_drawing_is_written_as_a_jpeg() {
        let mut drawing = Drawing::new(40, 30, "").unwrap();
        drawing.fill(Outline::rectangle([0.0, 0.0, 40.0, 15.0]), Paint::rgb([0, 0, 200]));
        let jpeg = drawing.file(Format::Jpeg, 2.0, 1.0).unwrap();
        assert!(jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
        let read = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (80, 60));
        let [red, _, blue] = read.get_pixel(40, 10).0;
        assert!(red < 20 && blue > 180, "{red} {blue}");
        assert!(read.get_pixel(40, 50).0.iter().all(|channel| *channel > 240));
    }
}
