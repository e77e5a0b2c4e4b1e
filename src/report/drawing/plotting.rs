//! Where plotters draws to: its lines, areas and texts become shapes of a drawing.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::{Anchor, Colour, Drawing, Label, Outline, Paint, Point, Shape, Stroke, text_width};

/// plotters counts in whole units; so many of them are a pixel.
pub const UNITS: i32 = 10;

/// The height of capital letters, in sizes of the font.
const CAPITAL: f64 = 0.729;
/// The height of a line that is reserved for a text, in sizes of the font.
const LINE: f64 = 1.2;

pub struct Plotting<'a>(pub &'a mut Drawing);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// A place in pixels.
pub fn in_pixels((x, y): BackendCoord) -> Point {
    (length(x), length(y))
}

fn length(units: i32) -> f64 {
    f64::from(units) / f64::from(UNITS)
}

fn paint(colour: BackendColor) -> Paint {
    let BackendColor { alpha, rgb: (red, green, blue) } = colour;
    let colour = match [red, green, blue] {
        [0, 0, 0] => Colour::Ink,
        colour => Colour::Rgb(colour),
    };
    Paint { colour, opacity: alpha }
}

impl Plotting<'_> {
    fn add(&mut self, outline: Outline, style: &impl BackendStyle, is_filled: bool) -> Drawn {
        let paint = paint(style.color());
        if paint.opacity <= 0.0 {
            return Ok(());
        }
        let width = f64::from(style.stroke_width()) / f64::from(UNITS);
        let stroke = (!is_filled).then_some(Stroke { paint, width, dash: None });
        self.0.shapes.push(Shape::Figure {
            outline,
            fill: is_filled.then_some(paint),
            stroke,
            meaning: None,
        });
        Ok(())
    }
}

impl DrawingBackend for Plotting<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.width * UNITS.unsigned_abs(), self.0.height * UNITS.unsigned_abs())
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        let (x, y) = in_pixels(point);
        let side = length(1);
        self.add(Outline::rectangle([x, y, x + side, y + side]), &color, true)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.add(Outline::Line(vec![in_pixels(from), in_pixels(to)]), style, false)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let ((left, top), (right, bottom)) = (in_pixels(upper_left), in_pixels(bottom_right));
        self.add(Outline::rectangle([left, top, right, bottom]), style, fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.add(Outline::Line(path.into_iter().map(in_pixels).collect()), style, false)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let radius = f64::from(radius) / f64::from(UNITS);
        self.add(Outline::Circle(in_pixels(center), radius), style, fill)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Drawn {
        self.add(Outline::Polygon(vert.into_iter().map(in_pixels).collect()), style, true)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Drawn {
        let paint = paint(style.color());
        if paint.opacity <= 0.0 {
            return Ok(());
        }
        let size = style.size() / f64::from(UNITS);
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        let down = match style.anchor().v_pos {
            VPos::Top => CAPITAL * size,
            VPos::Center => CAPITAL * size / 2.0,
            VPos::Bottom => 0.0,
        };
        let (x, y) = in_pixels(pos);
        // plotters draws texts from left to right and from below to above.
        let is_upright = matches!(style.transform(), FontTransform::Rotate270);
        let at = if is_upright { (x + down, y) } else { (x, y + down) };
        let label = Label { text: text.to_string(), at, size, paint, anchor, is_upright };
        self.0.label(label);
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        // Without the font nothing is drawn at all, and the writers of files say so.
        let width = text_width(text, style.size()).unwrap_or_default();
        Ok((width.ceil() as u32, (LINE * style.size()).ceil() as u32))
    }
}
