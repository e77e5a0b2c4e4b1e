//! What an override is about: a key of the experiment, of all recipes of a section, or of one
//! recipe, or an axis of the matrix.

use super::overrides::{Rank, check_length};
use super::schema::{ExperimentRecipe, Section};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// What an override is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A key of `[experiment]`.
    Experiment { key: Vec<String> },
    /// An axis of the matrix, by its dotted name.
    Axis { name: String },
    /// A key of every recipe of a section.
    Every { section: Section, key: Vec<String> },
    /// A key of one recipe.
    One { section: Section, recipe: String, key: Vec<String> },
}

/// An override together with what it is about.
#[derive(Debug, Clone)]
pub struct AimedOverride {
    pub target: Target,
    pub value: toml::Value,
    pub rank: Rank,
    pub origin: String,
}

/// Finds out what a path means. `names` lists the recipes of a section.
pub fn target(
    path: &[String],
    origin: &str,
    names: impl Fn(Section) -> Vec<String>,
) -> Result<Target> {
    check_length(path, origin)?;
    let unknown = |what: String| Error::usage(what).at(origin);
    let (first, rest) =
        path.split_first().ok_or_else(|| unknown("an override without a path".into()))?;
    match first.as_str() {
        "experiment" => {
            let known = || ExperimentRecipe::KEYS.iter().copied();
            match rest.first() {
                Some(key) if known().any(|name| name == key) => {
                    Ok(Target::Experiment { key: rest.to_vec() })
                }
                Some(key) => Err(unknown(format!(
                    "`experiment` has no key `{}`{}",
                    shortened(key),
                    did_you_mean(key, known())
                ))),
                None => Err(unknown(
                    "`experiment` is a section; name one of its keys, as in experiment.name".into(),
                )),
            }
        }
        "matrix" if rest.is_empty() => {
            Err(unknown("`matrix` is a section; name one of its axes, as in matrix.model".into())
                .hint("write --set 'matrix.model=[\"gc-a\", \"gc-d\"]'"))
        }
        "matrix" => Ok(Target::Axis { name: rest.join(".") }),
        _ => {
            let Some(section) = Section::named(first) else {
                let sections =
                    Section::ALL.map(Section::name).into_iter().chain(["experiment", "matrix"]);
                let suggestion = did_you_mean(first, sections);
                return Err(unknown(format!(
                    "`{}` starts with no section of a recipe{suggestion}",
                    shortened(path.join("."))
                )));
            };
            section_target(section, rest, names(section)).map_err(unknown)
        }
    }
}

fn section_target(
    section: Section,
    rest: &[String],
    names: Vec<String>,
) -> std::result::Result<Target, String> {
    let Some((first, deeper)) = rest.split_first() else {
        return Err(format!("`{}` is a section; name one of its keys", section.name()));
    };
    if section.has_key(first) {
        return Ok(Target::Every { section, key: rest.to_vec() });
    }
    let same = |name: &&String| {
        name.to_lowercase().replace('-', "_") == first.to_lowercase().replace('-', "_")
    };
    if let Some(recipe) = names.iter().find(same) {
        return match deeper.first() {
            Some(key) if section.has_key(key) => {
                Ok(Target::One { section, recipe: recipe.clone(), key: deeper.to_vec() })
            }
            Some(key) => {
                let suggestion = did_you_mean(key, section.keys().iter().copied());
                Err(format!(
                    "`{}.{recipe}` has no key `{}`{suggestion}",
                    section.name(),
                    shortened(key)
                ))
            }
            None => Err(format!("`{}.{recipe}` is a recipe; name one of its keys", section.name())),
        };
    }
    let known = section.keys().iter().copied().chain(names.iter().map(String::as_str));
    Err(format!(
        "`{}` has neither a key nor a recipe `{}`{}",
        section.name(),
        shortened(first),
        did_you_mean(first, known)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::overrides::from_argument;
    use super::*;

    fn names(section: Section) -> Vec<String> {
        if section == Section::Model { vec!["gc-a".into()] } else { Vec::new() }
    }

    fn target_of(argument: &str) -> Result<Target> {
        let found = from_argument(argument)?;
        target(&found.path, &found.origin, names)
    }

    #[test]
    fn a_path_means_every_recipe_or_one() {
        let Target::Every { key, .. } = target_of("model.epochs=2").unwrap() else {
            panic!("every model")
        };
        assert_eq!(key, ["epochs"]);
        let Target::One { recipe, .. } = target_of("model.GC_A.epochs=2").unwrap() else {
            panic!("one model")
        };
        assert_eq!(recipe, "gc-a");
    }

    #[test]
    fn a_path_that_means_nothing_suggests_what_was_meant() {
        for (argument, suggestion) in [
            ("modle.epochs=2", "did you mean `model`?"),
            ("model.epoch=2", "did you mean `epochs`?"),
            ("model.gc-a.epoch=2", "did you mean `epochs`?"),
            ("model.gc-b.epochs=2", "did you mean `gc-a`?"),
            ("experiment.table=2", "did you mean `tables`?"),
            ("matrix=2", "name one of its axes"),
            ("experiment=2", "name one of its keys"),
        ] {
            let error = target_of(argument).unwrap_err().to_string();
            assert!(error.contains(suggestion), "{argument}: {error}");
        }
    }

    #[test]
    fn a_path_without_an_end_is_refused() {
        let error =
            target_of(&format!("model.epochs{}=1", ".a".repeat(100_000))).unwrap_err().to_string();
        assert!(error.contains("more than 16 parts") && error.len() < 1000, "{error}");
    }
}
