//! Names on grounds of the colours of their boxes, one alone or several in lines.

use super::lines::places_in_lines;
use crate::report::drawing::{
    Anchor, Colour, Drawing, Label, Outline, Paint, Point, Stroke, text_width, without_excess,
};
use surgcam_engine::error::Result;
use surgcam_engine::escape;

/// From the edges of a tag to its text.
const PADDING: f64 = 3.0;
/// The height of a tag, and from one line of tags to the next, in sizes of the font.
const HEIGHT: f64 = 1.3;
const LINE: f64 = 1.6;
/// Between the tags of a line.
const BETWEEN: f64 = 6.0;
/// Around grounds that are as white as the paper.
const EDGE: Stroke =
    Stroke { paint: Paint { colour: Colour::Ink, opacity: 0.4 }, width: 0.75, dash: None };

/// A name, and the colour of its boxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColouredName {
    pub name: String,
    pub colour: [u8; 3],
}

pub struct Tag {
    text: String,
    size: f64,
    pub width: f64,
}

impl Tag {
    /// Not wider than `room`.
    pub fn of(name: &str, size: f64, room: f64) -> Result<Self> {
        let text = without_excess(&escape::line(name), size, room - 2.0 * PADDING)?;
        let width = text_width(&text, size)? + 2.0 * PADDING;
        Ok(Tag { text, size, width })
    }

    pub fn height(&self) -> f64 {
        self.size * HEIGHT
    }

    /// On a ground, with its upper left corner at a place.
    pub fn draw(&self, drawing: &mut Drawing, at: Point, colour: [u8; 3], opacity: f64) {
        drawing.fill(self.ground(at), Paint { opacity, ..Paint::rgb(colour) });
        self.write(drawing, at, Paint::rgb(readable_on(colour)));
    }

    fn ground(&self, (left, top): Point) -> Outline {
        Outline::rectangle([left, top, left + self.width, top + self.height()])
    }

    fn write(&self, drawing: &mut Drawing, (left, top): Point, paint: Paint) {
        drawing.label(Label {
            text: self.text.clone(),
            at: (left + PADDING, top + self.height() - self.size * 0.32),
            size: self.size,
            paint,
            anchor: Anchor::Start,
            is_upright: false,
        });
    }
}

/// Black or white, whichever stands out more.
fn readable_on([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let brightness = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    if brightness > 140.0 { [1; 3] } else { [255; 3] }
}

struct PlacedTag {
    tag: Tag,
    /// `None`: without a ground.
    colour: Option<[u8; 3]>,
    /// From the corner of all tags.
    at: Point,
}

/// Names in lines.
pub struct NameTags {
    tags: Vec<PlacedTag>,
    pub height: f64,
}

impl NameTags {
    /// If there is no room for all names in `most_lines` lines, the last tag tells how many more
    /// there are.
    pub fn in_lines(
        names: &[ColouredName],
        size: f64,
        room: f64,
        most_lines: usize,
    ) -> Result<Self> {
        let tag = |named: &ColouredName| Tag::of(&named.name, size, room);
        let mut shown = names.iter().map(tag).collect::<Result<Vec<Tag>>>()?;
        let mut more: Option<Tag> = None;
        let places = loop {
            let widths = shown.iter().chain(&more).map(|tag| tag.width);
            let places = places_in_lines(widths, BETWEEN, room);
            let fits = places.last().is_none_or(|(_, line)| *line < most_lines);
            if fits || shown.pop().is_none() {
                break places;
            }
            let left_out = names.len() - shown.len();
            more = Some(Tag::of(&format!("and {left_out} more"), size, room)?);
        };
        let lines = places.last().map_or(0, |(_, line)| line + 1);
        let colours = names.iter().map(|named| Some(named.colour)).take(shown.len()).chain([None]);
        let tags = shown.into_iter().chain(more).zip(colours).zip(places);
        let tags = tags.map(|((tag, colour), (left, line))| {
            let at = (left, line as f64 * size * LINE);
            PlacedTag { tag, colour, at }
        });
        Ok(NameTags { tags: tags.collect(), height: lines as f64 * size * LINE })
    }

    /// With their upper left corner at a place.
    pub fn draw(&self, drawing: &mut Drawing, (left, top): Point) {
        for PlacedTag { tag, colour, at } in &self.tags {
            let at = (left + at.0, top + at.1);
            match colour {
                Some(colour) => {
                    tag.draw(drawing, at, *colour, 1.0);
                    drawing.stroke(tag.ground(at), EDGE);
                }
                None => tag.write(drawing, at, Paint::full(Colour::Ink)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tags: &NameTags) -> Vec<&str> {
        tags.tags.iter().map(|placed| placed.tag.text.as_str()).collect()
    }

    #[test]
    fn names_without_room_are_counted() {
        let names: Vec<ColouredName> = (0..9)
            .map(|class| ColouredName { name: format!("class {class}"), colour: [class; 3] })
            .collect();
        let all = NameTags::in_lines(&names, 10.0, 120.0, 9).unwrap();
        assert_eq!(all.tags.len(), 9);
        let some = NameTags::in_lines(&names, 10.0, 120.0, 2).unwrap();
        assert_eq!(texts(&some), ["class 0", "class 1", "class 2", "and 6 more"]);
        assert_eq!(some.height, 2.0 * 16.0);
        for placed in all.tags.iter().chain(&some.tags) {
            assert!(placed.at.0 + placed.tag.width <= 120.0, "{}", placed.tag.text);
        }
        assert_eq!(NameTags::in_lines(&[], 10.0, 120.0, 2).unwrap().height, 0.0);
    }

    #[test]
    fn a_name_that_is_wider_than_its_room_ends_with_an_ellipsis() {
        let name = "monopolar curved scissors".to_string();
        let names = [ColouredName { name, colour: [255; 3] }];
        let tags = NameTags::in_lines(&names, 10.0, 60.0, 2).unwrap();
        assert!(texts(&tags)[0].ends_with('…') && tags.tags[0].tag.width <= 60.0);
    }
}
