//! Assigns the images of COCO files to sequences and frames, and the annotations to their images.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::file::{Annotation, Category, Image, bounds_of, id_of, number_of, parsed};
use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::fields::path_below_root;
use crate::dataset::folder::DataFolder;
use crate::dataset::label_file::{LABEL_FILE_BYTES, expect_short_name};
use crate::dataset::labels::normalized;
use crate::dataset::raw::{RawFrame, RawSequence};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

/// The numbers of a sequence and a frame.
type FrameKey = (u32, u32);

pub(super) struct Reader<'a> {
    folder: &'a DataFolder<'a>,
    /// Each sequence in use.
    sequences: BTreeMap<u32, RawSequence>,
    boxes: BTreeMap<u32, BoxesByFrame>,
    /// The index of each frame in its sequence's list.
    frames: HashMap<FrameKey, usize>,
    /// The path of each picture below the root, with the place of its image.
    pictures: HashMap<PathBuf, String>,
    /// The names that are in the list of a frame's tools.
    marked: HashSet<(FrameKey, String)>,
    problems: Vec<Error>,
}

/// The images and categories of one file, by their ids.
#[derive(Default)]
struct Names {
    /// `None`: the sequence of the image is not in use, or the image cannot be used.
    images: HashMap<String, Option<FrameKey>>,
    /// The name of each category. `None`: two categories have the id.
    categories: HashMap<String, Option<String>>,
}

impl<'a> Reader<'a> {
    /// Reads all files, whose paths are below the root. A file that is not COCO is an error.
    pub fn of_all(folder: &'a DataFolder<'a>, files: &[PathBuf]) -> Result<Self> {
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
            pictures: HashMap::new(),
            marked: HashSet::new(),
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
        // The id is known even if the rest of the image cannot be used, so that its annotations are
        // not taken for those of an unknown image.
        if let Some(known) = names.images.insert(id.clone(), None) {
            if let Some(first) = known {
                self.refuse_frame(first, place);
            }
            return Err(Error::failure(format!("a second image has the id {}", shortened(&id))));
        }
        let Some(name) = image.file_name.text() else {
            return Err(Error::failure("the image has no `file_name`"));
        };
        let relative = path_below_root(name)?;
        let (number, frame) = self.numbers(image, &relative)?;
        let Some(sequence) = self.sequences.get_mut(&number) else { return Ok(()) };
        if let Some(first) =
            self.frames.get(&(number, frame)).and_then(|&index| sequence.frames.get(index))
        {
            return Err(Error::failure(format!(
                "sequence {number} has a second image with the frame number {frame} (the first: \
                 {})",
                first.place
            )));
        }
        let picture = below_folder(&self.folder.frames.fill(number, frame), &relative);
        let picture_size = image.size()?;
        if let Some(first) = self.pictures.get(&picture) {
            return Err(Error::failure(format!(
                "the picture {} is listed twice (first at {first})",
                picture.display()
            )));
        }
        self.pictures.insert(picture.clone(), place.to_string());
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

    /// Says that a frame cannot be used because a second image, at `second`, has the id of its own.
    /// Their annotations cannot be told apart, and without them the frame would claim that it shows
    /// no instrument.
    fn refuse_frame(&mut self, (number, frame): FrameKey, second: &str) {
        let first = self
            .frames
            .get(&(number, frame))
            .and_then(|&index| self.sequences.get(&number)?.frames.get(index));
        let Some(first) = first else { return };
        let error = Error::failure(format!("the image has the same id as {second}"))
            .at(&first.place)
            .hint("give each image of a file an id of its own");
        self.boxes.entry(number).or_default().add(frame, Err(error));
    }

    /// The numbers of sequence and frame: those that the image says, or those in its name.
    fn numbers(&self, image: &Image, relative: &Path) -> Result<FrameKey> {
        let (video, frame) =
            (number_of(&image.video_id, "video_id")?, number_of(&image.frame_id, "frame_id")?);
        let pattern = self.folder.frames.ending(relative.components().count())?;
        let in_name =
            relative.to_str().and_then(|name| pattern.numbers_in(name)).unwrap_or_default();
        let sequence = video.or(in_name.sequence).or(self.folder.only_sequence());
        sequence.zip(frame.or(in_name.frame)).ok_or_else(|| {
            Error::failure(format!(
                "the file_name `{}` does not fit `{pattern}` of the recipe",
                shortened(relative.display())
            ))
            .hint(
                "correct the data recipe's `frames`, where {sequence} and {frame} stand for the \
                 numbers in the name, or give each image a `video_id` and a `frame_id`",
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
            && self.marked.insert(((number, frame), found.name.clone()))
            && let Some(frame) =
                self.sequences.get_mut(&number).and_then(|sequence| sequence.frames.get_mut(index))
        {
            frame.tools.push(found.name.clone());
        }
        self.boxes.entry(number).or_default().add(frame, found.map(|found| vec![found]));
        Ok(())
    }

    /// The sequences in rising order. The first one has all problems, in the order of the files.
    pub fn into_sequences(mut self) -> impl Iterator<Item = RawSequence> {
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
            category.name.text().ok_or_else(|| Error::failure("the category has no `name`"))?;
        expect_short_name(name)?;
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

/// The path of a picture below the root. Its last parts are those of `file_name`, and the parts
/// before them are those of the pattern that was filled in.
fn below_folder(filled: &str, relative: &Path) -> PathBuf {
    let filled = Path::new(filled);
    let before = filled.components().count().saturating_sub(relative.components().count());
    filled.components().take(before).chain(relative.components()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_may_repeat_the_folders_of_the_pattern() {
        for name in ["v1_2.jpg", "images/v1_2.jpg", "a/images/v1_2.jpg"] {
            let expected = if name.starts_with('a') { name } else { "images/v1_2.jpg" };
            assert_eq!(below_folder("images/v01_02.jpg", Path::new(name)), Path::new(expected));
        }
    }
}
