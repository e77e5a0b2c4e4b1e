//! A data recipe for a folder that has none: its layout, patterns, classes and split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use surgcam_values::ClassName;

use super::listing::Listing;
use super::recognise::{Candidate, recognise};
use super::split::{SequenceContent, Split, split};
use crate::dataset::adapters::Layout;
use crate::dataset::label_file::LONGEST_NAME;
use crate::dataset::labels::{ClassMap, LabelSpace, normalized};
use crate::dataset::source::SourceLayout;
use surgcam_engine::error::{Error, Result};

/// What the paper calls the background, and the last class of every label space.
const TISSUE: &str = "tissue";
/// A file with more names than this does not list classes. A label space cannot have more.
const MOST_CLASSES: usize = 500;
/// The file beside VOC's folder of XML files that shows that the set has a split of its own.
const IMAGE_SET: &str = "ImageSets/Main/val.txt";

pub struct Proposal {
    pub source: SourceLayout,
    /// The label space of the classes that were found, and the names that the files have for them.
    pub classes: ClassMap,
    /// What a user of the recipe should know.
    pub notes: Vec<String>,
}

/// Looks through a folder. `wanted` chooses among several layouts that it has.
pub fn propose(root: &Path, wanted: Option<Layout>) -> Result<Proposal> {
    let listing = Listing::of(root)?;
    let recognition = recognise(root, &listing);
    let mut notes = recognition.notes;
    let mut candidates = recognition.candidates;
    let others: Vec<Layout> = candidates.iter().map(|candidate| candidate.source.layout).collect();
    if let Some(wanted) = wanted {
        candidates.retain(|candidate| candidate.source.layout == wanted);
    }
    let Some(candidate) = candidates.into_iter().next() else {
        return Err(unrecognised(root, &listing, &others, wanted, &notes));
    };
    let others: Vec<String> = others
        .iter()
        .filter(|layout| **layout != candidate.source.layout)
        .map(|layout| format!("`{}`", layout_name(*layout)))
        .collect();
    if !others.is_empty() {
        notes.push(format!(
            "labels in another form are there, too: {} (choose with --layout)",
            others.join(", ")
        ));
    }
    Ok(finished(root, &listing, candidate, notes))
}

/// What recipes call a layout.
pub fn layout_name(layout: Layout) -> String {
    serde_json::to_string(&layout).unwrap_or_default().replace('"', "")
}

fn unrecognised(
    root: &Path,
    listing: &Listing,
    others: &[Layout],
    wanted: Option<Layout>,
    notes: &[String],
) -> Error {
    let what = match (wanted, others) {
        (Some(wanted), []) => {
            format!(
                "no labels in the layout `{}` were found, nor in another one",
                layout_name(wanted)
            )
        }
        (Some(wanted), _) => {
            let names: Vec<String> = others.iter().map(|layout| layout_name(*layout)).collect();
            format!(
                "no labels in the layout `{}` were found; there are labels in the layout {}",
                layout_name(wanted),
                names.join(", ")
            )
        }
        (None, _) => {
            format!("no labels in a known layout were found among {} files", listing.files.len())
        }
    };
    let what = if notes.is_empty() { what } else { format!("{what}; {}", notes.join("; ")) };
    Error::usage(what).at_path(root).hint(
        "known are EndoVis18, Cholec80, CholecT50, PASCAL VOC, COCO, YOLO and a CSV table with the \
         columns path and group (docs/recipes.md); the numbers of sequence and frame stand in the \
         names of the files",
    )
}

fn finished(
    root: &Path,
    listing: &Listing,
    candidate: Candidate,
    mut notes: Vec<String>,
) -> Proposal {
    let Candidate { mut source, names: known_names, own_split, notes: more } = candidate;
    notes.extend(more);
    let (contents, found) = contents(&source, root);
    let classes = class_map(&found, &known_names, &mut notes);
    let Split { train, validation } = match own_split {
        Some([train, validation]) if !train.is_empty() || !validation.is_empty() => {
            notes.push("the split is that of the labels' own column `split`".to_string());
            Split {
                train: train.into_iter().collect(),
                validation: validation.into_iter().collect(),
            }
        }
        _ => with_unread(split(&contents), &source, &contents),
    };
    source.train = train;
    source.validation = validation;
    if source.validation.is_empty() {
        let has_image_sets = source.layout == Layout::Voc
            && listing.files.iter().any(|file| file.ends_with(IMAGE_SET));
        if has_image_sets {
            source.validation = source.train.clone();
            notes.push(format!(
                "the files' names tell no sequences apart, so {IMAGE_SET} splits the frames; if \
                 neighbouring frames are in both parts, the scores are too good"
            ));
        } else {
            notes.push(
                "there is no sequence to validate on, and nothing can be trained until \
                 `validation` of the recipe has one"
                    .to_string(),
            );
        }
    }
    Proposal { source, classes, notes }
}

