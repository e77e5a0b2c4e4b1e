//! Replicates: every cell of the matrix once for each seed.

use super::assignment::Assignment;
use super::axis::Axis;
use super::matrix::Matrix;
use super::schema::Section;
use super::target::{AimedOverride, Target};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_values::Seeds;

/// The axes that the seeds of an experiment turn together. Their values are equal.
pub const SEED_AXES: [&str; 2] = ["model.seed", "head.seed"];

/// The matrix with each of its cells once for each seed. Fails if the matrix or an override gives a
/// seed, too.
pub fn with_seeds(matrix: Matrix, seeds: &Seeds, outer: &[AimedOverride]) -> Result<Matrix> {
    let hint = "take out one of the two; `seeds` may list the seeds that are meant";
    if let Some(swept) = matrix.assigned_names().find(|name| is_swept_seed(name)) {
        return Err(Error::usage(format!(
            "the experiment has `seeds`, and its matrix sweeps `{}`",
            shortened(swept)
        ))
        .hint(hint));
    }
    if let Some(given) = outer.iter().find(|found| is_seed(&found.target)) {
        return Err(Error::usage("the experiment has `seeds`, and this override gives a seed")
            .at(&given.origin)
            .hint(hint));
    }
    let point = |&seed: &u64| -> Result<Assignment> {
        let seed = i64::try_from(seed)
            .map_err(|_| Error::usage(format!("the seed {seed} is too large")))?;
        Ok(SEED_AXES.map(|name| (name.to_string(), seed.into())).into())
    };
    matrix.with_axis(Axis {
        names: SEED_AXES.map(String::from).to_vec(),
        points: seeds.values().iter().map(point).collect::<Result<_>>()?,
    })
}

/// Whether an axis of this name gives seeds of models or heads: `model.seed`, `model.gc-a.seed`.
fn is_swept_seed(name: &str) -> bool {
    let is_trained = |section: &str| {
        [Section::Model, Section::Head].iter().any(|trained| trained.name() == section)
    };
    name.split_once('.').is_some_and(|(section, key)| {
        is_trained(section) && key.split('.').next_back() == Some("seed")
    })
}

fn is_seed(target: &Target) -> bool {
    match target {
        Target::Every { section: Section::Model | Section::Head, key }
        | Target::One { section: Section::Model | Section::Head, key, .. } => *key == ["seed"],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::super::overrides;
    use super::*;

    fn cells(matrix: &str, seeds: &str, argument: Option<&str>) -> Result<Vec<Assignment>> {
        #[derive(serde::Deserialize)]
        struct One {
            seeds: Seeds,
        }
        let outer = argument.map(|argument| overrides::from_argument(argument).unwrap());
        let outer = Library::default().aim(&outer.into_iter().collect::<Vec<_>>())?;
        let matrix = Matrix::new(&matrix.parse().unwrap(), &outer)?;
        let one: One = toml::from_str(&format!("seeds = {seeds}")).unwrap();
        with_seeds(matrix, &one.seeds, &outer)?.assignments()
    }

    #[test]
    fn every_cell_is_there_once_for_each_seed_of_models_and_heads() {
        let found = cells("model = ['a', 'b']", "[3, 9]", None).unwrap();
        let seeds = |axis: &str| -> Vec<i64> {
            found.iter().filter_map(|cell| cell[axis].as_integer()).collect()
        };
        assert_eq!((seeds("model.seed"), seeds("head.seed")), (vec![3, 9, 3, 9], vec![3, 9, 3, 9]));
        assert_eq!(cells("model = ['a', 'b']", "5", None).unwrap().len(), 10);
    }

    #[test]
    fn seeds_from_two_places_are_a_mistake() {
        for (matrix, argument, expected) in [
            ("'model.seed' = [1, 2]", None, "its matrix sweeps `model.seed`"),
            ("'head.graph.seed' = [1, 2]", None, "its matrix sweeps `head.graph.seed`"),
            ("cases.one.'model.seed' = 1", None, "its matrix sweeps `model.seed`"),
            ("model = ['a']", Some("model.seed=3"), "this override gives a seed"),
        ] {
            let error = cells(matrix, "2", argument).unwrap_err().to_string();
            assert!(error.contains(expected), "{matrix}: {error}");
        }
        assert!(cells("'data.seed' = [1, 2]", "2", None).is_ok());
    }
}
