//! The documentation keeps up with the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use surgcam::cluster::submission;
use surgcam_engine::store;
use surgcam_recipe::reference;

#[test]
fn the_tables_of_keys_are_those_of_the_recipes_types() {
    let written =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md")).unwrap();
    let made = reference::rewritten(&written).unwrap();
    if let Some((written, made)) =
        written.lines().zip(made.lines()).find(|(written, made)| written != made)
    {
        panic!(
            "docs/recipes.md has the line\n{written}\nwhere the recipes' types say\n{made}\n\
             make the tables again: make recipe-reference"
        );
    }
    assert_eq!(
        written.len(),
        made.len(),
        "docs/recipes.md ends too early or too late; make it again: make recipe-reference"
    );
}

/// The Markdown files that people read: those in the root, and the pages of the book.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [root.to_path_buf(), root.join("docs")] {
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|name| name == "md")));
    }
    found.sort();
    found
}

/// Where the links of a Markdown text lead. Blocks of code have none.
fn links(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(String::from).collect()
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let path = link.split('#').next().unwrap();
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{} links to {link}", document.display());
            // The book has the pages of its own folder alone.
            let leaves_the_book =
                document.parent().unwrap().ends_with("docs") && path.contains("..");
            assert!(!leaves_the_book, "{} links to {link}", document.display());
        }
    }
}

/// A browser makes an element with the id `exports` a global name, by which the book's search takes
/// the page for a module of Node, and fails.
#[test]
fn no_heading_has_a_name_that_breaks_the_books_search() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        for heading in headings.map(|rest| rest.trim_start_matches('#').trim().to_lowercase()) {
            let is_taken = ["exports", "module", "define"].contains(&heading.as_str());
            assert!(!is_taken, "{} has the heading `{heading}`", document.display());
        }
    }
}

#[test]
fn the_book_has_every_page_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let listed: BTreeSet<String> =
        links(&std::fs::read_to_string(folder.join("SUMMARY.md")).unwrap()).into_iter().collect();
    let there: BTreeSet<String> = documents()
        .iter()
        .filter(|path| path.parent() == Some(folder.as_path()) && !path.ends_with("SUMMARY.md"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_string())
        .collect();
    assert_eq!(listed, there, "docs/SUMMARY.md lists the pages of the book");
}

#[test]
fn the_table_of_formats_has_their_numbers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/formats.md")).unwrap();
    let format = |what: &str| {
        let row = text.lines().find(|line| line.starts_with(&format!("| {what} |"))).unwrap();
        row.split('|').nth(3).unwrap().trim().trim_matches('`').to_string()
    };
    assert_eq!(format("layout of a store"), store::LAYOUT);
    assert_eq!(format("record of a stage"), store::record::RECORD_FORMAT.to_string());
    assert_eq!(format("run"), store::runs::FORMAT.to_string());
    assert_eq!(format("plan of a run"), store::runs::FORMAT.to_string());
    assert_eq!(format("submission of a run to a cluster"), submission::FORMAT.to_string());
    assert_eq!(format("form of a key"), store::key::KEY_FORMAT.to_string());
    assert_eq!(format("packed pictures"), surgcam_frames::dataset::pack::FORMAT.to_string());
}

/// Folders outside of `src` that the code of the published crate includes files of are in the list
/// of what is packed.
#[test]
fn the_published_crate_has_every_file_that_it_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut included = 0;
    for folder in ["cli", "cluster", "measuring", "report"] {
        for path in rust_files(&root.join("src").join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let places = code.split("include_bytes!(\"").chain(code.split("include_str!(\""));
            for rest in places {
                let Some(outside) = rest.strip_prefix("../../../") else { continue };
                let top = outside.split('/').next().unwrap();
                assert!(
                    manifest.contains(&format!("\"/{top}/")),
                    "{}: {outside:.40}",
                    path.display()
                );
                included += 1;
            }
        }
    }
    assert!(included > 0, "the font is one of them");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|name| name == "rs") {
            found.push(path);
        }
    }
    found
}