/// Sequences without a readable frame stay in the recipe, so that the check reports what is wrong
/// with them.
fn with_unread(
    split: Split,
    source: &SourceLayout,
    contents: &BTreeMap<u32, SequenceContent>,
) -> Split {
    let unread = source.train.iter().copied().filter(|number| !contents.contains_key(number));
    let train: BTreeSet<u32> = split.train.into_iter().chain(unread).collect();
    Split { train: train.into_iter().collect(), validation: split.validation }
}

/// The contents of each sequence, and all names of classes, as the reader of the layout finds them.
fn contents(
    source: &SourceLayout,
    root: &Path,
) -> (BTreeMap<u32, SequenceContent>, BTreeSet<String>) {
    let (mut contents, mut found) = (BTreeMap::new(), BTreeSet::new());
    let folder = source.folder(root);
    // The check reports what cannot be read.
    let Ok(sequences) = source.layout.adapter().sequences(&folder) else {
        return (contents, found);
    };
    for mut sequence in sequences.flatten() {
        let mut content = SequenceContent { frames: sequence.frames.len(), ..Default::default() };
        let mut boxes = sequence.boxes.take();
        for frame in &sequence.frames {
            content.names.extend(frame.tools.iter().map(|name| normalized(name)));
            let of_frame = boxes.as_mut().and_then(|boxes| boxes.take(frame.number));
            let of_frame = of_frame.and_then(Result::ok).unwrap_or_default();
            content.names.extend(of_frame.iter().map(|found| normalized(&found.name)));
        }
        found.extend(content.names.iter().cloned());
        found.extend(sequence.annotated.iter().map(|name| normalized(name)));
        if content.frames > 0 {
            contents.insert(sequence.number, content);
        }
    }
    (contents, found)
}

/// A class for each name, and the tissue as the last one.
fn class_map(
    found: &BTreeSet<String>,
    known_names: &BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> ClassMap {
    let mut names = BTreeMap::new();
    // The check reports a longer one, which is no name, with its place.
    let short = found.iter().filter(|name| name.len() <= LONGEST_NAME);
    for name in short.take(MOST_CLASSES) {
        let shown = known_names.get(name).map_or(name.as_str(), String::as_str);
        names.insert(name.clone(), class_name(shown));
    }
    if found.len() > MOST_CLASSES {
        notes.push(format!("only the first {MOST_CLASSES} of {} classes were taken", found.len()));
    }
    if found.is_empty() {
        notes.push("no class was found".to_string());
    }
    // Two classes whose names differ only in capitals or underscores would be taken for one.
    let mut classes: Vec<String> = Vec::new();
    for class in names.values() {
        let is_known = classes.iter().any(|known| normalized(known) == normalized(class));
        if !is_known && class != TISSUE {
            classes.push(class.clone());
        }
    }
    classes.push(TISSUE.to_string());
    for class in names.values_mut() {
        if let Some(known) = classes.iter().find(|known| normalized(known) == normalized(class)) {
            *class = known.clone();
        }
    }
    ClassMap { space: LabelSpace { classes }, names }
}

/// A name as people write it, with nothing in it that the name of a class cannot have.
fn class_name(name: &str) -> String {
    let plain = name.to_lowercase().replace('_', " ");
    if !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("class {plain}");
    }
    if ClassName::try_from(plain.clone()).is_ok() {
        return plain;
    }
    let kept: String = plain
        .chars()
        .map(|letter| if letter.is_alphanumeric() { letter } else { ' ' })
        .take(20)
        .collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    format!("class {}", words.join(" ")).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_classes_that_a_label_space_can_have() {
        for (name, expected) in [
            ("specimen_bag", "specimen bag"),
            ("Grasper", "grasper"),
            ("7", "class 7"),
            ("a/b", "class a b"),
            ("?", "class"),
            ("", "class"),
        ] {
            assert_eq!(class_name(name), expected, "{name:?}");
            assert!(ClassName::try_from(class_name(name)).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn the_tissue_is_the_last_class_and_there_once() {
        let found = ["tissue", "hook", "clip_applier"].map(String::from).into();
        let map = class_map(&found, &BTreeMap::new(), &mut Vec::new());
        assert_eq!(map.space.classes, ["clip applier", "hook", "tissue"]);
        assert_eq!(map.class("Clip Applier").unwrap(), Some(0));
    }
}
