//! Drawings as PDF for papers: vectors, and labels as text in an embedded font, so that they can be
//! searched, copied and read aloud.

use std::collections::{BTreeMap, BTreeSet};

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use subsetter::GlyphRemapper;
use ttf_parser::Face;

use super::{
    Anchor, Colour, Drawing, Label, Outline, Paint, Point, Shape, Stroke, font, text_width,
};
use surgcam_engine::error::{Error, Result};

/// The control points of a circle's four curves lie this far from their ends, in radii.
const OF_A_CIRCLE: f64 = 0.552_284_749_8;
/// The name of the font in the page's resources.
const FONT: Name<'static> = Name(b"F");
const SYSTEM: SystemInfo<'static> =
    SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };
const COMPRESSION: u8 = 6;

/// `points`: PDF points for each pixel of the drawing.
pub fn write(drawing: &Drawing, points: f64) -> Result<Vec<u8>> {
    let face = font::face()?;
    let letters = Letters::of(drawing, &face);
    let mut next = Ref::new(1);
    let mut ids = || next.bump();
    let (catalog, pages, page, content) = (ids(), ids(), ids(), ids());
    let states: BTreeMap<u16, Ref> =
        opacities(drawing).into_iter().map(|opacity| (opacity, ids())).collect();
    let pictures: Vec<(Ref, &image::RgbImage)> =
        pictures(drawing).map(|one| (ids(), one)).collect();
    let font = FontIds { font: ids(), cid: ids(), descriptor: ids(), data: ids(), cmap: ids() };
    let info = ids();

    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    pdf.document_info(info)
        .title(TextStr(&drawing.title))
        .creator(TextStr(concat!("surgcam ", env!("CARGO_PKG_VERSION"))));
    let size = [drawing.width, drawing.height].map(|side| (f64::from(side) * points) as f32);
    let mut page = pdf.page(page);
    page.parent(pages).media_box(Rect::new(0.0, 0.0, size[0], size[1])).contents(content);
    let mut resources = page.resources();
    if !letters.is_empty() {
        resources.fonts().pair(FONT, font.font);
    }
    let mut of_states = resources.ext_g_states();
    for (opacity, id) in &states {
        of_states.pair(Name(state_name(*opacity).as_bytes()), *id);
    }
    of_states.finish();
    let mut of_pictures = resources.x_objects();
    for (place, (id, _)) in pictures.iter().enumerate() {
        of_pictures.pair(Name(picture_name(place).as_bytes()), *id);
    }
    of_pictures.finish();
    resources.finish();
    page.finish();

    for (opacity, id) in &states {
        let alpha = f32::from(*opacity) / 1000.0;
        pdf.ext_graphics(*id).stroking_alpha(alpha).non_stroking_alpha(alpha);
    }
    for (id, picture) in &pictures {
        let pixels = compressed(picture.as_raw());
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let mut object = pdf.image_xobject(*id, &pixels);
        object.filter(Filter::FlateDecode);
        object.width(side(picture.width())).height(side(picture.height()));
        object.bits_per_component(8).color_space().device_rgb();
    }
    if !letters.is_empty() {
        letters.embed(&mut pdf, &face, &font)?;
    }
    let drawn = compressed(&drawn(drawing, &letters, points)?);
    pdf.stream(content, &drawn).filter(Filter::FlateDecode);
    Ok(pdf.finish())
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, COMPRESSION)
}

/// An opacity in thousandths.
fn thousandths(opacity: f64) -> u16 {
    (opacity.clamp(0.0, 1.0) * 1000.0).round() as u16
}

fn opacities(drawing: &Drawing) -> BTreeSet<u16> {
    let of_shape = |shape: &Shape| match shape {
        Shape::Figure { fill, stroke, .. } => [*fill, stroke.as_ref().map(|stroke| stroke.paint)],
        Shape::Label(label) => [Some(label.paint), None],
        Shape::Picture { .. } => [Some(Paint::full(Colour::Ink)), None],
    };
    let paints = drawing.shapes.iter().flat_map(of_shape).flatten();
    paints.map(|paint| thousandths(paint.opacity)).collect()
}

fn pictures(drawing: &Drawing) -> impl Iterator<Item = &image::RgbImage> {
    drawing.shapes.iter().filter_map(|shape| match shape {
        Shape::Picture { pixels, .. } => Some(pixels),
        _ => None,
    })
}

fn state_name(opacity: u16) -> String {
    format!("A{opacity}")
}

fn picture_name(place: usize) -> String {
    format!("P{place}")
}

