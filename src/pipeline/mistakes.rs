//! Finds all mistakes in recipes that a plan would refuse. It plans without data folders, weights
//! files and a store.
//!
//! A plan stops at the first mistake. Here, the mistakes of every recipe and of every part of a
//! cell are collected, and each is reported once.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::build::Builder;
use super::detections::check_boxes;
use super::extraction::check_batch_norm;
use super::goal::Goal;
use super::heads;
use super::limits::unknown_kinds;
use super::naming::swept;
use super::planner::{Outside, Planner};
use super::sources::MIX;
use surgcam_engine::error::{Error, Result};
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::matrix::Assignment;
use surgcam_recipe::schema::{DataRecipe, Section};
use surgcam_values::HeadTask;

/// The mistakes of an experiment: in its limits, in its cells, and in the recipes in its own file
/// that no cell uses.
pub fn of_experiment(experiment: &Experiment, project: &Path) -> Vec<Error> {
    let mut mistakes = unknown_kinds(&experiment.recipe.limits);
    let mut builder =
        Builder::new(experiment, project, Outside::Assumed, &Goal::of(experiment), None);
    for cell in &experiment.cells {
        mistakes.extend(of_cell(&mut builder, cell));
    }
    let mut mistakes: Vec<Error> =
        mistakes.into_iter().map(|mistake| mistake.at_path(&experiment.path)).collect();
    let own_file = experiment.path.display().to_string();
    mistakes.extend(of_recipes(experiment, project, |file| file == own_file));
    each_once(mistakes)
}

/// The mistakes of the recipes in the files for which `is_meant` is true, whether a cell uses them
/// or not. A recipe that others extend may be unfinished. Then only the values that it has are
/// checked.
pub fn of_recipes(
    experiment: &Experiment,
    project: &Path,
    is_meant: impl Fn(&str) -> bool,
) -> Vec<Error> {
    let recipes = experiment.library().recipes().filter(|(_, _, file)| is_meant(file));
    let mistakes = recipes.filter_map(|(section, name, file)| {
        Some(in_every_cell(experiment, project, section, name)?.at(file))
    });
    each_once(mistakes.collect())
}

/// The mistake that a recipe has with the values of every cell, as it is reported for the first
/// cell. `None` if the recipe is good with the values of some cell.
fn in_every_cell(
    experiment: &Experiment,
    project: &Path,
    section: Section,
    name: &str,
) -> Option<Error> {
    let nothing_swept = [Cell {
        model: String::new(),
        extraction: None,
        head: None,
        assignment: Assignment::new(),
    }];
    let cells = if experiment.cells.is_empty() { &nothing_swept[..] } else { &experiment.cells };
    let mut seen = HashSet::new();
    let mut first = None;
    for cell in cells.iter().filter(|cell| seen.insert(swept(cell, section))) {
        let mistake = of_recipe(experiment, project, cell, section, name).err()?;
        first.get_or_insert(mistake);
    }
    first
}

