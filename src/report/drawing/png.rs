//! Drawings as pixels on white ground, and as PNG.

use image::RgbImage;
use tiny_skia::{
    Color, FillRule, FilterQuality, LineCap, LineJoin, Path, PathBuilder, Pixmap, PixmapPaint,
    PremultipliedColorU8, StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::{
    Anchor, Colour, Drawing, LARGEST_SIDE, Label, Outline, Paint, Shape, Stroke, font, text_width,
};
use surgcam_engine::error::{Error, Result};

pub fn write(drawing: &Drawing, scale: f64) -> Result<Vec<u8>> {
    canvas(drawing, scale)?
        .encode_png()
        .map_err(|error| Error::failure(format!("cannot encode a picture: {error}")))
}

/// Without a file around them.
pub fn pixels(drawing: &Drawing, scale: f64) -> Result<RgbImage> {
    let canvas = canvas(drawing, scale)?;
    // The ground is opaque, and so is all that is drawn on it.
    let colours = canvas.pixels().iter().flat_map(|at| [at.red(), at.green(), at.blue()]).collect();
    RgbImage::from_raw(canvas.width(), canvas.height(), colours)
        .ok_or_else(|| Error::failure("cannot read a picture that was drawn"))
}

fn canvas(drawing: &Drawing, scale: f64) -> Result<Pixmap> {
    let side = |pixels: u32| (f64::from(pixels) * scale).round();
    let (width, height) = (side(drawing.width), side(drawing.height));
    let fits = |side: f64| side >= 1.0 && side <= f64::from(LARGEST_SIDE);
    let canvas = (fits(width) && fits(height)).then(|| Pixmap::new(width as u32, height as u32));
    let mut canvas = canvas.flatten().ok_or_else(|| {
        Error::failure(format!("a picture cannot have {width} x {height} pixels"))
    })?;
    canvas.fill(Color::WHITE);
    let (face, scale) = (font::face()?, Transform::from_scale(scale as f32, scale as f32));
    for shape in &drawing.shapes {
        match shape {
            Shape::Figure { outline, fill, stroke, .. } => {
                let Some(path) = path_of(outline) else { continue };
                if let Some(fill) = fill {
                    canvas.fill_path(&path, &painted(fill), FillRule::Winding, scale, None);
                }
                if let Some(stroke) = stroke {
                    let (paint, pen) = (painted(&stroke.paint), pen(stroke));
                    canvas.stroke_path(&path, &paint, &pen, scale, None);
                }
            }
            Shape::Label(label) => {
                if let Some(path) = letters(&face, label)? {
                    let paint = painted(&label.paint);
                    canvas.fill_path(&path, &paint, FillRule::Winding, scale, None);
                }
            }
            Shape::Picture { pixels, place: [left, top, right, bottom] } => {
                let Some(picture) = pixmap(pixels) else { continue };
                let stretched = Transform::from_row(
                    ((right - left) / f64::from(pixels.width())) as f32,
                    0.0,
                    0.0,
                    ((bottom - top) / f64::from(pixels.height())) as f32,
                    *left as f32,
                    *top as f32,
                );
                let paint =
                    PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
                canvas.draw_pixmap(
                    0,
                    0,
                    picture.as_ref(),
                    &paint,
                    stretched.post_concat(scale),
                    None,
                );
            }
        }
    }
    Ok(canvas)
}

/// `None` where there is nothing to see.
fn path_of(outline: &Outline) -> Option<Path> {
    let (points, is_closed) = match outline {
        Outline::Circle((x, y), radius) => {
            return PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32);
        }
        Outline::Line(points) => (points, false),
        Outline::Polygon(points) => (points, true),
    };
    let mut path = PathBuilder::new();
    for (place, (x, y)) in points.iter().enumerate() {
        if place == 0 {
            path.move_to(*x as f32, *y as f32);
        } else {
            path.line_to(*x as f32, *y as f32);
        }
    }
    if is_closed {
        path.close();
    }
    path.finish()
}

