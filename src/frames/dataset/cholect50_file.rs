//! CholecT50's JSON: a file for each video, with the instruments of each frame, what they do, and
//! the phase of the surgery.
//!
//! The format is that of <https://github.com/CAMMA-public/cholect50> (docs/README-Format.md):
//!
//! * `categories` has an object with names by their ids for each of `instrument`, `verb` and
//!   `phase`.
//! * `annotations` has a list of instances by the number of the frame, which is the number of its
//!   picture. An instance is a list of 15 numbers: the triplet, the instrument, a confidence, the
//!   instrument's box `x, y, width, height` in parts of the picture's sides, the verb, the target,
//!   a confidence, the target's box, and the phase. -1 stands for something that is not annotated.
//!
//! Targets and confidences are not read. A frame with an instance that cannot be used is an error
//! of that frame: without the instance, it would claim that the instrument is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json_values::{JsonValue, bounded_entries, not_understood};
use super::label_file::LONGEST_NAME;
use super::labels::normalized;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// How many numbers an instance has, and where among them are those that are read.
const NUMBERS: usize = 15;
const INSTRUMENT: usize = 1;
const BOX: std::ops::Range<usize> = 3..7;
const VERB: usize = 7;
const PHASE: usize = 14;

/// Stands for something that is not annotated.
const ABSENT: f64 = -1.0;

/// The parts of a side that a number of a box may be. Numbers of a box that runs off the picture by
/// a little lie just below 0 or above 1. Whoever writes pixels has far larger numbers.
const PARTS: std::ops::RangeInclusive<f64> = -0.5..=1.5;

/// What a file says.
pub struct Video {
    /// The names of all instruments that the file knows.
    pub instruments: BTreeSet<String>,
    /// In the order of the file.
    pub frames: Vec<VideoFrame>,
}

pub struct VideoFrame {
    /// `None`: the file does not give the frame a number.
    pub number: Option<u32>,
    /// The file and the entry, for it may be a file of a single line.
    pub place: String,
    pub labels: Result<FrameLabels>,
}

#[derive(Debug)]
pub struct FrameLabels {
    pub instances: Vec<Instance>,
    /// `None`: it is not annotated.
    pub phase: Option<String>,
}

/// One instrument of a frame.
#[derive(Debug, PartialEq)]
pub struct Instance {
    pub instrument: String,
    /// `None`: it is not annotated.
    pub verb: Option<String>,
    /// `[x1, y1, x2, y2]` in parts of the picture's width and height. `None`: it is not annotated.
    pub bounds: Option<[f64; 4]>,
    /// The file and the entry.
    pub place: String,
}

/// Reads the text of a file. A text that is not of this format is an error with its line.
pub fn parsed(text: &str, path: &Path) -> Result<Video> {
    let file: File =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            not_understood("the CholecT50 file", &error, path)
                .hint("a JSON object is expected with the objects `categories` and `annotations`")
        })?;
    let names = Names::of(&file.categories).map_err(|error| error.at_path(path))?;
    let frame = |(key, listed): (String, Listed)| {
        let place = format!("{}: annotations[\"{}\"]", path.display(), shortened(&key));
        let number: Option<u32> = key.parse().ok();
        let labels = match number {
            Some(_) => names.labels(&listed, &place),
            None => Err(Error::failure(format!("`{}` is not a frame number", shortened(&key)))),
        };
        VideoFrame { number, labels: labels.map_err(|error| error.at(&place)), place }
    };
    let frames = file.annotations.into_iter().map(frame).collect();
    Ok(Video { instruments: names.instruments.names.into_values().collect(), frames })
}

#[derive(Deserialize)]
struct File {
    categories: Categories,
    #[serde(deserialize_with = "bounded_entries")]
    annotations: Vec<(String, Listed)>,
}

#[derive(Deserialize)]
struct Categories {
    #[serde(deserialize_with = "bounded_entries")]
    instrument: Vec<(String, JsonValue)>,
    #[serde(default, deserialize_with = "bounded_entries")]
    verb: Vec<(String, JsonValue)>,
    #[serde(default, deserialize_with = "bounded_entries")]
    phase: Vec<(String, JsonValue)>,
}

/// The instances of a frame up to the first one that is not a list of numbers. Only whole instances
/// are kept, so that they take little more memory than their text.
#[derive(Default)]
struct Listed {
    instances: Vec<[f64; NUMBERS]>,
    /// The first instance of another form, as a message shows it.
    strange: Option<String>,
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ListedVisitor;

        impl<'de> Visitor<'de> for ListedVisitor {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of instances")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Listed, A::Error> {
                let mut listed = Listed::default();
                while let Some(value) = list.next_element::<JsonValue>()? {
                    if listed.strange.is_none() {
                        match value
                            .numbers()
                            .and_then(|numbers| <[f64; NUMBERS]>::try_from(numbers).ok())
                        {
                            Some(numbers) => listed.instances.push(numbers),
                            None => listed.strange = Some(shortened(&value)),
                        }
                    }
                }
                Ok(listed)
            }
        }

        deserializer.deserialize_seq(ListedVisitor)
    }
}

