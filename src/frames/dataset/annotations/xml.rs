//! Captions and interactions of EndoVis18's XML form: `frameNNN.xml` with repeated `<objects>`
//! (docs/method.md, section 2).
//!
//! `<caption>` may stand in an object or beside the objects. The `<interaction>` of the tissue does
//! not belong to an instrument and only says that the frame was annotated.

use std::path::Path;

use roxmltree::Node;

use super::caption_file::evened;
use super::{LabelledInteraction, labelled};
use crate::dataset::label_file::{Lines, XML_FILE_BYTES};
use crate::dataset::labels::ClassMap;
use crate::dataset::xml_file;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::regular_file;

/// The caption of a file. `None`: it has none. Two different captions are an error.
pub fn caption(path: &Path) -> Result<Option<String>> {
    caption_in(&read(path)?, path)
}

/// The interactions of a file. `None`: no object has an `<interaction>`. Whatever cannot be used is
/// added to `problems`.
pub fn interactions(
    path: &Path,
    classes: &ClassMap,
    problems: &mut Vec<Error>,
) -> Option<Vec<LabelledInteraction>> {
    read(path).and_then(|text| interactions_in(&text, path, classes, problems)).unwrap_or_else(
        |error| {
            problems.push(error);
            None
        },
    )
}

fn read(path: &Path) -> Result<String> {
    regular_file::read_to_string(path, XML_FILE_BYTES)
}

pub(super) fn caption_in(text: &str, path: &Path) -> Result<Option<String>> {
    let document = xml_file::parsed(text, path)?;
    let mut first: Option<(String, String)> = None;
    for node in document.descendants().filter(|node| node.has_tag_name("caption")) {
        let caption = evened(node.text().unwrap_or_default());
        match &first {
            _ if caption.is_empty() => {}
            None => first = Some((caption, place(path, node))),
            Some((same, _)) if *same == caption => {}
            Some((_, there)) => {
                return Err(Error::failure(format!(
                    "the frame has a second caption (the first: {there})"
                ))
                .at(place(path, node)));
            }
        }
    }
    Ok(first.map(|(caption, _)| caption))
}

pub(super) fn interactions_in(
    text: &str,
    path: &Path,
    classes: &ClassMap,
    problems: &mut Vec<Error>,
) -> Result<Option<Vec<LabelledInteraction>>> {
    let document = xml_file::parsed(text, path)?;
    let mut interactions = None;
    let mut lines = Lines::of(text);
    for object in document.descendants().filter(|node| node.has_tag_name("objects")) {
        let Some(interaction) = child_text(object, "interaction") else {
            continue;
        };
        let found = interactions.get_or_insert_with(Vec::new);
        let name =
            child_text(object, "name").ok_or_else(|| Error::failure("an object has no <name>"));
        match name.and_then(|name| labelled(name, interaction, classes)) {
            Ok(of_object) => found.extend(of_object),
            Err(error) => problems.push(error.at(format!(
                "{}:{}",
                path.display(),
                lines.at(object.range().start)
            ))),
        }
    }
    Ok(interactions)
}

fn child_text<'a>(parent: Node<'a, '_>, tag: &str) -> Option<&'a str> {
    let node = parent.children().find(|node| node.has_tag_name(tag))?;
    node.text().map(str::trim).filter(|text| !text.is_empty())
}

/// `file:line`.
fn place(path: &Path, node: Node) -> String {
    format!("{}:{}", path.display(), node.document().text_pos_at(node.range().start).row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dataset::labels::LabelSpace;
    use proptest::prelude::*;

    fn classes() -> ClassMap {
        ClassMap {
            space: LabelSpace {
                classes: vec!["suction".into(), "stapler".into(), "tissue".into()],
            },
            names: ["suction", "stapler", "hook", "tissue"]
                .map(|name| (name.to_string(), name.to_string()))
                .into_iter()
                .chain([("kidney".to_string(), "tissue".to_string())])
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn object(name: &str, interaction: &str) -> String {
        format!(
            "<objects><name>{name}</name>\n<interaction>{interaction}</interaction></objects>\n"
        )
    }

    #[test]
    fn instruments_of_the_label_space_are_read_and_the_tissue_is_dropped() {
        let objects =
            [object("kidney", "whatever"), object("Stapler", "staple"), object("hook", "Idle")]
                .concat();
        let text = format!("<annotation>{objects}</annotation>");
        let mut problems = Vec::new();
        let found = interactions_in(&text, Path::new("f.xml"), &classes(), &mut problems).unwrap();
        assert_eq!(found, Some(vec![LabelledInteraction { class: 1, interaction: 11 }]));
        assert!(problems.is_empty());
    }

    #[test]
    fn a_frame_without_any_interaction_is_not_annotated() {
        let text = "<annotation><objects><name>kidney</name><bndbox/></objects></annotation>";
        assert_eq!(
            interactions_in(text, Path::new("f.xml"), &classes(), &mut Vec::new()).unwrap(),
            None
        );
    }

    #[test]
    fn unknown_names_are_problems_with_their_line() {
        let text = format!(
            "<annotation>\n{}{}</annotation>",
            object("suction", "Juggling"),
            object("laser", "Idle")
        );
        let mut problems = Vec::new();
        interactions_in(&text, Path::new("f.xml"), &classes(), &mut problems).unwrap();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts[0]
                .starts_with("f.xml:2: `Juggling` is not an interaction (they are Idle, Grasping"),
            "{}",
            texts[0]
        );
        assert!(texts[1].starts_with("f.xml:4: `laser` is not a class"), "{}", texts[1]);
    }

    #[test]
    fn a_caption_may_stand_in_an_object_or_beside_them() {
        let caption = |inside: &str| {
            caption_in(&format!("<annotation>\n{inside}</annotation>"), Path::new("f.xml"))
        };
        assert_eq!(
            caption("<caption> A suction </caption><objects/>").unwrap().as_deref(),
            Some("A suction")
        );
        assert_eq!(
            caption("<objects><caption>A suction</caption></objects>").unwrap().as_deref(),
            Some("A suction")
        );
        assert_eq!(caption("<objects/><caption/>").unwrap(), None);
        assert!(caption("<caption>A</caption><objects><caption>A</caption></objects>").is_ok());
        let error = caption("<caption>A</caption>\n<caption>B</caption>").unwrap_err().to_string();
        assert!(
            error.starts_with("f.xml:3: the frame has a second caption (the first: f.xml:2)"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(
            text in "(\\PC|\n|<objects>|</objects>|<name>|<interaction>|<caption>){0,40}",
        ) {
            let _ = caption_in(&text, Path::new("x"));
            let _ = interactions_in(&text, Path::new("x"), &classes(), &mut Vec::new());
        }
    }
}
