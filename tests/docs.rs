//! The documentation keeps up with the program.

use surgcam_recipe::schema::{ExperimentRecipe, Section};

#[test]
fn every_key_of_a_recipe_is_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recipes.md")).unwrap();
    let keys = Section::ALL.into_iter().flat_map(Section::keys).chain(ExperimentRecipe::KEYS);
    for key in keys {
        assert!(text.contains(&format!("| `{key}` |")), "docs/recipes.md does not mention `{key}`");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root.join(link).exists(), "README.md links to {link}");
    }
}