/// The names of a file's categories.
struct Names {
    instruments: Category,
    verbs: Category,
    phases: Category,
}

impl Names {
    fn of(categories: &Categories) -> Result<Self> {
        Ok(Names {
            instruments: Category::of("instrument", &categories.instrument)?,
            verbs: Category::of("verb", &categories.verb)?,
            phases: Category::of("phase", &categories.phase)?,
        })
    }

    fn labels(&self, listed: &Listed, place: &str) -> Result<FrameLabels> {
        let mut labels = FrameLabels { instances: Vec::new(), phase: None };
        let place_of = |index: usize| format!("{place}[{index}]");
        for (index, numbers) in listed.instances.iter().enumerate() {
            let place = place_of(index);
            let instance = self.instance(numbers, &place).map_err(|error| error.at(&place))?;
            labels.instances.extend(instance);
            if let Some(phase) =
                self.phases.name(numbers[PHASE]).map_err(|error| error.at(&place))?
            {
                let first = labels.phase.get_or_insert_with(|| phase.clone());
                if *first != phase {
                    let what = format!("the frame has the phases `{first}` and `{phase}`");
                    return Err(Error::failure(what).at(place));
                }
            }
        }
        if let Some(strange) = &listed.strange {
            return Err(Error::failure(format!(
                "the instance is {strange}, and {NUMBERS} numbers are expected"
            ))
            .at(place_of(listed.instances.len())));
        }
        Ok(labels)
    }

    /// `None`: the frame shows no instrument, and the instance is there for its phase.
    fn instance(&self, numbers: &[f64; NUMBERS], place: &str) -> Result<Option<Instance>> {
        let Some(instrument) = self.instruments.name(numbers[INSTRUMENT])? else {
            return Ok(None);
        };
        Ok(Some(Instance {
            instrument,
            verb: self.verbs.name(numbers[VERB])?,
            bounds: bounds_of(&numbers[BOX])?,
            place: place.to_string(),
        }))
    }
}

/// The names of one category by their ids.
struct Category {
    category: &'static str,
    names: BTreeMap<u32, String>,
}

impl Category {
    fn of(category: &'static str, entries: &[(String, JsonValue)]) -> Result<Self> {
        let mut names = BTreeMap::new();
        for (key, value) in entries {
            let problem = |what: &str| {
                Error::failure(format!("`categories.{category}[\"{}\"]` {what}", shortened(key)))
            };
            let id: u32 = key.parse().map_err(|_| problem("does not have a number as its id"))?;
            let name = value.text().ok_or_else(|| problem("does not have a text as its name"))?;
            if name.len() > LONGEST_NAME {
                return Err(problem(&format!("has a name of more than {LONGEST_NAME} bytes")));
            }
            if names.insert(id, normalized(name)).is_some() {
                return Err(problem("is there twice"));
            }
        }
        Ok(Category { category, names })
    }

    /// The name of an id in an instance. `None`: it is not annotated.
    fn name(&self, id: f64) -> Result<Option<String>> {
        if id == ABSENT {
            return Ok(None);
        }
        let category = self.category;
        let is_id = id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&id);
        let name = self.names.get(&(id as u32)).filter(|_| is_id);
        name.cloned().map(Some).ok_or_else(|| {
            Error::failure(format!("no {category} has the id {}", shortened(id)))
                .hint(format!("list it in `categories.{category}`, or correct the annotation"))
        })
    }
}