/// The mistakes of a cell: those of its single parts, and those that only the whole cell shows.
fn of_cell(builder: &mut Builder, cell: &Cell) -> Vec<Error> {
    let experiment = builder.planner.experiment;
    let extraction = cell.extraction.as_deref().map(|name| experiment.extraction(cell, name));
    [
        builder.model(cell).err(),
        extraction.and_then(Result::err),
        experiment.heads(cell).err(),
        builder.cell(cell).err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_recipe(
    experiment: &Experiment,
    project: &Path,
    cell: &Cell,
    section: Section,
    name: &str,
) -> Result<()> {
    let mut planner = Planner::new(experiment, project, Outside::Assumed, &BTreeSet::new(), None);
    match section {
        Section::Adapter => experiment.adapter(cell, name).map(drop),
        Section::LabelSpace => experiment.label_space(cell, name).map(drop),
        Section::Data if is_unfinished_data(experiment, cell, name)? => Ok(()),
        Section::Data => planner.data(cell, name, None).map(drop),
        Section::Model if is_unfinished_model(experiment, cell, name)? => Ok(()),
        Section::Model => planner.model(cell, name, &mut Vec::new()).map(drop),
        Section::Extraction => {
            let extraction = experiment.extraction(cell, name)?;
            check_batch_norm(&extraction)?;
            // A recipe that does not yet say where its boxes are is unfinished.
            if extraction.value.boxes.is_none() { Ok(()) } else { check_boxes(&extraction) }
        }
        Section::Head => match experiment.head(cell, name)? {
            head if head.value.task == HeadTask::Probe => Ok(()),
            head => heads::check(&head),
        },
    }
}

/// Whether a model does not name its data yet, or names data that are unfinished.
fn is_unfinished_model(experiment: &Experiment, cell: &Cell, name: &str) -> Result<bool> {
    let model = &experiment.model(cell, name)?.value;
    if model.data.is_empty() {
        return Ok(true);
    }
    let validation = model.validation.as_ref().unwrap_or(&model.data);
    Ok(is_unfinished_data(experiment, cell, &model.data)?
        || is_unfinished_data(experiment, cell, validation)?)
}

fn is_unfinished_data(experiment: &Experiment, cell: &Cell, name: &str) -> Result<bool> {
    // A mix of a mix counts as finished, because the planner refuses it.
    let is_unfinished = |data: &DataRecipe| {
        data.adapter.is_empty()
            || (data.adapter != MIX && data.train.is_empty() && data.validation.is_empty())
    };
    let data = &experiment.data(cell, name)?.value;
    if data.adapter != MIX {
        return Ok(is_unfinished(data));
    }
    let parts =
        data.parts.iter().map(|part| experiment.data(cell, part)).collect::<Result<Vec<_>>>()?;
    Ok(parts.iter().any(|part| is_unfinished(&part.value)))
}

fn each_once(mut mistakes: Vec<Error>) -> Vec<Error> {
    let mut seen = HashSet::new();
    mistakes.retain(|mistake| seen.insert(mistake.to_string()));
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_recipe::library::Library;

    fn project() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    fn mistakes_of(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.toml");
        std::fs::write(&path, text).unwrap();
        let experiment = Experiment::load(project(), &path, &[]).unwrap();
        of_experiment(&experiment, project()).iter().map(Error::to_string).collect()
    }

    #[test]
    fn every_mistake_is_listed_with_its_place_and_what_was_meant() {
        let text = "[experiment]\nname = 'e'\ntables = ['extraction']\n\
            limits = { trian = { retries = 1 } }\nheads = ['proeb']\n\
            [data.mixed]\nadapter = 'mix'\nparts = ['endovis18', 'colec80']\n\
            [data.other]\nadapter = 'endovis81'\ntrain = [1]\n\
            [model.tuned]\nextends = 'gc-a'\nfine_tune_from = 'colec80-pretraining'\n\
            [model.spaced]\nextends = 'gc-a'\nlabel_space = 'endovis-99'\n\
            [model.lost]\nextends = 'gc-e'\n\
            [head.odd]\nextends = 'caption'\nwidth = 513\n\
            [matrix]\nmodel = ['tuned']\nextraction = ['sl-ef']\n";
        let found = mistakes_of(text);
        for expected in [
            "did you mean `train`?",
            "did you mean `probe`?",
            "did you mean `cholec80`?",
            "did you mean `endovis18`?",
            "no model recipe `colec80-pretraining`; did you mean `cholec80-pretraining`?",
            "no label_space recipe `endovis-99`",
            "no model recipe `gc-e`",
            "width of 513",
            "did you mean `sl-fe`?",
        ] {
            assert_eq!(
                found.iter().filter(|mistake| mistake.contains(expected)).count(),
                1,
                "{expected}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 9, "{found:#?}");
        assert!(found.iter().all(|mistake| mistake.contains("e.toml: ")), "{found:#?}");
    }

    #[test]
    fn frame_statistics_are_a_mistake_in_modes_that_take_no_cells() {
        let text = |mode: &str| {
            format!(
                "[experiment]\nname = 'e'\n[extraction.own]\nextends = '{mode}'\n\
                 batch_norm = 'frame'\n\
                 [matrix]\nmodel = ['gc-a']\nextraction = ['own']\n"
            )
        };
        for mode in ["l-fe", "sl-fe"] {
            assert_eq!(mistakes_of(&text(mode)), Vec::<String>::new(), "{mode}");
        }
        for mode in ["ln-fe", "whole-frame"] {
            let found = mistakes_of(&text(mode));
            assert!(
                found.len() == 1
                    && found[0].contains("extraction.own")
                    && found[0].contains("does not use"),
                "{mode}: {found:#?}"
            );
        }
    }

    #[test]
    fn clips_that_nothing_can_hold_are_a_mistake() {
        let text = |model: &str, head: &str| {
            format!(
                "[experiment]\nname = 'e'\ntables = ['extraction']\nheads = ['caption']\n\
                 [model.clips]\nextends = 'gc-a'\ndata = 'sample-endovis18'\n{model}\n\
                 [head.caption]\n{head}\n\
                 [matrix]\nmodel = ['clips']\nextraction = ['sl-fe']\n"
            )
        };
        assert_eq!(mistakes_of(&text("clip_length = 3", "")), Vec::<String>::new());
        for (model, head, expected) in [
            ("clip_length = 31", "", "sequences of data.sample-endovis18 have 30"),
            ("clip_length = 3\nbatch_size = 2", "", "a batch_size of 2, which counts frames"),
            ("clip_length = 3", "joint_epochs = 1", "model.clips sees clips"),
        ] {
            let found = mistakes_of(&text(model, head));
            assert!(
                !found.is_empty() && found.iter().all(|mistake| mistake.contains(expected)),
                "{expected}: {found:#?}"
            );
        }
    }

    #[test]
    fn boxes_of_a_detector_and_their_mode_belong_together() {
        let text = |recipe: &str, extraction: &str| {
            format!(
                "[experiment]\nname = 'e'\n[extraction.own]\n{recipe}\n\
                 [matrix]\nmodel = ['gc-a']\nextraction = ['{extraction}']\n"
            )
        };
        let own = |recipe: &str| mistakes_of(&text(recipe, "own"));
        let without = "mode = 'detector-boxes'";
        assert_eq!(own("mode = 'detector-boxes'\nboxes = 'b.json'"), Vec::<String>::new());
        assert_eq!(mistakes_of(&text(without, "sl-fe")), Vec::<String>::new(), "unfinished");
        for (recipe, expected) in [
            (without, "names no boxes"),
            ("mode = 'detector-boxes'\nboxes = 'b.txt'", "neither .csv nor .tsv nor .json"),
            ("mode = 'l-fe'\nboxes = 'b.csv'", "its mode `l-fe` does not use"),
        ] {
            let found = own(recipe);
            assert!(found.iter().any(|mistake| mistake.contains(expected)), "{recipe}: {found:#?}");
        }
    }

    #[test]
    fn neither_folders_nor_weights_must_be_there_and_unfinished_recipes_are_no_mistake() {
        let text = "[experiment]\nname = 'e'\n\
            [data.absent]\nadapter = 'endovis18'\nroot = '/nowhere'\ntrain = [1]\n\
            validation = [2]\n\
            [data.unfinished]\nadapter = 'endovis18'\n\
            [model.given]\ndata = 'absent'\ntrain = 'none'\nweights = '/nowhere.pth'\n\
            weights_sha256 = '01234567'\n\
            [model.base]\nepochs = 3\n\
            [model.on-unfinished]\nextends = 'base'\ndata = 'unfinished'\n\
            [matrix]\nmodel = ['given', 'gc-b']\nextraction = ['sl-fe']\n";
        assert_eq!(mistakes_of(text), Vec::<String>::new());
    }

    #[test]
    fn a_recipe_that_only_its_cell_makes_right_is_no_mistake() {
        let text = "[experiment]\nname = 'e'\ntables = ['classification']\n\
                    [data.small]\nextends = 'endovis18'\nimage_size = [64, 80]\n\
                    [model.a]\nextends = 'gc-a'\n\
                    [model.b]\nextends = 'gc-a'\nvalidation = 'small'\n\
                    [matrix.cases.one]\nmodel = 'a'\n\
                    [matrix.cases.two]\nmodel = 'b'\n'data.image_size' = [96, 120]\n";
        assert_eq!(mistakes_of(text), Vec::<String>::new());
        let found = mistakes_of(&text.replace("'data.image_size' = [96, 120]", ""));
        assert!(
            found.len() == 1 && found[0].contains("differ in label_space or image_size"),
            "{found:?}"
        );
    }

    #[test]
    fn the_shipped_recipes_have_no_mistake() {
        let library = Experiment::of_library(Library::load(&project().join("recipes")).unwrap());
        let found = of_recipes(&library, project(), |_| true);
        assert!(found.is_empty(), "{found:?}");
        let mixes =
            "[data.a]\nadapter = 'mix'\nparts = ['b']\n[data.b]\nadapter = 'mix'\nparts = ['a']\n";
        let mixes = format!(
            "[experiment]\nname = 'e'\ntables = ['classification']\n{mixes}[matrix]\n\
             model = ['gc-a']\n"
        );
        assert_eq!(mistakes_of(&mixes).len(), 2, "mixes of each other");
    }
}
