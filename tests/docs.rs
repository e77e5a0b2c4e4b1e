//! The documentation keeps up with the program.

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

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root.join(link).exists(), "README.md links to {link}");
    }
}
