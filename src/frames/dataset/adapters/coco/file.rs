//! What stands in a COCO file: its lists, and the values of single entries.

use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;

use crate::dataset::fields::{LARGEST_COORDINATE, number_at_end};
use crate::dataset::json_values::{JsonValue, bounded_list, not_understood};
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// By how many pixels a number may differ from a whole one and still mean it. Whole numbers differ
/// by less when they were written with 32 bits.
const NEARLY_WHOLE: f64 = 1e-3;

/// What the number of a sequence or a frame, or a side of a picture, can be.
const NUMBERS: RangeInclusive<f64> = 0.0..=u32::MAX as f64;

/// The values of entries are checked one by one later, so that a bad one is a problem of its own.
#[derive(Deserialize)]
pub(super) struct File {
    #[serde(deserialize_with = "bounded_list")]
    pub images: Vec<Image>,
    #[serde(deserialize_with = "bounded_list")]
    pub annotations: Vec<Annotation>,
    #[serde(deserialize_with = "bounded_list")]
    pub categories: Vec<Category>,
}

#[derive(Deserialize)]
pub(in crate::dataset) struct Image {
    #[serde(default)]
    pub id: JsonValue,
    #[serde(default)]
    pub file_name: JsonValue,
    #[serde(default)]
    width: JsonValue,
    #[serde(default)]
    height: JsonValue,
    #[serde(default)]
    pub video_id: JsonValue,
    #[serde(default)]
    pub frame_id: JsonValue,
}

#[derive(Deserialize)]
pub(super) struct Annotation {
    #[serde(default)]
    pub image_id: JsonValue,
    #[serde(default)]
    pub category_id: JsonValue,
    #[serde(default)]
    pub bbox: JsonValue,
}

#[derive(Deserialize)]
pub(in crate::dataset) struct Category {
    #[serde(default)]
    pub id: JsonValue,
    #[serde(default)]
    pub name: JsonValue,
}

pub(super) fn parsed(text: &str, path: &Path) -> Result<File> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        not_understood("the COCO file", &error, path).hint(
            "a JSON object is expected with the lists `images`, `annotations` and `categories`",
        )
    })
}

impl Image {
    /// `[width, height]` in pixels. `None`: the image does not say both, or says 0.
    pub fn size(&self) -> Result<Option<[u32; 2]>> {
        let sides = number_of(&self.width, "width")?.zip(number_of(&self.height, "height")?);
        Ok(sides.map(|(width, height)| [width, height]).filter(|size| !size.contains(&0)))
    }
}

/// The id of an image or a category. Numbers and texts both serve as ids.
pub(in crate::dataset) fn id_of(value: &JsonValue, key: &str) -> Result<String> {
    match value {
        JsonValue::Whole(number) => Ok(number.to_string()),
        // Some tools write whole numbers as 3.0.
        JsonValue::Fraction(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Ok((*number as i64).to_string())
        }
        JsonValue::Fraction(number) => Ok(number.to_string()),
        JsonValue::Text(text) => Ok(text.clone()),
        _ => Err(Error::failure(format!("`{key}` is missing, or neither a number nor a text"))),
    }
}

/// A number such as `3`, or the digits at the end of a text such as `"video03"`. `None`: it is not
/// given.
pub(in crate::dataset) fn number_of(value: &JsonValue, key: &str) -> Result<Option<u32>> {
    let number = match value {
        JsonValue::Absent => return Ok(None),
        JsonValue::Text(text) => number_at_end(text),
        // Some tools write whole numbers as 3.0.
        _ => value
            .number()
            .filter(|number| number.fract() == 0.0 && NUMBERS.contains(number))
            .map(|number| number as u32),
    };
    number.map(Some).ok_or_else(|| {
        Error::failure(format!("`{key}` is {}, which cannot be used as a number", shortened(value)))
    })
}

/// The box of `[x, y, width, height]`, rounded outwards to whole pixels.
pub(in crate::dataset) fn bounds_of(bbox: &JsonValue) -> Result<Box2> {
    let is_coordinate = |number: &f64| number.abs() <= LARGEST_COORDINATE;
    match bbox.numbers().filter(|numbers| numbers.iter().all(is_coordinate)) {
        Some(&[x, y, width, height]) if width >= 0.0 && height >= 0.0 => {
            let first = [x, y].map(rounded_down);
            let second = [x + width, y + height].map(rounded_up);
            Ok(Box2::from([first[0], first[1], second[0], second[1]]))
        }
        _ => Err(Error::failure(format!("`bbox` is {}", shortened(bbox))).hint(
            "four numbers of pixels are expected, [x, y, width, height], and neither width nor \
             height may be below 0",
        )),
    }
}

fn rounded_down(coordinate: f64) -> i64 {
    (coordinate + NEARLY_WHOLE).floor() as i64
}

fn rounded_up(coordinate: f64) -> i64 {
    (coordinate - NEARLY_WHOLE).ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn value(json: &Value) -> JsonValue {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn a_box_is_rounded_outwards() {
        let bounds = |bbox: Value| bounds_of(&value(&bbox)).map(<[i64; 4]>::from).ok();
        assert_eq!(bounds(json!([1, 2, 3, 4])), Some([1, 2, 4, 6]));
        assert_eq!(bounds(json!([1.5, 2.25, 3.0, 4.5])), Some([1, 2, 5, 7]));
        assert_eq!(bounds(json!([0.99999, 2.00001, 3.0, 4.0])), Some([1, 2, 4, 6]));
        assert_eq!(bounds(json!([-0.5, 0, 0, 0])), Some([-1, 0, 0, 0]));
        for bad in [
            json!(null),
            json!([]),
            json!([1, 2, 3]),
            json!([1, 2, -3, 4]),
            json!([1, 2, "3", 4]),
            json!([1, 2, 1e300, 4]),
        ] {
            assert_eq!(bounds(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn ids_and_numbers_may_be_texts() {
        let id = |json: Value| id_of(&value(&json), "id").unwrap();
        assert_eq!([json!(7), json!(7.0), json!("a")].map(id), ["7", "7", "a"]);
        let number = |json: &Value| number_of(&value(json), "video_id");
        assert_eq!(number(&json!("video03")).unwrap(), Some(3));
        assert_eq!(number(&Value::Null).unwrap(), None);
        for bad in [json!(-1), json!(1.5), json!([]), json!("x"), json!(99999999999u64)] {
            assert!(number(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn broken_json_is_named_by_its_line() {
        let error = parsed("{\"images\": [],\n\"annotations\": 3}", Path::new("c.json"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("c.json:2: cannot understand the COCO file: "), "{error}");
    }

    proptest! {
        #[test]
        fn every_box_is_whole_or_refused(numbers in proptest::collection::vec(any::<f64>(), 0..6)) {
            let _ = bounds_of(&value(&json!(numbers)));
        }
    }
}
