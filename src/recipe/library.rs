//! All recipes of a project, and how the layers of one of them are merged.

use std::collections::BTreeMap;
use std::path::Path;

use figment::Figment;
use serde::{Serialize, de::DeserializeOwned};

use super::file::{self, CheckedFile};
use super::layer::{self, Layer};
use super::overrides::Override;
use super::schema::Section;
use super::target::{AimedOverride, Target, target};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;
use surgcam_values::Name;

#[derive(Debug, Clone, Default)]
pub struct Library {
    /// What the files say about each recipe. A later layer wins over an earlier one.
    recipes: BTreeMap<(Section, Name), Vec<Layer>>,
}

/// A recipe with all its values, and where each value comes from.
#[derive(Debug, Clone)]
pub struct Resolved<T> {
    pub name: String,
    pub value: T,
    /// The origin of each value by its key: "built-in", a file, or `--set ...`.
    pub origins: BTreeMap<String, String>,
}

/// The most recipes that may extend each other in a row.
const LONGEST_CHAIN: usize = 100;

impl Library {
    /// Reads every `*.toml` below the folder. Fails at the first file that is wrong.
    pub fn load(recipes: &Path) -> Result<Self> {
        let (library, mistakes) = Self::read(recipes);
        match mistakes.into_iter().next() {
            None => Ok(library),
            Some(mistake) => Err(mistake),
        }
    }

    /// Reads every `*.toml` below the folder. Files that are wrong are left out, and their mistakes
    /// are returned.
    pub fn read(recipes: &Path) -> (Self, Vec<Error>) {
        let mut library = Library::default();
        let mut mistakes = Vec::new();
        for entry in walkdir::WalkDir::new(recipes).sort_by_file_name() {
            match entry.at_path("list the recipes", recipes).map_err(Error::as_usage) {
                Ok(entry)
                    if entry.file_type().is_file()
                        && entry
                            .path()
                            .extension()
                            .is_some_and(|extension| extension == "toml") =>
                {
                    mistakes.extend(
                        file::read(entry.path())
                            .and_then(|checked| library.add_new(&checked))
                            .err(),
                    );
                }
                Ok(_) => {}
                Err(mistake) => mistakes.push(mistake),
            }
        }
        (library, mistakes)
    }

    /// Adds the recipes of one file. Fails if another file has given a recipe of the same name,
    /// because it would be unclear which of the two is meant.
    fn add_new(&mut self, checked: &CheckedFile) -> Result<()> {
        for (section, name, _) in recipes_of(checked) {
            if let Some(first) = self.origin(section, name.as_str()) {
                return Err(Error::usage(format!(
                    "`{}.{name}` is already in {first}",
                    section.name()
                ))
                .at_path(&checked.path)
                .hint("give one of the two another name"));
            }
        }
        self.add(checked);
        Ok(())
    }

    /// Adds the recipes of one file. Their values win over those of recipes of the same name that
    /// were added before.
    pub fn add(&mut self, checked: &CheckedFile) {
        for (section, name, table) in recipes_of(checked) {
            let layer = Layer { origin: checked.path.display().to_string(), table: table.clone() };
            self.recipes.entry((section, name)).or_default().push(layer);
        }
    }

    /// What the files say about a recipe, or `None` if there is no recipe of this name.
    fn layers(&self, section: Section, name: &str) -> Option<&Vec<Layer>> {
        self.recipes.get(&(section, Name::try_from(name.to_string()).ok()?))
    }

    /// The last of the files that say something about a recipe.
    fn origin(&self, section: Section, name: &str) -> Option<&str> {
        self.layers(section, name)?.last().map(|layer| layer.origin.as_str())
    }

    /// Section and name of every recipe, and the last of the files that say something about it.
    pub fn recipes(&self) -> impl Iterator<Item = (Section, &str, &str)> {
        self.recipes.iter().filter_map(|((section, name), layers)| {
            Some((*section, name.as_str(), layers.last()?.origin.as_str()))
        })
    }

    /// The names of all recipes of a section.
    pub fn names(&self, section: Section) -> Vec<String> {
        self.recipes
            .keys()
            .filter(|(of, _)| *of == section)
            .map(|(_, name)| name.to_string())
            .collect()
    }

