//! What `surgcam data check` prints: for people in 80 columns, for programs as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;
use surgcam_frames::dataset::check::{
    ClassCount, Kind, PerSplit, Problem, Report, SequenceCount, layout_name,
};

const WIDTH: usize = 80;
/// The column in which the numbers of a table begin, behind the names.
const NAMES: usize = 28;
/// The most problems that are told. Problems that are alike count as one and are told once.
const MOST_PROBLEMS: usize = 20;
/// The most sizes of pictures that are listed. All others are counted together.
const MOST_SIZES: usize = 4;

pub fn json(report: &Report, proposed: Option<&str>) -> Result<String> {
    let unprintable =
        |error: serde_json::Error| Error::failure(format!("cannot print the report: {error}"));
    let mut value = serde_json::to_value(report).map_err(unprintable)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("proposed_recipe".to_string(), proposed.into());
    }
    serde_json::to_string_pretty(&value).map_err(unprintable)
}

pub fn text(report: &Report, proposed: Option<&str>) -> String {
    let mut text = String::new();
    add_layout(&mut text, report);
    add_counts(&mut text, report);
    add_classes(&mut text, &report.classes);
    add_sequences(&mut text, &report.sequences);
    add_notes(&mut text, report);
    add_problems(&mut text, report);
    if let Some(recipe) = proposed {
        text.push_str("\nProposed recipe (--write FILE writes it):\n\n");
        for line in recipe.lines() {
            let _ = writeln!(text, "{}", escape::line(line));
        }
    }
    text
}

fn add_layout(text: &mut String, report: &Report) {
    let _ = writeln!(text, "{}", escape::line(&report.root));
    let mut entry = |name: &str, value: &str| {
        text.push_str(&wrapped(&format!("  {name:<9} "), 12, value));
    };
    entry("layout", &layout_name(report.layout));
    entry("pictures", &report.frames_pattern);
    entry("labels", &report.labels.join(", "));
    if report.frame_step > 1 {
        entry("step", &format!("{} numbers of the labels are one picture", report.frame_step));
    }
    let mut sizes: Vec<String> = report
        .picture_sizes
        .iter()
        .take(MOST_SIZES)
        .map(|size| format!("{}x{} ({})", size.width, size.height, size.pictures))
        .collect();
    if report.picture_sizes.len() > MOST_SIZES {
        sizes.push(format!("{} other sizes", report.picture_sizes.len() - MOST_SIZES));
    }
    if !sizes.is_empty() {
        entry("sizes", &sizes.join(", "));
    }
}

fn add_counts(text: &mut String, report: &Report) {
    let _ = writeln!(text, "\n{:<NAMES$}{:>10}{:>12}", "", "train", "validation");
    for (name, PerSplit { train, validation }) in [
        ("frames", report.frames),
        ("  with annotated boxes", report.frames_with_boxes),
        ("  with a caption", report.captions),
        ("boxes", report.boxes),
        ("interactions", report.interactions),
    ] {
        let _ = writeln!(text, "{name:<NAMES$}{train:>10}{validation:>12}");
    }
}

fn add_classes(text: &mut String, classes: &[ClassCount]) {
    let _ = writeln!(text, "\n{:<NAMES$}{:>22}{:>26}", "", "frames", "boxes");
    let _ = writeln!(
        text,
        "{:<NAMES$}{:>10}{:>12}{:>14}{:>12}",
        "class", "train", "validation", "train", "validation"
    );
    for class in classes {
        let name: String = escape::line(&class.name).chars().take(NAMES - 1).collect();
        let _ = writeln!(
            text,
            "{name:<NAMES$}{:>10}{:>12}{:>14}{:>12}",
            class.frames.train, class.frames.validation, class.boxes.train, class.boxes.validation
        );
    }
}

fn add_sequences(text: &mut String, sequences: &[SequenceCount]) {
    text.push('\n');
    type FramesOfSplit = fn(&PerSplit) -> usize;
    let splits: [(&str, FramesOfSplit); 2] =
        [("train", |frames| frames.train), ("validation", |frames| frames.validation)];
    for (split, frames_of) in splits {
        let of_split: Vec<String> = sequences
            .iter()
            .filter(|sequence| frames_of(&sequence.frames) > 0)
            .map(|sequence| format!("{} ({})", sequence.name, frames_of(&sequence.frames)))
            .collect();
        if !of_split.is_empty() {
            text.push_str(&wrapped(&format!("{split:<11} "), 12, &of_split.join(", ")));
        }
    }
}

