//! Interactions and phases of CholecT50's JSON files.
//!
//! A recipe maps each verb of the files to an interaction. The numbers of the frames are those of
//! the pictures, whatever layout the labels have: the same files serve the videos of Cholec80 and
//! m2cai16.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{FrameNumber, LabelledInteraction, labelled};
use crate::dataset::cholect50_file::{self, Instance};
use crate::dataset::label_file::LABEL_FILE_BYTES;
use crate::dataset::labels::{ClassMap, normalized};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::regular_file;
use surgcam_engine::suggestion::did_you_mean;

/// What a file says of frames that are in the index.
#[derive(Default)]
pub struct Annotations {
    /// A frame in which no instrument has a verb is not annotated.
    pub interactions: BTreeMap<FrameNumber, Vec<LabelledInteraction>>,
    pub phases: BTreeMap<FrameNumber, String>,
}

/// How the names in a file are translated.
pub struct Translation<'a> {
    pub classes: &'a ClassMap,
    /// The interaction that each verb stands for.
    pub verbs: &'a BTreeMap<String, String>,
}

/// Reads the file of a sequence. What cannot be used is added to `problems`.
pub fn read(
    path: &Path,
    sequence: u32,
    translation: &Translation,
    wanted: &BTreeSet<FrameNumber>,
    problems: &mut Vec<Error>,
) -> Result<Annotations> {
    let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
    let mut annotations = Annotations::default();
    let mut places: BTreeMap<FrameNumber, String> = BTreeMap::new();
    for frame in cholect50_file::parsed(&text, path)?.frames {
        let number = frame.number.map(|frame| FrameNumber { sequence, frame });
        let Some(number) = number.filter(|number| wanted.contains(number)) else { continue };
        if let Some(first) = places.get(&number) {
            let what = format!("the frame is annotated twice (first at {first})");
            problems.push(Error::failure(what).at(&frame.place));
            continue;
        }
        places.insert(number, frame.place);
        match frame.labels {
            Ok(labels) => {
                annotations.phases.extend(labels.phase.map(|phase| (number, phase)));
                let found = translation.interactions(&labels.instances, problems);
                annotations.interactions.extend(found.map(|found| (number, found)));
            }
            Err(error) => problems.push(error),
        }
    }
    Ok(annotations)
}

impl Translation<'_> {
    /// `None`: no instrument has a verb.
    fn interactions(
        &self,
        instances: &[Instance],
        problems: &mut Vec<Error>,
    ) -> Option<Vec<LabelledInteraction>> {
        let mut interactions = None;
        for instance in instances {
            let Some(verb) = &instance.verb else { continue };
            let found = interactions.get_or_insert_with(Vec::new);
            match self.interaction(instance, verb) {
                Ok(of_instance) => found.extend(of_instance),
                Err(error) => problems.push(error.at(&instance.place)),
            }
        }
        interactions
    }

    fn interaction(&self, instance: &Instance, verb: &str) -> Result<Option<LabelledInteraction>> {
        let interaction = self.verbs.get(&normalized(verb)).ok_or_else(|| {
            let suggestion = did_you_mean(verb, self.verbs.keys().map(String::as_str));
            Error::failure(format!("`{verb}` is not a verb that the recipe maps{suggestion}")).hint(
                "add it to the `verbs` table of the data recipe with its interaction, as in \
                 dissect = \"Tissue_Manipulation\"",
            )
        })?;
        labelled(&instance.instrument, interaction, self.classes)
    }
}