    /// Finds out what each override is about. Fails if one is about nothing that there is.
    pub fn aim(&self, overrides: &[Override]) -> Result<Vec<AimedOverride>> {
        overrides
            .iter()
            .map(|found| {
                let target = target(&found.path, &found.origin, |section| self.names(section))?;
                Ok(AimedOverride {
                    target,
                    value: found.value.clone(),
                    rank: found.rank,
                    origin: found.origin.clone(),
                })
            })
            .collect()
    }

    /// The names of a recipe and of those that it extends. The oldest ancestor comes first and the
    /// recipe itself comes last.
    fn chain(&self, section: Section, name: &str) -> Result<Vec<String>> {
        let mut chain = vec![name.to_string()];
        loop {
            let current = &chain[0];
            let Some(layers) = self.layers(section, current) else {
                let known = self.names(section);
                let suggestion = did_you_mean(current, known.iter().map(String::as_str));
                let what = format!(
                    "there is no {} recipe `{}`{suggestion}",
                    section.name(),
                    shortened(current)
                );
                let Some(child) = chain.get(1) else { return Err(Error::usage(what)) };
                let error = Error::usage(format!("{what} (`{child}` extends it)"));
                return Err(match self.origin(section, child) {
                    Some(file) => error.at(file),
                    None => error,
                });
            };
            let parent = layers
                .iter()
                .rev()
                .find_map(|layer| layer.table.get("extends"))
                .and_then(toml::Value::as_str);
            match parent {
                Some(parent) if chain.iter().any(|name| name == parent) => {
                    return Err(Error::usage(format!(
                        "the {} recipe `{parent}` extends itself",
                        section.name()
                    )));
                }
                Some(_) if chain.len() == LONGEST_CHAIN => {
                    return Err(Error::usage(format!(
                        "the {} recipe `{name}` extends more than {LONGEST_CHAIN} others",
                        section.name()
                    )));
                }
                Some(parent) => chain.insert(0, parent.to_string()),
                None => return Ok(chain),
            }
        }
    }

    /// Merges all layers of a recipe: the defaults, what the files say about its ancestors and
    /// about the recipe itself, and the overrides, which must be given in rising order of their
    /// ranks.
    pub fn resolve<T>(
        &self,
        section: Section,
        name: &str,
        overrides: &[AimedOverride],
    ) -> Result<Resolved<T>>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let chain = self.chain(section, name)?;
        let mut figment = Figment::from(Layer::of_defaults(
            &T::default(),
            &format!("{} recipes", section.name()),
        )?);
        for ancestor in &chain {
            for layer in self.layers(section, ancestor).into_iter().flatten() {
                figment = figment.merge(layer.clone());
            }
        }
        for layer in self.override_layers(section, &chain, overrides) {
            figment = figment.merge(layer);
        }
        let value =
            figment.extract().map_err(|error| layer::explained(error, &[section.name(), name]))?;
        let origins = section
            .keys()
            .iter()
            .filter_map(|key| Some((key.to_string(), figment.find_metadata(key)?.name.to_string())))
            .collect();
        Ok(Resolved { name: name.to_string(), value, origins })
    }

    /// The overrides that concern a recipe, each as a layer. Among overrides of one rank, those of
    /// all recipes come before those of one recipe. An override of an ancestor holds for a recipe
    /// unless the recipe, or one between the two, gives the value itself.
    fn override_layers(
        &self,
        section: Section,
        chain: &[String],
        overrides: &[AimedOverride],
    ) -> Vec<Layer> {
        let says_otherwise = |descendants: &[String], key: &[String]| {
            let tables = descendants.iter().filter_map(|name| self.layers(section, name)).flatten();
            tables.into_iter().any(|layer| says(&layer.table, key))
        };
        let mut layers = Vec::new();
        for group in overrides.chunk_by(|a, b| a.rank == b.rank) {
            let wide = group.iter().filter_map(|found| match &found.target {
                Target::Every { section: of, key } if *of == section => Some((found, key)),
                _ => None,
            });
            let named = chain.iter().enumerate().flat_map(|(place, ancestor)| {
                group
                    .iter()
                    .filter_map(move |found| match &found.target {
                        Target::One { section: of, recipe, key }
                            if *of == section && recipe == ancestor =>
                        {
                            Some((found, key))
                        }
                        _ => None,
                    })
                    .filter(move |(_, key)| !says_otherwise(&chain[place + 1..], key))
            });
            layers.extend(
                wide.chain(named)
                    .map(|(found, key)| Layer::of_value(&found.origin, key, &found.value)),
            );
        }
        layers
    }
}

