//! COCO: JSON files with `images`, `annotations` and `categories`. Other keys, masks among them,
//! are passed over.
//!
//! * All files of the recipe's `labels` that exist are read, as `annotations/instances_train.json`
//!   and `..._val.json`. Which frames are for training the recipe says, by sequence.
//! * `file_name` is the picture, which counts from the folder that the recipe's `frames` has for
//!   it: with `images/v{sequence:02}_{frame:06}.jpg`, the `file_name` may be `v01_002075.jpg` or
//!   `images/v01_002075.jpg`. The numbers of sequence and frame are read off it by that pattern,
//!   unless the image has a `video_id` or a `frame_id`.
//! * `bbox` is `[x, y, width, height]` in pixels that count from 0; fractions are rounded outwards
//!   to whole pixels.
//! * Where an image says another size than its picture has, the frame cannot be used.
//!
//! With these files each frame is annotated: one without an annotation shows no instrument.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::fields::{LARGEST_COORDINATE, number_at_end, path_below_root};
use crate::dataset::folder::DataFolder;
use crate::dataset::label_file::LABEL_FILE_BYTES;
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences};
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

/// How many images, annotations or categories a file may have, so that a file of small entries
/// takes no memory without bound.
const MAXIMUM_ENTRIES: usize = 1_000_000;

/// Pixels that a box may lie beside a whole number and still mean it: what 32-bit numbers make of
/// whole ones.
const NEARLY_WHOLE: f64 = 1e-3;

/// What a sequence, a frame or a side of a picture can have as its number.
const NUMBERS: RangeInclusive<f64> = 0.0..=u32::MAX as f64;

pub struct Coco;

impl Adapter for Coco {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        let reader = Reader::of_all(folder, &self.label_files(folder)?)?;
        Ok(Box::new(reader.into_sequences().map(Ok::<RawSequence, Error>)))
    }

    fn label_files(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let mut files = BTreeSet::new();
        for &sequence in &folder.sequences {
            files.extend(folder.all_label_files(sequence, &self.sequence_name(sequence))?);
        }
        Ok(files.into_iter().collect())
    }

    /// Those that the files list and that are there.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let reader = Reader::of_all(folder, &self.label_files(folder)?)?;
        let frames = reader.sequences.into_values().flat_map(|read| read.frames);
        Ok(frames
            .filter_map(|frame| frame.picture)
            .filter(|picture| folder.root.join(picture).is_file())
            .collect())
    }
}

/// What stands in an entry is looked at entry by entry, so that a bad one is a problem of its own.
#[derive(Deserialize)]
struct File {
    #[serde(deserialize_with = "bounded")]
    images: Vec<Image>,
    #[serde(deserialize_with = "bounded")]
    annotations: Vec<Annotation>,
    #[serde(deserialize_with = "bounded")]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
pub(in crate::dataset) struct Image {
    #[serde(default)]
    pub id: Value,
    #[serde(default)]
    pub file_name: Value,
    #[serde(default)]
    width: Value,
    #[serde(default)]
    height: Value,
    #[serde(default)]
    video_id: Value,
    #[serde(default)]
    frame_id: Value,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Value,
}

#[derive(Deserialize)]
pub(in crate::dataset) struct Category {
    #[serde(default)]
    pub id: Value,
    #[serde(default)]
    pub name: Value,
}

/// A list of at most [`MAXIMUM_ENTRIES`].
pub(in crate::dataset) fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> std::result::Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == MAXIMUM_ENTRIES {
                    return Err(A::Error::custom(format!(
                        "the list has more than {MAXIMUM_ENTRIES} entries"
                    )));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_seq(Bounded(PhantomData))
}

fn parsed(text: &str, path: &Path) -> Result<File> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        Error::failure(format!("cannot understand the COCO file: {error}"))
            .at(format!("{}:{}", path.display(), error.line().max(1)))
            .hint(r#"a JSON object is expected: {"images": [...], "annotations": [...], "categories": [...]}"#)
    })
}

type FrameKey = (u32, u32);

struct Reader<'a> {
    folder: &'a DataFolder<'a>,
    /// Each sequence in use.
    sequences: BTreeMap<u32, RawSequence>,
    boxes: BTreeMap<u32, BoxesByFrame>,
    /// Where in its sequence each frame is.
    frames: HashMap<FrameKey, usize>,
    problems: Vec<Error>,
}

/// What a file calls its images and categories.
#[derive(Default)]
struct Names {
    /// `None`: the image's sequence is not in use, or the image cannot be used.
    images: HashMap<String, Option<FrameKey>>,
    /// `None`: two have the id.
    categories: HashMap<String, Option<String>>,
}

impl<'a> Reader<'a> {
    fn of_all(folder: &'a DataFolder<'a>, files: &[PathBuf]) -> Result<Self> {
        let place = folder.root.display().to_string();
        let sequences = folder.sequences.iter().map(|&number| {
            let sequence = RawSequence { number, place: place.clone(), ..RawSequence::default() };
            (number, sequence)
        });
        let mut reader = Reader {
            folder,
            sequences: sequences.collect(),
            boxes: BTreeMap::new(),
            frames: HashMap::new(),
            problems: Vec::new(),
        };
        for file in files {
            let path = folder.root.join(file);
            reader.read(&regular_file::read_to_string(&path, LABEL_FILE_BYTES)?, &path)?;
        }
        Ok(reader)
    }

