//! PASCAL VOC: a folder with one XML file for each picture, and in it an `<object>` for each
//! instrument.
//!
//! * The recipe's `labels` is the pattern of the files, such as
//!   `Annotations/v{sequence:02}_{frame:06}.xml`. A file's name says which sequence and frame it
//!   belongs to. `frames` says where the picture lies. `<filename>` and `<folder>` are not read,
//!   because they often have a path of the machine where people labelled. If `frame_step` is 25,
//!   the file with the number 75 belongs to picture 3.
//! * A box is `<bndbox>` with `<xmin>`, `<ymin>`, `<xmax>` and `<ymax>`. These numbers are taken as
//!   they are. The first VOC sets counted pixels from 1, but many tools count from 0, and the boxes
//!   of real files (m2cai16) are the same as in Cholec80's form only if nothing is subtracted. A
//!   box ends at the last pixel of its picture, whose number is the side less 1. This, too, is as
//!   in Cholec80's form of those files.
//! * If `<size>` says another size than the picture has, the frame cannot be used.
//! * If a sequence is both in `train` and in `validation` of the recipe, its frames are split by
//!   `ImageSets/Main/train.txt` and `val.txt` beside the folder, if at least one of them is there.
//!   A frame in neither file is left out. For other sequences the recipe decides and the image sets
//!   are not read, because they often split neighbouring frames. `trainval.txt` is never read.
//!
//! With these files every frame is annotated: one without an object shows no instrument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use roxmltree::Node;

use super::frame_files::{FrameFile, FrameFiles};
use crate::dataset::boxes::{BoxEnds, BoxesByFrame, RawBox};
use crate::dataset::fields::coordinate;
use crate::dataset::folder::{DataFolder, is_there};
use crate::dataset::label_file::{LABEL_FILE_BYTES, Lines, XML_FILE_BYTES, expect_few_lines};
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences, Split};
use crate::dataset::xml_file;
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

/// The files that split the frames. They lie beside the folder of XML files.
const IMAGE_SETS: [(&str, Split); 2] =
    [("ImageSets/Main/train.txt", Split::Train), ("ImageSets/Main/val.txt", Split::Validation)];

pub struct Voc;

impl Adapter for Voc {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        let mut files = FrameFiles::of(folder, "")?;
        let mut sets = ImageSets::of(folder, &files)?;
        // Problems are told with the first sequence.
        let mut problems = std::mem::take(&mut files.problems);
        problems.append(&mut sets.problems);
        Ok(Box::new(files.by_sequence.into_iter().map(
            move |(number, files)| -> Result<RawSequence> {
                let sets = folder.undecided.contains(&number).then_some(&sets);
                let mut sequence = read_sequence(folder, number, files.into_values(), sets);
                sequence.problems.append(&mut problems);
                Ok(sequence)
            },
        )))
    }

    fn label_files(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let files = FrameFiles::of(folder, "")?;
        let sets = ImageSets::paths(folder, &files).into_keys();
        Ok(files.paths().map(Path::to_path_buf).chain(sets).collect())
    }
}

fn read_sequence(
    folder: &DataFolder,
    number: u32,
    files: impl Iterator<Item = FrameFile>,
    sets: Option<&ImageSets>,
) -> RawSequence {
    let place = folder.root.display().to_string();
    let mut sequence =
        RawSequence { number, place, box_ends: BoxEnds::LastPixel, ..RawSequence::default() };
    let mut boxes = BoxesByFrame::default();
    for file in files {
        let split = match sets.map(|sets| sets.split(&file)) {
            None => None,
            Some(InSets::Split(split)) => split,
            Some(InSets::LeftOut) => continue,
        };
        let path = folder.root.join(&file.path);
        let mut frame = RawFrame {
            number: file.frame,
            place: path.display().to_string(),
            split,
            ..RawFrame::default()
        };
        let found = read_file(&path).map_err(|error| error.at_path(&path)).map(|labels| {
            frame.picture_size = labels.picture_size;
            frame.tools = labels.boxes.iter().map(|found| found.name.clone()).collect();
            labels.boxes
        });
        boxes.annotate(file.frame);
        boxes.add(file.frame, found);
        sequence.frames.push(frame);
    }
    sequence.boxes = Some(boxes);
    sequence
}