/// Section, name and table of each recipe in a file. The names were checked when the file was read.
fn recipes_of(checked: &CheckedFile) -> impl Iterator<Item = (Section, Name, &toml::Table)> {
    Section::ALL.into_iter().flat_map(|section| {
        let recipes = checked.table.get(section.name()).and_then(toml::Value::as_table);
        recipes.into_iter().flatten().filter_map(move |(name, recipe)| {
            Some((section, Name::try_from(name.clone()).ok()?, recipe.as_table()?))
        })
    })
}

/// Whether a recipe's table has a value for this key.
fn says(table: &toml::Table, key: &[String]) -> bool {
    match table.get(&key[0]) {
        Some(toml::Value::Table(inner)) if key.len() > 1 => says(inner, &key[1..]),
        found => found.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer::BUILT_IN;
    use super::super::overrides::from_argument;
    use super::super::schema::{ExtractionRecipe, ModelRecipe, RecipeFile};
    use super::*;
    use surgcam_values::Threshold;

    fn library(text: &str) -> Library {
        let checked = file::parse::<RecipeFile>(Path::new("x.toml"), text).unwrap();
        let mut library = Library::default();
        library.add(&checked);
        library
    }

    const TWO_MODELS: &str = "[model.parent]\nepochs = 7\nbatch_size = 8\n[model.child]\n\
        extends = \"parent\"\nepochs = 3\n";

    fn resolve(library: &Library, name: &str, arguments: &[&str]) -> Result<Resolved<ModelRecipe>> {
        let overrides: Vec<Override> =
            arguments.iter().map(|argument| from_argument(argument)).collect::<Result<_>>()?;
        library.resolve(Section::Model, name, &library.aim(&overrides)?)
    }

    #[test]
    fn later_layers_win_and_each_value_knows_its_origin() {
        let library = library(TWO_MODELS);
        let child = resolve(&library, "child", &["model.batch_size=9"]).unwrap();
        assert_eq!((child.value.epochs.get(), child.value.batch_size.get()), (3, 9));
        assert_eq!(child.origins["epochs"], "x.toml");
        assert_eq!(child.origins["batch_size"], "--set model.batch_size=9");
        assert_eq!(child.origins["momentum"], BUILT_IN);
    }

    #[test]
    fn an_override_of_one_recipe_beats_one_of_all_and_reaches_its_children() {
        let library = library(TWO_MODELS);
        let arguments = ["model.parent.epochs=20", "model.epochs=10"];
        assert_eq!(resolve(&library, "parent", &arguments).unwrap().value.epochs.get(), 20);
        assert_eq!(resolve(&library, "child", &["model.parent.seed=5"]).unwrap().value.seed, 5);
        assert_eq!(
            resolve(&library, "child", &["model.parent.epochs=20"]).unwrap().value.epochs.get(),
            3,
            "it says so itself"
        );
    }

    #[test]
    fn a_bad_override_is_named_with_its_argument() {
        let library = library(TWO_MODELS);
        let error = resolve(&library, "child", &["model.epochs=0"]).unwrap_err().to_string();
        assert!(
            error.starts_with("--set model.epochs=0:") && error.contains("from 1 to 1000000"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_recipe_and_a_circle_are_refused() {
        let library = library("[model.a]\nextends = \"b\"\n[model.b]\nextends = \"a\"\n");
        assert!(
            resolve(&library, "c", &[]).unwrap_err().to_string().contains("no model recipe `c`")
        );
        assert!(resolve(&library, "a", &[]).unwrap_err().to_string().contains("extends itself"));
    }

    #[test]
    fn nested_keys_merge_and_lists_replace() {
        let library = library("[extraction.x]\npresent = { above = 0.43 }\n");
        let resolve = |argument: &str| {
            let found = library.aim(&[from_argument(argument).unwrap()]).unwrap();
            library
                .resolve::<ExtractionRecipe>(Section::Extraction, "x", &found)
                .unwrap()
                .value
                .present
        };
        assert_eq!(
            resolve("extraction.present.above=0.2"),
            surgcam_values::Present::Above(Threshold::new(0.2).unwrap())
        );
        assert_eq!(resolve("extraction.present=[1]"), surgcam_values::Present::Classes(vec![1]));
    }
}
