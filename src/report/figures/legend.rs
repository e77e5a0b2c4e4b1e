//! Legends: below the plot, where they cover no data, in as many lines as their names need.

use super::palette::TEXT;
use crate::report::drawing::{Anchor, Drawing, Label, Point, text_width, without_excess};
use crate::report::figures::palette::INK;
use surgcam_engine::error::Result;
use surgcam_engine::escape;

const LINE: f64 = 24.0;
/// From the left edge of an entry to its name; its sample lies in the middle of it.
const BEFORE_NAME: f64 = 24.0;
const BETWEEN: f64 = 18.0;
const MARGIN: f64 = 14.0;

pub struct Legend {
    /// What each entry is called and where its sample's middle lies, from the legend's corner.
    entries: Vec<(String, Point)>,
    pub height: f64,
}

impl Legend {
    /// Entries in lines of at most `width` pixels; a longer name is cut.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>, width: f64) -> Result<Self> {
        let (mut entries, mut left, mut line) = (Vec::new(), MARGIN, 0.0);
        for name in names {
            let most = width - 2.0 * MARGIN - BEFORE_NAME;
            let name = without_excess(&escape::line(name), TEXT, most)?;
            let needed = BEFORE_NAME + text_width(&name, TEXT)?;
            if left > MARGIN && left + needed > width - MARGIN {
                (left, line) = (MARGIN, line + 1.0);
            }
            entries.push((name, (left + BEFORE_NAME / 2.0 - 3.0, line * LINE + LINE / 2.0)));
            left += needed + BETWEEN;
        }
        Ok(Legend { entries, height: (line + 1.0) * LINE + 6.0 })
    }

    /// `sample` draws what stands before the name of an entry.
    pub fn draw(
        &self,
        drawing: &mut Drawing,
        top: f64,
        mut sample: impl FnMut(&mut Drawing, usize, Point),
    ) {
        for (place, (name, (x, y))) in self.entries.iter().enumerate() {
            let middle = (*x, top + y);
            sample(drawing, place, middle);
            drawing.label(Label {
                text: name.clone(),
                at: (x + BEFORE_NAME / 2.0 + 3.0, middle.1 + TEXT * 0.36),
                size: TEXT,
                paint: INK,
                anchor: Anchor::Start,
                is_upright: false,
            });
        }
    }
}