    fn read(&mut self, text: &str, path: &Path) -> Result<()> {
        let file = parsed(text, path)?;
        let place = |list: &str, index: usize| format!("{}: {list}[{index}]", path.display());
        let mut names = Names::default();
        for (index, category) in file.categories.iter().enumerate() {
            if let Err(error) = names.add_category(category) {
                self.problems.push(error.at(place("categories", index)));
            }
        }
        for (index, image) in file.images.iter().enumerate() {
            let place = place("images", index);
            if let Err(error) = self.add_image(image, &place, &mut names) {
                self.problems.push(error.at(place));
            }
        }
        for (index, annotation) in file.annotations.iter().enumerate() {
            let place = place("annotations", index);
            if let Err(error) = self.add_annotation(annotation, &place, &names) {
                self.problems.push(error.at(place));
            }
        }
        Ok(())
    }

    fn add_image(&mut self, image: &Image, place: &str, names: &mut Names) -> Result<()> {
        let id = id_of(&image.id, "id")?;
        if names.images.contains_key(&id) {
            // Annotations with this id could be of either.
            names.images.insert(id.clone(), None);
            return Err(Error::failure(format!("a second image has the id {}", shortened(&id))));
        }
        // Known even where the rest cannot be used, so that its annotations are not taken for those
        // of an unknown image.
        names.images.insert(id.clone(), None);
        let Some(name) = image.file_name.as_str() else {
            return Err(Error::failure("the image has no `file_name`"));
        };
        let relative = path_below_root(name)?;
        let (number, frame) = self.numbers(image, &relative)?;
        let Some(sequence) = self.sequences.get_mut(&number) else { return Ok(()) };
        if let Some(first) =
            self.frames.get(&(number, frame)).and_then(|&index| sequence.frames.get(index))
        {
            let what = format!(
                "sequence {number} has a second image with the frame number {frame} (the first: {})",
                first.place
            );
            return Err(Error::failure(what));
        }
        let picture = below_folder(&self.folder.frames.fill(number, frame), &relative);
        let picture_size = size_of(image)?;
        self.frames.insert((number, frame), sequence.frames.len());
        let place = place.to_string();
        sequence.frames.push(RawFrame {
            number: frame,
            place,
            picture: Some(picture),
            picture_size,
            ..RawFrame::default()
        });
        self.boxes.entry(number).or_default().annotate(frame);
        names.images.insert(id, Some((number, frame)));
        Ok(())
    }

    /// Sequence and frame number: those that the image has, or those in its name.
    fn numbers(&self, image: &Image, relative: &Path) -> Result<FrameKey> {
        let (video, frame) =
            (number_of(&image.video_id, "video_id")?, number_of(&image.frame_id, "frame_id")?);
        let pattern = self.folder.frames.ending(relative.components().count())?;
        let in_name =
            relative.to_str().and_then(|name| pattern.numbers_in(name)).unwrap_or_default();
        let sequence = video.or(in_name.sequence).or(self.folder.only_sequence());
        sequence.zip(frame.or(in_name.frame)).ok_or_else(|| {
            Error::failure(format!("the file_name `{}` does not fit `{pattern}` of the recipe", shortened(relative.display()))).hint(
                "correct the data recipe's `frames`, where {sequence} and {frame} stand for the numbers in the name, or give each \
                 image a `video_id` and a `frame_id`",
            )
        })
    }

    fn add_annotation(
        &mut self,
        annotation: &Annotation,
        place: &str,
        names: &Names,
    ) -> Result<()> {
        let image = id_of(&annotation.image_id, "image_id")?;
        let of_image = names.images.get(&image).ok_or_else(|| {
            Error::failure(format!(
                "no image has the id {} that `image_id` names",
                shortened(&image)
            ))
            .hint("list the image in the same file, or take the annotation out")
        })?;
        let Some((number, frame)) = *of_image else { return Ok(()) };
        let found = names.box_of(annotation, place).map_err(|error| error.at(place));
        if let (Ok(found), Some(&index)) = (&found, self.frames.get(&(number, frame)))
            && let Some(frame) =
                self.sequences.get_mut(&number).and_then(|sequence| sequence.frames.get_mut(index))
            && !frame.tools.contains(&found.name)
        {
            frame.tools.push(found.name.clone());
        }
        self.boxes.entry(number).or_default().add(frame, found.map(|found| vec![found]));
        Ok(())
    }

    /// Problems are told with the first sequence, in the order of the files.
    fn into_sequences(mut self) -> impl Iterator<Item = RawSequence> {
        if let Some(first) = self.sequences.values_mut().next() {
            first.problems = self.problems;
        }
        self.sequences.into_values().map(move |sequence| {
            let boxes = self.boxes.remove(&sequence.number).unwrap_or_default();
            RawSequence { boxes: Some(boxes), ..sequence }
        })
    }
}

