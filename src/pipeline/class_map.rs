//! The names in a data set's files: which class of the label space a name means, and which
//! interaction a verb means.

use std::collections::{BTreeMap, BTreeSet};

use super::naming::{Keys, read};
use super::planner::Planner;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace, normalized};
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{AdapterRecipe, DataRecipe, LabelSpaceRecipe};

/// More classes than this are a mistake in a label space.
const MOST_CLASSES: usize = 1000;

impl Planner<'_> {
    /// The class names of the adapter, extended and overridden by those of the recipe. Every class
    /// must be in some label space.
    pub(super) fn class_map(
        &self,
        cell: &Cell,
        data: &Resolved<DataRecipe>,
        adapter: &AdapterRecipe,
        space: &Resolved<LabelSpaceRecipe>,
        keys: &mut Keys,
    ) -> Result<ClassMap> {
        let recipe = &data.value;
        if space.value.classes.len() < 2 {
            return Err(Error::usage(format!(
                "label_space.{} has fewer than two classes",
                space.name
            ))
            .hint("the tissue is the last class, instruments stand before it"));
        }
        if space.value.classes.len() > MOST_CLASSES {
            return Err(Error::usage(format!(
                "label_space.{} has more than {MOST_CLASSES} classes",
                space.name
            )));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) =
            space.value.classes.iter().find(|class| !seen.insert(normalized(class.as_str())))
        {
            return Err(Error::usage(format!(
                "label_space.{} names the class `{}` twice",
                space.name,
                twice.as_str()
            ))
            .hint("each class has one name, and its place in the list is its number"));
        }
        let known = self.experiment.known_classes(cell)?;
        let mut names = BTreeMap::new();
        for (name, class) in read!(keys, adapter.classes).iter().chain(read!(keys, recipe.classes))
        {
            if !known.contains(class) {
                let suggestion =
                    surgcam_recipe::file::did_you_mean(class, known.iter().map(String::as_str));
                return Err(Error::usage(format!(
                    "data.{} maps `{name}` to `{}`, a class that no label space has{suggestion}",
                    data.name,
                    shortened(class)
                ))
                .hint("label spaces are declared under [label_space.NAME]"));
            }
            names.insert(normalized(name), class.clone());
        }
        Ok(ClassMap { space: classes_of(&space.value, keys), names })
    }
}

/// The classes of a label space. It notes in `keys` that they depend on its recipe.
pub(super) fn classes_of(space: &LabelSpaceRecipe, keys: &mut Keys) -> LabelSpace {
    LabelSpace {
        classes: read!(keys, space.classes)
            .iter()
            .map(|class| class.as_str().to_string())
            .collect(),
    }
}

/// The interaction that each verb stands for: the verbs of the adapter, extended and overridden by
/// those of the recipe `name`.
pub(super) fn interactions_of_verbs(
    name: &str,
    recipe: &DataRecipe,
    adapter: &AdapterRecipe,
    keys: &mut Keys,
) -> Result<BTreeMap<String, String>> {
    let mut verbs = BTreeMap::new();
    for (verb, interaction) in read!(keys, adapter.verbs).iter().chain(read!(keys, recipe.verbs)) {
        let wanted = normalized(interaction);
        if !INTERACTIONS.iter().any(|known| normalized(known) == wanted) {
            let suggestion = surgcam_recipe::file::did_you_mean(interaction, INTERACTIONS);
            return Err(Error::usage(format!(
                "data.{name} maps the verb `{}` to `{}`, which is not an interaction{suggestion}",
                shortened(verb),
                shortened(interaction)
            ))
            .hint(format!("the interactions are {}", INTERACTIONS.join(", "))));
        }
        verbs.insert(normalized(verb), interaction.clone());
    }
    Ok(verbs)
}
