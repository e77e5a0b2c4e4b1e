//! Layouts with a file for each frame: PASCAL VOC and YOLO.

use std::collections::BTreeMap;

use super::{Candidate, Folder, Labels, file_name};
use crate::dataset::adapters::Layout;
use crate::dataset::label_file::LABEL_FILE_BYTES;
use surgcam_engine::regular_file;

/// The most classes whose names are taken from `data.yaml`.
const MOST_NAMES: usize = 1000;

impl Folder<'_> {
    pub(super) fn voc(&self) -> Option<Candidate> {
        self.of_frame_files(Layout::Voc, "xml", is_voc, "JPEGImages/{frame:06}.jpg")
    }

    pub(super) fn yolo(&self) -> Option<Candidate> {
        let mut candidate =
            self.of_frame_files(Layout::Yolo, "txt", is_yolo, "images/{frame:06}.jpg")?;
        let has_classes_file =
            self.listing.files.iter().any(|file| file_name(file) == "classes.txt");
        if !has_classes_file {
            candidate.names = self.names_of_data_yaml();
        }
        Some(candidate)
    }

    /// The largest group of files of a kind.
    fn of_frame_files(
        &self,
        layout: Layout,
        ending: &str,
        is_of_kind: fn(&str) -> bool,
        expected_pictures: &'static str,
    ) -> Option<Candidate> {
        let groups = self.groups_with_ending(&[ending]);
        let of_kind: Vec<_> =
            groups.iter().filter(|group| self.is_group_of(group, is_of_kind)).collect();
        let (count, numbered) =
            of_kind.iter().find_map(|group| Some((group.count(), group.of_frames()?)))?;
        let others: usize =
            of_kind.iter().map(|group| group.count()).sum::<usize>().saturating_sub(count);
        let pattern = numbered.pattern;
        let told = pattern.to_string();
        let mut candidate = self.with_pictures(Labels {
            layout,
            patterns: vec![pattern],
            frames: numbered.frames,
            expected_pictures,
        })?;
        if others > 0 {
            candidate.notes.push(format!(
                "{others} label files have other names than `{told}` and are not read"
            ));
        }
        Some(candidate)
    }

    /// The names of classes by their numbers, of a `data.yaml` as YOLO's trainers write it.
    fn names_of_data_yaml(&self) -> BTreeMap<String, String> {
        let mut files = self.listing.with_ending(&["yaml", "yml"]);
        let names = files.find_map(|file| {
            let text = regular_file::read_to_string(&self.root.join(file), LABEL_FILE_BYTES);
            let names = names_in_yaml(&text.ok()?);
            (!names.is_empty()).then_some(names)
        });
        names.unwrap_or_default()
    }
}

fn is_voc(start: &str) -> bool {
    start.contains("<annotation") && !start.contains("<objects>")
}

fn is_yolo(start: &str) -> bool {
    let first = start.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let columns: Vec<&str> = first.split_whitespace().collect();
    let is_part = |text: &&str| text.parse::<f64>().is_ok_and(|part| (-0.5..=1.5).contains(&part));
    columns.len() == 5 && columns[0].parse::<u32>().is_ok() && columns[1..].iter().all(is_part)
}

/// `names: [a, b]`, or below `names:` lines such as `- a` or `0: a`. Other YAML is passed over.
fn names_in_yaml(text: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("names:"));
    let Some(first) = lines.next() else { return names };
    let inline = first.trim_start_matches("names:").trim();
    let clean = |name: &str| name.trim().trim_matches(['"', '\'']).trim().to_string();
    if let Some(list) = inline.strip_prefix('[') {
        let list = list.split(']').next().unwrap_or_default();
        for (number, name) in list.split(',').take(MOST_NAMES).enumerate() {
            names.insert(number.to_string(), clean(name));
        }
        return names;
    }
    let entries = lines.map(str::trim).take_while(|line| {
        line.starts_with('-') || line.starts_with(|letter: char| letter.is_ascii_digit())
    });
    for (index, line) in entries.take(MOST_NAMES).enumerate() {
        match line.strip_prefix('-') {
            Some(name) => names.insert(index.to_string(), clean(name)),
            None => line
                .split_once(':')
                .and_then(|(number, name)| names.insert(number.trim().to_string(), clean(name))),
        };
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_classes_stand_in_three_forms_of_yaml() {
        let expected = BTreeMap::from([
            ("0".to_string(), "hook".to_string()),
            ("1".into(), "clip applier".into()),
        ]);
        for text in [
            "nc: 2\nnames: ['hook', \"clip applier\"]\n",
            "names:\n  - hook\n  - clip applier\nnc: 2\n",
            "names:\n  0: hook\n  1: 'clip applier'\n\npath: x\n",
        ] {
            assert_eq!(names_in_yaml(text), expected, "{text}");
        }
        assert!(names_in_yaml("nc: 2\n").is_empty());
    }

    #[test]
    fn a_line_of_yolo_has_parts_of_sides() {
        assert!(is_yolo("\n3 0.5 0.25 1 0.01\n") && !is_yolo("3 120 40 60 20\n") && !is_yolo(""));
    }
}
