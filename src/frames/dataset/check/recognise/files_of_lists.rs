//! Layouts with one file for many frames: COCO, and the plain table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Candidate, Folder, exact, has_columns};
use crate::dataset::adapters::Layout;
use crate::dataset::adapters::coco::{Image, number_of};
use crate::dataset::check::numbered::{ONLY_SEQUENCE, groups};
use crate::dataset::delimited::{self, Delimiter, Header};
use crate::dataset::fields::{number_at_end, path_below_root};
use crate::dataset::json_values::{JsonValue, MAXIMUM_ENTRIES, bounded_list};
use crate::dataset::label_file::LABEL_FILE_BYTES;
use crate::dataset::pattern::Pattern;
use crate::dataset::source::SourceLayout;
use surgcam_engine::regular_file;

/// How many JSON files are read to find those of COCO, and how many with names that are alike.
const MOST_PROBED: usize = 50;
const MOST_ALIKE: usize = 5;
/// How many pictures of a list are looked for to find the folder that their paths count from.
const SOUGHT: usize = 20;

#[derive(Deserialize)]
struct CocoFile {
    #[serde(deserialize_with = "bounded_list")]
    images: Vec<Image>,
    #[serde(rename = "annotations")]
    _annotations: IgnoredAny,
    #[serde(rename = "categories")]
    _categories: IgnoredAny,
}

/// Where the pictures of a list lie, and its sequences.
struct Listed {
    frames: Pattern,
    sequences: BTreeSet<u32>,
    notes: Vec<String>,
}

impl Folder<'_> {
    pub(super) fn coco(&self) -> Option<Candidate> {
        let (mut labels, mut images, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for file in self.json_files() {
            if images.len() >= MAXIMUM_ENTRIES {
                notes.push(format!("{file} was not looked at: there are many images before it"));
                break;
            }
            let path = self.root.join(&file);
            let Ok(text) = regular_file::read_to_string(&path, LABEL_FILE_BYTES) else { continue };
            let text = text.trim_start_matches('\u{feff}');
            let Ok(mut found) = serde_json::from_str::<CocoFile>(text) else { continue };
            let Some(pattern) = exact(&file) else { continue };
            labels.push(pattern);
            images.append(&mut found.images);
        }
        if labels.is_empty() {
            return None;
        }
        let mut listed = self.images_of_coco(&images)?;
        listed.notes.append(&mut notes);
        Some(self.of_list(Layout::Coco, listed, labels))
    }

    /// Files whose names are not numbered come first, because there may be many files of single
    /// frames. Otherwise they are sorted.
    fn json_files(&self) -> Vec<String> {
        let groups = self.groups_with_ending(&["json"]).into_iter().rev();
        let some = groups.flat_map(|group| group.examples.into_iter().take(MOST_ALIKE));
        let mut files: Vec<String> = some.take(MOST_PROBED).collect();
        files.sort_unstable();
        files
    }

    fn images_of_coco(&self, images: &[Image]) -> Option<Listed> {
        let names = || {
            let names = images.iter().filter_map(|image| image.file_name.text());
            // The reader refuses the others, which may lead out of the folder.
            names.filter(|name| path_below_root(name).is_ok())
        };
        let folder = self.folder_before(names());
        let of_names = groups(names()).into_iter().next().and_then(|group| group.of_frames());
        let videos: Option<BTreeSet<u32>> = images
            .iter()
            .map(|image| {
                let video = number_of(&image.video_id, "video_id").ok().flatten();
                video.filter(|_| image.frame_id != JsonValue::Absent)
            })
            .collect();
        let mut notes = Vec::new();
        if folder.is_none() {
            notes.push("none of the pictures that the JSON files name was found".to_string());
        }
        let folder = folder.unwrap_or_default();
        // The reader takes the numbers that the images have before those in their names.
        let (pattern, sequences) = match (videos, of_names) {
            (Some(videos), _) if !videos.is_empty() => {
                let depth = names().next().map_or(1, |name| Path::new(name).components().count());
                ("x/".repeat(depth.saturating_sub(1)) + "{sequence}_{frame}", videos)
            }
            (_, Some(numbered)) => {
                let sequences = numbered.frames.iter().map(|found| found.sequence).collect();
                (numbered.pattern.to_string(), sequences)
            }
            _ => {
                notes.push(
                    "the images' names have no numbers of a frame: give each image a `video_id` \
                     and a `frame_id`"
                        .to_string(),
                );
                ("{frame}".to_string(), BTreeSet::from([ONLY_SEQUENCE]))
            }
        };
        Some(Listed {
            frames: Pattern::parse(&format!("{folder}{pattern}")).ok()?,
            sequences,
            notes,
        })
    }

    pub(super) fn table(&self) -> Option<Candidate> {
        let endings = ["csv", "tsv"];
        let file = self.file_of_kind(&endings, |file, start| {
            has_columns(start, Delimiter::of(Path::new(file)), &["path", "group"])
        })?;
        let place = self.root.join(&file);
        let mut rows = delimited::read(&place, Delimiter::of(&place)).ok()?;
        let header = Header::take(&mut rows, &place).ok()?;
        let (path, group) = (header.find("path")?, header.find("group")?);
        let folder = self.folder_before(rows.iter().map(|row| row.field(path)));
        let sequences = rows.iter().filter_map(|row| number_at_end(row.field(group))).collect();
        let own_split = header.find("split").map(|split| {
            ["train", "validation"].map(|wanted| {
                let of_split = rows.iter().filter(|row| row.field(split) == wanted);
                of_split.filter_map(|row| number_at_end(row.field(group))).collect()
            })
        });
        let mut notes = Vec::new();
        if folder.is_none() {
            notes.push("none of the pictures that the table lists was found".to_string());
        }
        let folder = folder.unwrap_or_default();
        let frames = Pattern::parse(folder.trim_end_matches('/')).ok()?;
        let listed = Listed { frames, sequences, notes };
        let mut candidate = self.of_list(Layout::Table, listed, vec![exact(&file)?]);
        let boxes = self.file_of_kind(&endings, |file, start| {
            let columns = ["path", "class", "x1", "y1", "x2", "y2"];
            has_columns(start, Delimiter::of(Path::new(file)), &columns)
        });
        candidate.source.boxes = boxes.and_then(|file| exact(&file)).into_iter().collect();
        candidate.own_split = own_split;
        Some(candidate)
    }

    fn of_list(&self, layout: Layout, listed: Listed, labels: Vec<Pattern>) -> Candidate {
        Candidate {
            source: SourceLayout {
                layout,
                train: listed.sequences.into_iter().collect(),
                validation: Vec::new(),
                frames: listed.frames,
                labels,
                boxes: Vec::new(),
                captions: self.captions(),
                interactions: self.interactions(),
                frame_step: 1,
                verbs: BTreeMap::new(),
            },
            names: BTreeMap::new(),
            own_split: None,
            notes: listed.notes,
        }
    }

    /// The folder that the paths of a list count from, with a `/` at its end, or "" for the root;
    /// `None`: none of the first pictures was found.
    fn folder_before<'b>(&self, paths: impl Iterator<Item = &'b str>) -> Option<String> {
        paths.take(SOUGHT).find_map(|path| {
            let path = path.trim_start_matches("./");
            if path.is_empty() {
                return None;
            }
            let folders = self.listing.files.iter().filter_map(|file| file.strip_suffix(path));
            let mut folders = folders.filter(|before| before.is_empty() || before.ends_with('/'));
            folders.find(|before| !before.contains(['{', '}'])).map(str::to_string)
        })
    }
}