/// What an XML file says.
#[derive(Debug, Default)]
struct Labels {
    boxes: Vec<RawBox>,
    picture_size: Option<[u32; 2]>,
}

fn read_file(path: &Path) -> Result<Labels> {
    labels_in(&regular_file::read_to_string(path, XML_FILE_BYTES)?, path)
}

fn labels_in(text: &str, path: &Path) -> Result<Labels> {
    let document = xml_file::parsed(text, path)?;
    let root = document.root_element();
    let mut lines = Lines::of(text);
    let mut place_of = |node: Node| format!("{}:{}", path.display(), lines.at(node.range().start));
    if !root.has_tag_name("annotation") {
        let tag = shortened(root.tag_name().name());
        return Err(Error::failure(format!(
            "the root element is <annotation> in VOC, but here it is <{tag}>"
        ))
        .at(place_of(root)));
    }
    let mut labels = Labels::default();
    for node in root.children() {
        let place = place_of(node);
        if node.has_tag_name("object") {
            labels.boxes.push(box_of_object(node, &place).map_err(|error| error.at(&place))?);
        } else if node.has_tag_name("size") {
            labels.picture_size = picture_size(node).map_err(|error| error.at(&place))?;
        }
    }
    Ok(labels)
}

fn box_of_object(object: Node, place: &str) -> Result<RawBox> {
    let name = normalized(child_text(object, "name")?);
    let bounds = object.children().find(|node| node.has_tag_name("bndbox"));
    let bounds = bounds.ok_or_else(|| {
        Error::failure(format!("the object `{}` has no <bndbox>", shortened(&name)))
    })?;
    let mut corners = [0; 4];
    for (corner, tag) in corners.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
        *corner = coordinate(child_text(bounds, tag)?)?;
    }
    Ok(RawBox { name, bounds: Box2::from(corners), place: place.to_string() })
}

/// `[width, height]` in pixels. `None`: it is not given, or it is 0, as some tools write.
fn picture_size(size: Node) -> Result<Option<[u32; 2]>> {
    let mut sides = [0u32; 2];
    for (side, tag) in sides.iter_mut().zip(["width", "height"]) {
        let Ok(text) = child_text(size, tag) else { return Ok(None) };
        *side = text.parse().map_err(|_| {
            Error::failure(format!("`{}` cannot be the {tag} of a picture", shortened(text)))
        })?;
    }
    Ok((!sides.contains(&0)).then_some(sides))
}

fn child_text<'a>(parent: Node<'a, '_>, tag: &str) -> Result<&'a str> {
    let node = parent.children().find(|node| node.has_tag_name(tag));
    let text = node.and_then(|node| node.text()).map(str::trim).filter(|text| !text.is_empty());
    text.ok_or_else(|| {
        Error::failure(format!("<{}> has no <{tag}>", shortened(parent.tag_name().name())))
    })
}

/// The split of each frame, as the data set's own files say.
#[derive(Debug, Default)]
struct ImageSets {
    /// The folders in which there are such files. In other folders the recipe decides.
    places: BTreeSet<PathBuf>,
    /// The split of a frame and the place that says so, by the folder above that of its XML file
    /// and by its name.
    splits: HashMap<(PathBuf, String), (Split, String)>,
    problems: Vec<Error>,
}

enum InSets {
    /// `None`: the recipe decides.
    Split(Option<Split>),
    LeftOut,
}

