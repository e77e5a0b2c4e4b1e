//! The texts that are proposed for a folder: a data recipe with its label space, and a first
//! experiment on it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::dataset::check::{Proposal, layout_name};
use surgcam_frames::dataset::labels::normalized;
use surgcam_frames::dataset::pattern::Pattern;

/// The most bytes of a recipe's name that is made from the name of a folder.
const LONGEST_NAME: usize = 40;
/// The most columns of a line of TOML.
const WIDTH: usize = 78;

/// The name of a recipe for a folder: the folder's own, unless another recipe has it.
pub fn free_name(root: &Path, taken: &BTreeSet<String>) -> String {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let folder = real.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let letters = folder.unwrap_or_default();
    let letters = letters
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' });
    let name: String = letters.take(LONGEST_NAME).collect();
    let name = match name.trim_matches('-') {
        "" => "own",
        name => name,
    };
    let more = (1..).map(|number| match number {
        1 => format!("my-{name}"),
        number => format!("my-{name}-{number}"),
    });
    let mut names = std::iter::once(name.to_string()).chain(more);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| name.to_string())
}

/// A data recipe and its label space.
pub fn data_recipe(name: &str, root: &Path, proposal: &Proposal) -> Result<String> {
    let root = std::path::absolute(root).at_path("find", root)?;
    let Some(root) = root.to_str() else {
        return Err(Error::usage("the folder's name is not valid UTF-8, so no recipe can name it")
            .at_path(&root));
    };
    let Proposal { source, classes, .. } = proposal;
    let layout = layout_name(source.layout);
    let mut text =
        String::from("# Proposed by `surgcam data check`. Look at the classes and the split.\n");
    let list = |out: &mut String, key: &str, values: Vec<String>| line(out, key, &list_of(&values));
    let _ = writeln!(
        text,
        "\n# The classes that were found. The last one, the tissue, is in every frame."
    );
    let _ = writeln!(text, "[label_space.{name}]");
    list(&mut text, "classes", classes.space.classes.iter().map(|class| quoted(class)).collect());
    let _ = writeln!(text, "\n[data.{name}]");
    line(&mut text, "adapter", &quoted(&layout));
    line(&mut text, "root", &quoted(root));
    line(&mut text, "frames", &quoted(&source.frames.to_string()));
    for (key, patterns) in [
        ("labels", &source.labels),
        ("boxes", &source.boxes),
        ("captions", &source.captions),
        ("interactions", &source.interactions),
    ] {
        list(
            &mut text,
            key,
            patterns.iter().map(|pattern: &Pattern| quoted(&pattern.to_string())).collect(),
        );
    }
    line(&mut text, "frame_step", &source.frame_step.to_string());
    let _ = writeln!(text, "# By sequence: neighbouring frames look alike.");
    list(&mut text, "train", source.train.iter().map(u32::to_string).collect());
    list(&mut text, "validation", source.validation.iter().map(u32::to_string).collect());
    line(&mut text, "image_size", "[256, 320]");
    line(&mut text, "label_space", &quoted(name));
    let _ = writeln!(text, "\n# The names in the files -> class names.");
    let _ = writeln!(text, "[data.{name}.classes]");
    for (found, class) in &classes.names {
        line(&mut text, &quoted(&normalized(found)), &quoted(class));
    }
    if !source.verbs.is_empty() {
        let _ = writeln!(text, "\n# The verbs in the files -> interactions.");
        let _ = writeln!(text, "[data.{name}.verbs]");
        for (verb, interaction) in &source.verbs {
            line(&mut text, &quoted(verb), &quoted(interaction));
        }
    }
    checked(text)
}

