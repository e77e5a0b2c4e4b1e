//! The part of a stage's name that follows the names of its recipes: the swept values that the
//! stage depends on.
//!
//! Code that makes a stage's parameters reads the recipe's values with `read!`, which notes their
//! keys. So a stage is named by the values that it and the stages before it really use. A separate
//! list of keys could differ from the parameters.

use std::collections::BTreeSet;

use surgcam_recipe::experiment::Cell;
use surgcam_recipe::schema::{
    AdapterRecipe, DataRecipe, ExtractionRecipe, HeadRecipe, LabelSpaceRecipe, ModelRecipe, Section,
};

/// A kind of recipe.
pub trait Recipe {
    const SECTION: Section;
}

macro_rules! recipes {
    ($($recipe:ident: $section:ident),+ $(,)?) => {
        $(impl Recipe for $recipe {
            const SECTION: Section = Section::$section;
        })+
    };
}

recipes! {
    AdapterRecipe: Adapter,
    LabelSpaceRecipe: LabelSpace,
    DataRecipe: Data,
    ModelRecipe: Model,
    ExtractionRecipe: Extraction,
    HeadRecipe: Head,
}

/// A key of all recipes of a section; [`recipe_key!`](crate::recipe_key) makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecipeKey {
    section: Section,
    name: &'static str,
}

impl RecipeKey {
    pub const fn of<R: Recipe>(name: &'static str) -> Self {
        RecipeKey { section: R::SECTION, name }
    }

    /// The axis of a matrix that sweeps it in all recipes of its section: `model.epochs`.
    pub fn axis(self) -> String {
        format!("{}.{}", self.section.name(), self.name)
    }
}

/// A field of a recipe as a key. It does not compile if the recipe has no such field.
#[macro_export]
macro_rules! recipe_key {
    ($recipe:ty, $field:ident) => {{
        const _: usize = ::std::mem::offset_of!($recipe, $field);
        $crate::naming::RecipeKey::of::<$recipe>(stringify!($field))
    }};
}

/// The keys that a stage depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// If this is set, all keys of the recipes of this section and of the sections before it are
    /// included.
    all_up_to: Option<Section>,
    read: BTreeSet<RecipeKey>,
}

/// Borrows a field of a recipe, and notes its key.
macro_rules! read {
    ($keys:expr, $recipe:ident.$field:ident) => {{
        $keys.note($recipe, stringify!($field));
        &$recipe.$field
    }};
}

pub(super) use read;

impl Keys {
    /// The keys of a stage that depends on all recipes of this section and of the sections before
    /// it.
    pub(super) fn all_up_to(last: Section) -> Self {
        Keys { all_up_to: Some(last), read: BTreeSet::new() }
    }

    pub(super) fn note<R: Recipe>(&mut self, _recipe: &R, name: &'static str) {
        self.read.insert(RecipeKey::of::<R>(name));
    }

    /// Adds the keys of another stage.
    pub(super) fn add(&mut self, other: &Keys) {
        self.all_up_to = self.all_up_to.max(other.all_up_to);
        self.read.extend(&other.read);
    }

    /// The cell's swept values that belong in the name of a stage that depends on these keys, as in
    /// " model.epochs=3".
    pub(super) fn swept(&self, cell: &Cell) -> String {
        cell.assignment
            .iter()
            .filter(|(axis, _)| self.has(axis))
            .map(|(axis, value)| format!(" {axis}={value}"))
            .collect()
    }

    fn has(&self, axis: &str) -> bool {
        let Some((section, rest)) = section_and_rest(axis) else { return false };
        if self.all_up_to.is_some_and(|last| section <= last) {
            return true;
        }
        // `model.epochs`, or `model.gc-a.epochs`.
        let key = rest.split('.').find(|part| section.has_key(part));
        key.is_some_and(|key| {
            self.read.iter().any(|read| read.section == section && read.name == key)
        })
    }
}

/// Like [`Keys::swept`], for a stage that depends on all recipes of this section and of the
/// sections before it.
pub(super) fn swept(cell: &Cell, last: Section) -> String {
    Keys::all_up_to(last).swept(cell)
}

fn section_and_rest(axis: &str) -> Option<(Section, &str)> {
    let (section, rest) = axis.split_once('.')?;
    Some((Section::named(section)?, rest))
}

#[cfg(test)]
mod tests {
    use surgcam_recipe::matrix::Assignment;

    use super::*;

    fn cell(swept: &[&str]) -> Cell {
        let assignment: Assignment =
            swept.iter().map(|axis| (axis.to_string(), 3_i64.into())).collect();
        Cell { model: "m".into(), extraction: None, head: None, assignment }
    }

    #[test]
    fn a_stage_is_named_by_the_swept_values_whose_keys_were_read_for_it() {
        let (model, data) = (&ModelRecipe::default(), &DataRecipe::default());
        let cell = cell(&["model", "model.epochs", "model.m.seed", "data.seed", "extraction.pool"]);
        let mut keys = Keys::default();
        assert_eq!(keys.swept(&cell), "");
        assert_eq!(read!(keys, model.epochs).get(), 200);
        assert_eq!(keys.swept(&cell), " model.epochs=3");
        let _ = read!(keys, model.seed);
        assert_eq!(keys.swept(&cell), " model.epochs=3 model.m.seed=3", "in one recipe, too");
        let mut others = Keys::default();
        let _ = read!(others, data.seed);
        keys.add(&others);
        assert_eq!(keys.swept(&cell), " data.seed=3 model.epochs=3 model.m.seed=3");
        assert_eq!(swept(&cell, Section::Data), " data.seed=3");
    }

    #[test]
    fn a_key_knows_its_axis() {
        assert_eq!(recipe_key!(ExtractionRecipe, pool).axis(), "extraction.pool");
    }
}
