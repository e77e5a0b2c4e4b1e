//! Heat over a picture.

use clap::ValueEnum;
use image::{Rgb, RgbImage};

use surgcam_frames::vision::heat_map::HeatMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Overlay {
    /// Picture and heat in equal parts
    Even,
    /// The colours of the heat, times 0.4, added to the picture, as Grad-CAM scripts do
    Authors,
}

/// The share of the heat's colours that is added in the authors' manner.
const AUTHORS_SHARE: f32 = 0.4;

/// `heat` has the picture's size.
pub fn overlaid(picture: &RgbImage, heat: &HeatMap, overlay: Overlay) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let place = y as usize * heat.width + x as usize;
        let hot = jet(heat.values.get(place).copied().unwrap_or(0.0));
        let pixel = picture.get_pixel(x, y).0;
        Rgb(std::array::from_fn(|channel| {
            let (hot, pixel) = (f32::from(hot[channel]), f32::from(pixel[channel]));
            match overlay {
                Overlay::Even => ((hot + pixel) / 2.0) as u8,
                // OpenCV rounds and cuts at 255 when it writes such a picture.
                Overlay::Authors => (hot * AUTHORS_SHARE + pixel).round_ties_even() as u8,
            }
        }))
    })
}

/// OpenCV's colour map JET of a value in [0, 1]: blue, cyan, yellow, red.
pub fn jet(value: f32) -> [u8; 3] {
    // The scripts turn the map into bytes first, which cuts fractions off.
    let level = f32::from((value * 255.0) as u8);
    let channel = |middle: f32| {
        (382.5 - (4.0 * level - 255.0 * middle).abs()).clamp(0.0, 255.0).round_ties_even() as u8
    };
    [channel(3.0), channel(2.0), channel(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jet_has_the_colours_of_opencv() {
        // Rows of its table, as red, green and blue.
        let rows = [
            (0, [0, 0, 128]),
            (31, [0, 0, 252]),
            (33, [0, 4, 255]),
            (96, [2, 255, 254]),
            (159, [254, 255, 2]),
            (224, [252, 0, 0]),
            (255, [128, 0, 0]),
        ];
        for (level, colour) in rows {
            assert_eq!(jet((level as f32 + 0.5) / 255.0), colour, "{level}");
        }
    }

    #[test]
    fn the_authors_overlay_adds_and_cuts_at_white() {
        let picture = RgbImage::from_pixel(1, 1, Rgb([250, 100, 10]));
        let heat = HeatMap { height: 1, width: 1, values: vec![0.5] };
        let [red, green, blue] = overlaid(&picture, &heat, Overlay::Authors).get_pixel(0, 0).0;
        // Level 127 is (126, 255, 130) there.
        assert_eq!([red, green, blue], [255, 202, 62]);
        assert_eq!(overlaid(&picture, &heat, Overlay::Even).get_pixel(0, 0).0, [188, 177, 70]);
    }
}