fn add_notes(text: &mut String, report: &Report) {
    let mut notes = report.notes.clone();
    if let Some(first) = report.changed_boxes.first() {
        notes.push(format!(
            "{} boxes were cut at the edge of their picture or taken once; the first at {}: {}",
            report.changed_boxes.len(),
            below_root(report, &first.place),
            below_root(report, &first.problem)
        ));
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text.push_str(&wrapped("- ", 2, &note));
    }
}

fn add_problems(text: &mut String, report: &Report) {
    if report.problems.is_empty() {
        text.push_str("\nno problem was found\n");
        return;
    }
    let _ = writeln!(text, "\nproblems: {}", report.problems.len());
    let groups = alike(&report.problems);
    for group in groups.iter().take(MOST_PROBLEMS) {
        let Problem { place, problem, hint, .. } = group[0];
        text.push('\n');
        text.push_str(&wrapped("", 2, &below_root(report, place)));
        text.push_str(&wrapped("  ", 2, &below_root(report, problem)));
        if let Some(hint) = hint {
            text.push_str(&wrapped("  hint: ", 8, &below_root(report, hint)));
        }
        match group.len() - 1 {
            0 => {}
            1 => text.push_str("  and 1 more like it\n"),
            more => {
                let _ = writeln!(text, "  and {more} more like it");
            }
        }
    }
    if groups.len() > MOST_PROBLEMS {
        let _ = writeln!(
            text,
            "\nand problems of {} other kinds; --format json has them all",
            groups.len() - MOST_PROBLEMS
        );
    }
}

/// The problems in groups, in the order of the first problem of each. Those of a group differ only
/// in numbers and paths.
fn alike(problems: &[Problem]) -> Vec<Vec<&Problem>> {
    let mut places: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Problem>> = Vec::new();
    for problem in problems {
        let place = *places.entry((problem.kind, gist(&problem.problem))).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(problem),
            None => groups.push(vec![problem]),
        }
    }
    groups
}

/// A message without its paths and numbers.
fn gist(problem: &str) -> String {
    let words = problem.split_whitespace().map(|word| {
        if word.contains('/') {
            return "/".to_string();
        }
        word.chars().filter(|letter| !letter.is_ascii_digit()).collect()
    });
    words.collect::<Vec<String>>().join(" ")
}

/// A text with its paths shortened: they begin below the folder that the first line names.
fn below_root(report: &Report, text: &str) -> String {
    text.replace(&format!("{}/", report.root.trim_end_matches('/')), "")
}

/// The text in lines of at most [`WIDTH`] columns, which are broken between words. The first line
/// begins with `first`, and the others with `indent` blanks. A longer word, such as a path, has a
/// line of its own.
fn wrapped(first: &str, indent: usize, text: &str) -> String {
    let text = escape::line(text);
    let mut lines = first.to_string();
    let (mut used, mut is_empty) = (first.chars().count(), true);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_empty && used + 1 + length > WIDTH {
            let _ = write!(lines, "\n{:indent$}", "");
            (used, is_empty) = (indent, true);
        }
        if !is_empty {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
        is_empty = false;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = wrapped("  hint: ", 8, &"a word ".repeat(30));
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("        a") || line.starts_with("        w"))
        );
        let path = format!("/{}", "x".repeat(100));
        assert_eq!(wrapped("- ", 2, &format!("at {path} it")), format!("- at\n  {path}\n  it\n"));
        assert_eq!(wrapped("- ", 2, "a\nb\u{1b}"), "- a\\nb\\u001b\n");
    }

    #[test]
    fn problems_that_differ_in_numbers_and_paths_are_told_once() {
        let problem = |text: &str| Problem {
            kind: Kind::Labels,
            place: "p".into(),
            problem: text.into(),
            hint: None,
        };
        let problems =
            ["the label at /a/b:3 has no picture", "`x` is 1", "the label at /c:14 has no picture"]
                .map(problem);
        let sizes: Vec<usize> = alike(&problems).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
    }
}