fn drawn(drawing: &Drawing, letters: &Letters, points: f64) -> Result<Vec<u8>> {
    let mut content = Content::new();
    // PDF counts upwards from the lower edge.
    let points = points as f32;
    content.transform([points, 0.0, 0.0, -points, 0.0, drawing.height as f32 * points]);
    let mut pictures = 0;
    for shape in &drawing.shapes {
        match shape {
            Shape::Figure { outline, fill, stroke, .. } => {
                if let Some(fill) = fill {
                    use_paint(&mut content, fill);
                    trace(&mut content, outline);
                    content.fill_nonzero();
                }
                if let Some(stroke) = stroke {
                    use_paint(&mut content, &stroke.paint);
                    use_pen(&mut content, stroke);
                    trace(&mut content, outline);
                    content.stroke();
                }
            }
            Shape::Label(label) => letters.show(&mut content, label)?,
            Shape::Picture { place: [left, top, right, bottom], .. } => {
                let (width, height) = ((right - left) as f32, (bottom - top) as f32);
                use_paint(&mut content, &Paint::full(Colour::Ink));
                content.save_state();
                // A picture fills the unit square, with its first row at the upper edge.
                content.transform([width, 0.0, 0.0, -height, *left as f32, *bottom as f32]);
                content.x_object(Name(picture_name(pictures).as_bytes()));
                content.restore_state();
                pictures += 1;
            }
        }
    }
    Ok(content.finish().to_vec())
}

fn use_paint(content: &mut Content, paint: &Paint) {
    let [red, green, blue] = match paint.colour {
        Colour::Ink => [0.0; 3],
        Colour::Rgb(colour) => colour.map(|channel| f32::from(channel) / 255.0),
    };
    content.set_parameters(Name(state_name(thousandths(paint.opacity)).as_bytes()));
    content.set_fill_rgb(red, green, blue).set_stroke_rgb(red, green, blue);
}

fn use_pen(content: &mut Content, stroke: &Stroke) {
    content.set_line_width(stroke.width as f32);
    content.set_dash_pattern(stroke.dash.map(|dash| dash as f32), 0.0);
}

fn trace(content: &mut Content, outline: &Outline) {
    let mut along = |points: &[Point]| {
        for (place, (x, y)) in points.iter().enumerate() {
            if place == 0 {
                content.move_to(*x as f32, *y as f32);
            } else {
                content.line_to(*x as f32, *y as f32);
            }
        }
    };
    match outline {
        Outline::Line(points) => along(points),
        Outline::Polygon(points) => {
            along(points);
            content.close_path();
        }
        Outline::Circle(middle, radius) => circle(content, *middle, *radius),
    }
}

fn circle(content: &mut Content, (x, y): Point, radius: f64) {
    let near = radius * OF_A_CIRCLE;
    let point = |dx: f64, dy: f64| ((x + dx) as f32, (y + dy) as f32);
    let start = point(radius, 0.0);
    content.move_to(start.0, start.1);
    let mut quarter = |first: (f32, f32), second: (f32, f32), end: (f32, f32)| {
        content.cubic_to(first.0, first.1, second.0, second.1, end.0, end.1);
    };
    quarter(point(radius, near), point(near, radius), point(0.0, radius));
    quarter(point(-near, radius), point(-radius, near), point(-radius, 0.0));
    quarter(point(-radius, -near), point(-near, -radius), point(0.0, -radius));
    quarter(point(near, -radius), point(radius, -near), point(radius, 0.0));
    content.close_path();
}

struct FontIds {
    font: Ref,
    cid: Ref,
    descriptor: Ref,
    data: Ref,
    cmap: Ref,
}

/// The letters of a drawing and their glyphs in the part of the font that is embedded.
struct Letters {
    glyphs: BTreeMap<char, u16>,
    /// Their widths in thousandths of the size, by glyph.
    widths: BTreeMap<u16, f32>,
    remapper: GlyphRemapper,
}

impl Letters {
    fn of(drawing: &Drawing, face: &Face) -> Self {
        let mut letters = Letters {
            glyphs: BTreeMap::new(),
            widths: BTreeMap::new(),
            remapper: GlyphRemapper::new(),
        };
        for shape in &drawing.shapes {
            let Shape::Label(label) = shape else { continue };
            for letter in label.text.chars() {
                let whole = font::glyph(face, letter);
                let glyph = letters.remapper.remap(whole.0);
                letters.glyphs.insert(letter, glyph);
                letters.widths.insert(glyph, (font::advance(face, whole) * 1000.0) as f32);
            }
        }
        letters
    }