fn painted(paint: &Paint) -> tiny_skia::Paint<'static> {
    let [red, green, blue] = match paint.colour {
        Colour::Ink => [0; 3],
        Colour::Rgb(colour) => colour,
    };
    let opacity = (paint.opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    let mut painted = tiny_skia::Paint { anti_alias: true, ..tiny_skia::Paint::default() };
    painted.set_color_rgba8(red, green, blue, opacity);
    painted
}

fn pen(stroke: &Stroke) -> tiny_skia::Stroke {
    let dash = stroke.dash.and_then(|dash| StrokeDash::new(vec![dash as f32; 2], 0.0));
    tiny_skia::Stroke {
        width: stroke.width as f32,
        line_cap: LineCap::Butt,
        line_join: LineJoin::Miter,
        dash,
        ..tiny_skia::Stroke::default()
    }
}

fn pixmap(picture: &RgbImage) -> Option<Pixmap> {
    let mut pixmap = Pixmap::new(picture.width(), picture.height())?;
    for (to, from) in pixmap.pixels_mut().iter_mut().zip(picture.pixels()) {
        let [red, green, blue] = from.0;
        if let Some(colour) = PremultipliedColorU8::from_rgba(red, green, blue, u8::MAX) {
            *to = colour;
        }
    }
    Some(pixmap)
}

/// The outlines of a label's letters, where they lie in the drawing.
fn letters(face: &Face, label: &Label) -> Result<Option<Path>> {
    let size = label.size / f64::from(face.units_per_em());
    let width = text_width(&label.text, label.size)?;
    let mut along = match label.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let mut path = PathBuilder::new();
    for letter in label.text.chars() {
        let glyph = font::glyph(face, letter);
        let mut letter = Letter { path: &mut path, label, size, along };
        face.outline_glyph(glyph, &mut letter);
        along += font::advance(face, glyph) * label.size;
    }
    Ok(path.finish())
}

/// Puts the outline of a glyph into a path.
struct Letter<'a> {
    path: &'a mut PathBuilder,
    label: &'a Label,
    /// Pixels for each unit of the font.
    size: f64,
    /// How far from the anchor it begins, along the baseline.
    along: f64,
}

impl Letter<'_> {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        let (along, up) = (self.along + f64::from(x) * self.size, f64::from(y) * self.size);
        let (x, y) = self.label.at;
        let placed = if self.label.is_upright { (x - up, y - along) } else { (x + along, y - up) };
        (placed.0 as f32, placed.1 as f32)
    }
}

impl OutlineBuilder for Letter<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (first, second, (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.path.cubic_to(first.0, first.1, second.0, second.1, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_leaves_ink_where_it_is_and_white_elsewhere() {
        let mut drawing = Drawing::new(60, 30, "").unwrap();
        drawing.label(Label {
            text: "MM".into(),
            at: (5.0, 20.0),
            size: 16.0,
            paint: Paint::full(Colour::Ink),
            anchor: Anchor::Start,
            is_upright: false,
        });
        let png = image::load_from_memory(&write(&drawing, 2.0).unwrap()).unwrap().to_rgb8();
        assert_eq!(png.dimensions(), (120, 60));
        let dark = |left: u32, right: u32| {
            (left..right).any(|x| (0..60).any(|y| png.get_pixel(x, y).0[0] < 40))
        };
        assert!(dark(10, 60) && !dark(0, 8) && !dark(80, 120));
    }

    #[test]
    fn a_picture_that_would_be_too_large_is_an_error() {
        let drawing = Drawing::new(LARGEST_SIDE, 10, "").unwrap();
        assert!(write(&drawing, 2.0).is_err());
        assert!(Drawing::new(0, 10, "").is_err() && Drawing::new(LARGEST_SIDE + 1, 1, "").is_err());
    }
}