/// `[x, y, width, height]` as `[x1, y1, x2, y2]`.
fn bounds_of(numbers: &[f64]) -> Result<Option<[f64; 4]>> {
    if numbers.iter().all(|number| *number == ABSENT) {
        return Ok(None);
    }
    match numbers {
        &[x, y, width, height]
            if width >= 0.0
                && height >= 0.0
                && numbers.iter().all(|number| PARTS.contains(number)) =>
        {
            Ok(Some([x, y, x + width, y + height]))
        }
        _ => {
            let shown: Vec<String> = numbers.iter().map(f64::to_string).collect();
            Err(Error::failure(format!("the box is [{}]", shortened(shown.join(", ")))).hint(
                "x, y, width and height are written as parts of the picture's width and height, \
                 from 0 to 1, or all as -1 where there is no box",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CATEGORIES: &str = r#""categories": {
        "instrument": {"0": "grasper", "5": "Irrigator"},
        "verb": {"0": "grasp", "9": "null_verb"},
        "target": {"0": "gallbladder"},
        "phase": {"0": "preparation", "1": "packaging"}}"#;

    fn video(annotations: &str) -> Result<Video> {
        parsed(&format!("{{{CATEGORIES},\n\"annotations\": {annotations}}}"), Path::new("v.json"))
    }

    /// An instance with this instrument, box and phase.
    fn instance(instrument: &str, bounds: &str, phase: &str) -> String {
        format!("[7, {instrument}, 1.0, {bounds}, 9, 0, 1.0, -1.0, -1.0, -1.0, -1.0, {phase}]")
    }

    const NOWHERE: &str = "-1, -1, -1, -1";

    #[test]
    fn a_frame_has_instruments_with_their_verbs_and_boxes_and_a_phase() {
        let (first, second) =
            (instance("5", "0.25, 0.5, 0.5, 0.25", "1"), instance("-1", NOWHERE, "1"));
        let frames = format!("{{\"16\": [{first}, {second}], \"17\": []}}");
        let video = video(&frames).unwrap();
        assert_eq!(
            video.instruments.iter().map(String::as_str).collect::<Vec<_>>(),
            ["grasper", "irrigator"]
        );
        let [frame, empty] = &video.frames[..] else { panic!("two frames are expected") };
        let labels = frame.labels.as_ref().unwrap();
        assert_eq!((frame.number, labels.phase.as_deref()), (Some(16), Some("packaging")));
        let expected = Instance {
            instrument: "irrigator".to_string(),
            verb: Some("null_verb".to_string()),
            bounds: Some([0.25, 0.5, 0.75, 0.75]),
            place: "v.json: annotations[\"16\"][0]".to_string(),
        };
        assert_eq!(labels.instances, [expected]);
        let labels = empty.labels.as_ref().unwrap();
        assert!(labels.instances.is_empty() && labels.phase.is_none());
    }

    #[test]
    fn what_is_wrong_in_a_frame_is_named_by_its_entry() {
        for (frame, said) in [
            (
                instance("4", NOWHERE, "0"),
                "v.json: annotations[\"7\"][0]: no instrument has the id 4",
            ),
            (instance("0.5", NOWHERE, "0"), "no instrument has the id 0.5"),
            (instance("1e300", NOWHERE, "0"), "no instrument has the id 1000"),
            (instance("0", NOWHERE, "7"), "v.json: annotations[\"7\"][0]: no phase has the id 7"),
            (instance("0", "12, 30, 40, 50", "0"), "the box is [12, 30, 40, 50]"),
            (instance("0", "-1, -1, 0.5, 0.5", "0"), "the box is [-1, -1, 0.5, 0.5]"),
            (
                [instance("0", NOWHERE, "0"), instance("0", NOWHERE, "1")].join(","),
                "v.json: annotations[\"7\"][1]: the frame has the phases `preparation` and `pack",
            ),
            (
                format!("{}, [1, 2]", instance("0", NOWHERE, "0")),
                "v.json: annotations[\"7\"][1]: the instance is [1,2], and 15 numbers are expected",
            ),
            ("null".to_string(), "v.json: annotations[\"7\"][0]: the instance is missing"),
        ] {
            let video = video(&format!("{{\"7\": [{frame}]}}")).unwrap();
            let error = video.frames[0].labels.as_ref().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let video = video("{\"x\": []}").unwrap();
        let error = video.frames[0].labels.as_ref().unwrap_err().to_string();
        assert!(error.contains("`x` is not a frame number"), "{error}");
    }

    #[test]
    fn a_file_of_another_format_is_named_by_its_line() {
        for (text, said) in [
            ("{}", "v.json:1: cannot understand the CholecT50 file: missing field `categories`"),
            ("{\n\"categories\": 3}", "v.json:2: cannot understand the CholecT50 file: "),
            (
                r#"{"categories": {"instrument": {"a": "hook"}}, "annotations": {}}"#,
                "v.json: `categories.instrument[\"a\"]` does not have a number as its id",
            ),
            (
                r#"{"categories": {"instrument": {"0": 1}}, "annotations": {}}"#,
                "v.json: `categories.instrument[\"0\"]` does not have a text as its name",
            ),
            (
                r#"{"categories": {"instrument": {"0": "a", "00": "b"}}, "annotations": {}}"#,
                "v.json: `categories.instrument[\"00\"]` is there twice",
            ),
        ] {
            let error = parsed(text, Path::new("v.json")).err().unwrap().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_frame_makes_the_reader_panic(
            frame in "(\\[|\\]|,|-1|[0-9.]{1,4}|\"a\"|null| ){0,60}",
            numbers in proptest::collection::vec(any::<f64>(), 4),
        ) {
            let _ = video(&format!("{{\"1\": [{frame}]}}"));
            if let Ok(Some(bounds)) = bounds_of(&numbers) {
                prop_assert!(bounds.iter().all(|side| side.abs() <= 3.0));
            }
        }
    }
}