impl Names {
    fn add_category(&mut self, category: &Category) -> Result<()> {
        let id = id_of(&category.id, "id")?;
        let name =
            category.name.as_str().ok_or_else(|| Error::failure("the category has no `name`"))?;
        match self.categories.entry(id) {
            Entry::Occupied(mut twice) => {
                // Annotations with this id could be of either.
                twice.insert(None);
                let id = shortened(twice.key());
                return Err(Error::failure(format!("a second category has the id {id}")));
            }
            Entry::Vacant(first) => first.insert(Some(normalized(name))),
        };
        Ok(())
    }

    fn box_of(&self, annotation: &Annotation, place: &str) -> Result<RawBox> {
        let id = id_of(&annotation.category_id, "category_id")?;
        let name = self.categories.get(&id).and_then(Option::as_ref).ok_or_else(|| {
            Error::failure(format!(
                "no category has the id {} that `category_id` names",
                shortened(&id)
            ))
            .hint("list the category in the same file, or correct the annotation")
        })?;
        Ok(RawBox {
            name: name.clone(),
            bounds: bounds_of(&annotation.bbox)?,
            place: place.to_string(),
        })
    }
}

/// Numbers and texts both serve as ids.
pub(in crate::dataset) fn id_of(value: &Value, key: &str) -> Result<String> {
    match value {
        // Some tools write whole numbers as 3.0.
        Value::Number(number) => Ok(number
            .as_f64()
            .filter(|value| value.fract() == 0.0 && value.abs() < 9e15)
            .map_or_else(|| number.to_string(), |value| (value as i64).to_string())),
        Value::String(text) => Ok(text.clone()),
        _ => Err(Error::failure(format!("`{key}` is missing, or neither a number nor a text"))),
    }
}

/// `3`, or the digits at the end of `"video03"`; `None`: it is not given.
fn number_of(value: &Value, key: &str) -> Result<Option<u32>> {
    let number = match value {
        Value::Null => return Ok(None),
        // Some tools write whole numbers as 3.0.
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && NUMBERS.contains(number))
            .map(|number| number as u32),
        Value::String(text) => number_at_end(text),
        _ => None,
    };
    number.map(Some).ok_or_else(|| {
        Error::failure(format!("`{key}` is {}, which cannot be used as a number", shortened(value)))
    })
}

/// `None`: the image does not say both, or says 0.
fn size_of(image: &Image) -> Result<Option<[u32; 2]>> {
    let size = number_of(&image.width, "width")?.zip(number_of(&image.height, "height")?);
    Ok(size.map(|(width, height)| [width, height]).filter(|size| !size.contains(&0)))
}

/// `file_name` has the last parts of the picture's path; the pattern, filled in, has those before
/// them.
fn below_folder(filled: &str, relative: &Path) -> PathBuf {
    let filled = Path::new(filled);
    let before = filled.components().count().saturating_sub(relative.components().count());
    filled.components().take(before).chain(relative.components()).collect()
}

/// `[x, y, width, height]`, rounded outwards.
pub(in crate::dataset) fn bounds_of(bbox: &Value) -> Result<Box2> {
    let numbers: Option<Vec<f64>> =
        bbox.as_array().filter(|list| list.len() == 4).and_then(|list| {
            let numbers = list
                .iter()
                .map(|number| number.as_f64().filter(|number| number.abs() <= LARGEST_COORDINATE));
            numbers.collect()
        });
    match numbers.as_deref() {
        Some(&[x, y, width, height]) if width >= 0.0 && height >= 0.0 => {
            let (first, second) = ([x, y].map(rounded_down), [x + width, y + height].map(rounded_up));
            Ok(Box2::from([first[0], first[1], second[0], second[1]]))
        }
        _ => Err(Error::failure(format!("`bbox` is {}", shortened(bbox)))
            .hint("four numbers of pixels are expected: [x, y, width, height], neither of the last two below 0")),
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
    use serde_json::json;

    #[test]
    fn a_box_is_rounded_outwards() {
        let bounds = |bbox: Value| bounds_of(&bbox).map(<[i64; 4]>::from).ok();
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
    fn a_file_name_may_repeat_the_folders_of_the_pattern() {
        for name in ["v1_2.jpg", "images/v1_2.jpg", "a/images/v1_2.jpg"] {
            let expected = if name.starts_with('a') { name } else { "images/v1_2.jpg" };
            assert_eq!(below_folder("images/v01_02.jpg", Path::new(name)), Path::new(expected));
        }
    }

    #[test]
    fn ids_and_numbers_may_be_texts() {
        assert_eq!(
            (id_of(&json!(7), "id").unwrap(), id_of(&json!("a"), "id").unwrap()),
            ("7".to_string(), "a".to_string())
        );
        assert_eq!(number_of(&json!("video03"), "video_id").unwrap(), Some(3));
        assert_eq!(number_of(&Value::Null, "video_id").unwrap(), None);
        for bad in [json!(-1), json!(1.5), json!([]), json!("x"), json!(99999999999u64)] {
            assert!(number_of(&bad, "video_id").is_err(), "{bad}");
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
            let _ = bounds_of(&json!(numbers));
        }
    }
}