    fn is_empty(&self) -> bool {
        self.glyphs.is_empty()
    }

    fn show(&self, content: &mut Content, label: &Label) -> Result<()> {
        let width = text_width(&label.text, label.size)?;
        let back = match label.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let ((x, y), size) = (label.at, label.size as f32);
        // The page is upside down, so letters are turned over again.
        let matrix = if label.is_upright {
            [0.0, -size, -size, 0.0, x as f32, (y + back) as f32]
        } else {
            [size, 0.0, 0.0, -size, (x - back) as f32, y as f32]
        };
        let glyphs: Vec<u8> = label
            .text
            .chars()
            .flat_map(|letter| self.glyphs.get(&letter).copied().unwrap_or(0).to_be_bytes())
            .collect();
        use_paint(content, &label.paint);
        content.begin_text().set_font(FONT, 1.0).set_text_matrix(matrix);
        content.show(Str(&glyphs)).end_text();
        Ok(())
    }

    fn embed(&self, pdf: &mut Pdf, face: &Face, ids: &FontIds) -> Result<()> {
        let subset = subsetter::subset(font::DATA, 0, &self.remapper).map_err(|error| {
            Error::failure(format!("cannot embed the font {}: {error}", font::NAME))
        })?;
        // A part of a font has six letters before its name.
        let name = format!("SRGCAM+{}", font::NAME);
        pdf.type0_font(ids.font)
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(ids.cid)
            .to_unicode(ids.cmap);
        let mut cid = pdf.cid_font(ids.cid);
        cid.subtype(CidFontType::Type2)
            .base_font(Name(name.as_bytes()))
            .system_info(SYSTEM)
            .font_descriptor(ids.descriptor)
            .default_width(0.0)
            .cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = cid.widths();
        for (glyph, width) in &self.widths {
            widths.consecutive(*glyph, [*width]);
        }
        widths.finish();
        cid.finish();
        let unit = |value: i16| f32::from(value) * 1000.0 / f32::from(face.units_per_em());
        let corners = face.global_bounding_box();
        pdf.font_descriptor(ids.descriptor)
            .name(Name(name.as_bytes()))
            .flags(FontFlags::NON_SYMBOLIC)
            .bbox(Rect::new(
                unit(corners.x_min),
                unit(corners.y_min),
                unit(corners.x_max),
                unit(corners.y_max),
            ))
            .italic_angle(0.0)
            .ascent(unit(face.ascender()))
            .descent(unit(face.descender()))
            .cap_height(unit(face.capital_height().unwrap_or(face.ascender())))
            .stem_v(80.0)
            .font_file2(ids.data);
        let data = compressed(&subset);
        let length = i32::try_from(subset.len()).unwrap_or(i32::MAX);
        pdf.stream(ids.data, &data).filter(Filter::FlateDecode).pair(Name(b"Length1"), length);
        let mut cmap = UnicodeCmap::new(Name(b"Letters"), SYSTEM);
        for (letter, glyph) in self.glyphs.iter().filter(|(_, glyph)| **glyph != 0) {
            cmap.pair(*glyph, *letter);
        }
        let cmap = compressed(&cmap.finish());
        pdf.cmap(ids.cmap, &cmap).filter(Filter::FlateDecode);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str, y: f64, is_upright: bool) -> Label {
        let paint = Paint::full(Colour::Ink);
        Label {
            text: text.into(),
            at: (60.0, y),
            size: 16.0,
            paint,
            anchor: Anchor::Start,
            is_upright,
        }
    }

    #[test]
    fn labels_can_be_read_back_out_of_a_pdf() {
        let mut drawing = Drawing::new(400, 300, "a title").unwrap();
        drawing.label(label("probe mAP (ü, β, <b>)", 40.0, false));
        drawing.label(label("frames/s", 200.0, true));
        drawing.picture(image::RgbImage::new(2, 2), [200.0, 100.0, 300.0, 200.0]);
        drawing.fill(Outline::Circle((100.0, 100.0), 9.0), Paint::full(Colour::Ink));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.pdf");
        std::fs::write(&path, write(&drawing, 0.5).unwrap()).unwrap();
        let Ok(read) = std::process::Command::new("pdftotext").arg(&path).arg("-").output() else {
            eprintln!("skipped: pdftotext is not installed (Debian: poppler-utils)");
            return;
        };
        let text = String::from_utf8_lossy(&read.stdout);
        assert!(text.contains("probe mAP (ü, β, <b>)"), "{text}");
        assert!(text.contains("frames/s"), "{text}");
        assert!(read.stderr.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
    }
}
