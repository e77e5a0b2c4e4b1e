//! The font of drawings. It is part of the program, because machines on which figures are drawn may
//! have none. Its licence lies beside it.

use surgcam_engine::error::{Error, Result};
use ttf_parser::{Face, GlyphId};

/// DejaVu Sans 2.37: freely licensed, with Latin, Greek and Cyrillic letters.
pub const DATA: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans.ttf");
/// As style sheets name it; where it is not installed, a browser takes the next one.
pub const FAMILIES: &str = "DejaVu Sans, Verdana, sans-serif";
/// As PDF names it.
pub const NAME: &str = "DejaVuSans";

pub fn face() -> Result<Face<'static>> {
    Face::parse(DATA, 0)
        .map_err(|error| Error::failure(format!("cannot read the font {NAME}: {error}")))
}

/// The glyph of a letter; the font's box for letters that it does not have.
pub fn glyph(face: &Face, letter: char) -> GlyphId {
    face.glyph_index(letter).unwrap_or(GlyphId(0))
}

/// How far a glyph moves the pen, in a font of the size 1.
pub fn advance(face: &Face, glyph: GlyphId) -> f64 {
    f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / f64::from(face.units_per_em())
}

fn width_in(face: &Face, text: &str) -> f64 {
    text.chars().map(|letter| advance(face, glyph(face, letter))).sum()
}

/// The width of a text in pixels.
pub fn text_width(text: &str, size: f64) -> Result<f64> {
    Ok(width_in(&face()?, text) * size)
}

/// The text, or its beginning and an ellipsis where it is wider than `width` pixels.
pub fn without_excess(text: &str, size: f64, width: f64) -> Result<String> {
    let face = face()?;
    let fits = |text: &str| width_in(&face, text) * size <= width;
    if fits(text) {
        return Ok(text.to_string());
    }
    let mut room = width / size - advance(&face, glyph(&face, '…'));
    let kept = text.chars().take_while(|&letter| {
        room -= advance(&face, glyph(&face, letter));
        room >= 0.0
    });
    Ok(kept.chain(['…']).collect())
}