impl ImageSets {
    fn of(folder: &DataFolder, files: &FrameFiles) -> Result<Self> {
        let mut sets = ImageSets::default();
        for (path, split) in ImageSets::paths(folder, files) {
            // Its own name, `Main` and `ImageSets` are below the folder.
            let beside = path.ancestors().nth(3).unwrap_or(Path::new("")).to_path_buf();
            sets.places.insert(beside.clone());
            let path = folder.root.join(path);
            let text = regular_file::read_to_string(&path, LABEL_FILE_BYTES)?;
            expect_few_lines(&text, &path)?;
            for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
                let Some(name) = line.split_whitespace().next() else { continue };
                let place = format!("{}:{}", path.display(), index + 1);
                if let Err(error) = sets.add((&beside, name), split, &place, files) {
                    sets.problems.push(error.at(place));
                }
            }
        }
        Ok(sets)
    }

    /// The files that are there and are read, below the root. Neighbouring folders of XML files
    /// share them.
    fn paths(folder: &DataFolder, files: &FrameFiles) -> BTreeMap<PathBuf, Split> {
        let undecided = folder.undecided.iter().filter_map(|number| files.by_sequence.get(number));
        let folders: BTreeSet<&Path> =
            undecided.flat_map(BTreeMap::values).map(|file| beside(&file.path)).collect();
        let paths = folders
            .into_iter()
            .flat_map(|parent| IMAGE_SETS.map(|(name, split)| (parent.join(name), split)));
        paths.filter(|(path, _)| is_there(&folder.root.join(path))).collect()
    }

    fn add(
        &mut self,
        (beside, name): (&Path, &str),
        split: Split,
        place: &str,
        files: &FrameFiles,
    ) -> Result<()> {
        if !files.names.contains(name) {
            return Err(Error::failure(format!("`{}` has no XML file", shortened(name)))
                .hint("an image set has the names of XML files without their ending, one a line"));
        }
        let key = (beside.to_path_buf(), name.to_string());
        match self.splits.get(&key) {
            Some((first, there)) if *first != split => {
                let what = format!(
                    "`{}` is for training and for validation (the other line: {there})",
                    shortened(name)
                );
                Err(Error::failure(what).hint("leave it in one of the two files"))
            }
            Some(_) => Ok(()),
            None => {
                self.splits.insert(key, (split, place.to_string()));
                Ok(())
            }
        }
    }

    fn split(&self, file: &FrameFile) -> InSets {
        let beside = beside(&file.path);
        if !self.places.contains(beside) {
            return InSets::Split(None);
        }
        match self.splits.get(&(beside.to_path_buf(), file.name.clone())) {
            Some((split, _)) => InSets::Split(Some(*split)),
            None => InSets::LeftOut,
        }
    }
}

/// The folder that has both the folder of an XML file and `ImageSets`.
fn beside(file: &Path) -> &Path {
    file.ancestors().nth(2).unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OBJECT: &str = "<object><name>Specimen Bag</name><part><name>tip</name></part>\n\
                          <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.9</xmax><ymax>4</ymax>\
                          </bndbox></object>";

    fn labels(inside: &str) -> Result<Labels> {
        labels_in(&format!("<annotation>\n{inside}\n</annotation>"), Path::new("f.xml"))
    }

    #[test]
    fn objects_and_the_size_are_read() {
        let labels =
            labels(&format!("<size><width>80</width><height>64</height></size>\n{OBJECT}"))
                .unwrap();
        assert_eq!(labels.picture_size, Some([80, 64]));
        let [found] = &labels.boxes[..] else { panic!("{labels:?}") };
        assert_eq!(
            (found.name.as_str(), found.bounds, found.place.as_str()),
            ("specimen_bag", Box2::from([1, 2, 3, 4]), "f.xml:3")
        );
        assert_eq!(
            self::labels("<size><width>0</width><height>0</height></size>").unwrap().picture_size,
            None
        );
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (inside, said) in [
            ("\n<object><bndbox/></object>".to_string(), "f.xml:3: <object> has no <name>"),
            (
                "<object><name>hook</name></object>".to_string(),
                "f.xml:2: the object `hook` has no <bndbox>",
            ),
            (OBJECT.replace("<ymax>4</ymax>", ""), "f.xml:2: <bndbox> has no <ymax>"),
            (OBJECT.replace("3.9", "x"), "f.xml:2: `x` is not a coordinate"),
            (
                "<size><width>-1</width><height>2</height></size>".to_string(),
                "f.xml:2: `-1` cannot be the width of a picture",
            ),
            ("\n<object>".to_string(), "f.xml:4: cannot understand the XML"),
        ] {
            let error = labels(&inside).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let error = labels_in("\n<html/>", Path::new("f.xml")).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "f.xml:2: the root element is <annotation> in VOC, but here it is <html>"
            ),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            text in "(\\PC|\n|<object>|</object>|<name>|<bndbox>|<size>){0,40}",
        ) {
            let _ = labels(&text);
            let _ = labels_in(&text, Path::new("x"));
        }
    }
}