/// An experiment that trains a small network from random weights and compares the modes.
pub fn experiment(name: &str, proposal: &Proposal, has_boxes: bool) -> Result<String> {
    let (tables, modes) = if has_boxes {
        (
            r#""classification", "localization", "extraction""#,
            r#""l-fe", "sl-fe", "ground-truth-boxes", "whole-frame", "shuffled-features""#,
        )
    } else {
        (
            r#""classification", "extraction""#,
            r#""l-fe", "sl-fe", "whole-frame", "shuffled-features""#,
        )
    };
    let description =
        quoted(&format!("A first look at {name}: a small network, all modes that are quick"));
    let instruments = proposal.classes.space.len().saturating_sub(1);
    checked(format!(
        r#"# A first experiment on the data recipe `{name}` ({instruments} classes beside the tissue). It
# trains a small network from random weights. With ImageNet weights it learns much faster: see
# `init` in recipes/models/gc.toml.
#   surgcam run {name}

[experiment]
name = "{name}"
description = {description}
tables = [{tables}]
speed_frames = 20

[model.{name}-resnet18]
backbone = "resnet18"
data = "{name}"
init = "random"
epochs = 20
batch_size = 16
learning_rate = 0.02

[matrix]
model = ["{name}-resnet18"]
extraction = [{modes}]
"extraction.roi_threshold" = [0.3]
"#
    ))
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

/// A list of values in TOML, on one line if it fits, or else on several.
fn list_of(values: &[String]) -> String {
    let short = format!("[{}]", values.join(", "));
    if short.len() <= WIDTH {
        return short;
    }
    let mut text = String::from("[\n ");
    let mut used = 1;
    for value in values {
        if used + value.len() + 2 > WIDTH && used > 1 {
            text.push_str("\n ");
            used = 1;
        }
        let _ = write!(text, " {value},");
        used += value.len() + 2;
    }
    text.push_str("\n]");
    text
}

/// A text as a string of TOML. A string of JSON is also one of TOML, except for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// Fails if the text is not TOML. Names from the data's files are in it, and must not break it.
fn checked(text: String) -> Result<String> {
    match text.parse::<toml::Table>() {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::failure(format!(
            "the names in the files cannot be written in a recipe: {}",
            error.message()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use surgcam_frames::dataset::index::Layout;
    use surgcam_frames::dataset::labels::{ClassMap, LabelSpace};
    use surgcam_frames::dataset::source::SourceLayout;

    use super::*;

    fn proposal(name_in_files: &str) -> Proposal {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        Proposal {
            source: SourceLayout {
                layout: Layout::Voc,
                train: (1..60).collect(),
                validation: vec![60],
                frames: pattern("a \"b\"/v{sequence:02}_{frame}.png"),
                labels: vec![pattern("xml/{sequence}_{frame}.xml")],
                boxes: Vec::new(),
                captions: Vec::new(),
                interactions: Vec::new(),
                frame_step: 25,
                verbs: BTreeMap::from([("cut".into(), "Cutting".into())]),
            },
            classes: ClassMap {
                space: LabelSpace { classes: vec!["hook".into(), "tissue".into()] },
                names: BTreeMap::from([(name_in_files.to_string(), "hook".to_string())]),
            },
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_proposed_recipe_and_its_experiment_are_read_back() {
        for name_in_files in ["hook", "a\"b\\c\n\u{7f}é", "1.5"] {
            let proposal = proposal(name_in_files);
            let text = data_recipe("own", Path::new("/data/x"), &proposal).unwrap();
            let table: toml::Table = text.parse().unwrap();
            let data = table["data"]["own"].as_table().unwrap();
            assert_eq!(data["frames"].as_str().unwrap(), proposal.source.frames.to_string());
            assert_eq!(data["train"].as_array().unwrap().len(), 59);
            assert_eq!(data["root"].as_str().unwrap(), "/data/x");
            assert_eq!(data["verbs"]["cut"].as_str().unwrap(), "Cutting");
            let names = data["classes"].as_table().unwrap();
            assert_eq!(names[&normalized(name_in_files)].as_str().unwrap(), "hook");
            assert!(text.lines().all(|line| line.len() <= 100), "{text}");
            let experiment = experiment("own", &proposal, true).unwrap();
            assert!(experiment.contains("own-resnet18") && experiment.contains("localization"));
        }
    }

    #[test]
    fn a_name_is_made_of_the_folders_and_is_free() {
        let taken = BTreeSet::from(["voc".to_string(), "my-voc".to_string()]);
        let name = |root: &str| free_name(Path::new(root), &taken);
        assert_eq!(name("/absent/VOC"), "my-voc-2");
        assert_eq!(name("/absent/My Data (2)"), "my-data--2");
        assert_eq!(name("/absent/---"), "own");
        assert_eq!(name("/"), "own");
    }
}
