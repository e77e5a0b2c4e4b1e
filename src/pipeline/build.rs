//! Turns an experiment into its graph of stages.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use super::goal::Goal;
use super::kinds::EvaluateStage;
use super::limits::{set_limits, unknown_kinds};
use super::models::{ModelStages, Models};
use super::naming::swept;
use super::planned::{Built, CellStages, PlannedCell};
use super::planner::{Outside, Planner};
use super::settings::MeasuredMachine;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Handle, NewStage, Resource};
use surgcam_engine::store::Store;
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::schema::Section;

/// Plans one cell after the other.
pub(super) struct Builder<'a> {
    pub(super) planner: Planner<'a>,
    models: Models,
}

/// Plans an experiment. `machine` is what speed stages would run on. Without it, no speed stages
/// are planned.
pub fn build(
    experiment: &Experiment,
    project: &Path,
    store: &Store,
    goals: &BTreeSet<Goal>,
    machine: Option<&MeasuredMachine>,
) -> Result<Built> {
    let at_experiment = |error: Error| error.at_path(&experiment.path);
    if let Some(mistake) = unknown_kinds(&experiment.recipe.limits).into_iter().next() {
        return Err(at_experiment(mistake));
    }
    let mut builder = Builder::new(experiment, project, Outside::Read(store), goals, machine);
    let cells = experiment
        .cells
        .iter()
        .map(|cell| builder.cell(cell))
        .collect::<Result<Vec<_>>>()
        .map_err(at_experiment)?;
    let mut plan = builder.planner.plan;
    set_limits(&mut plan, &experiment.recipe.limits);
    Ok(Built { plan, cells })
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        experiment: &'a Experiment,
        project: &'a Path,
        outside: Outside<'a>,
        goals: &BTreeSet<Goal>,
        machine: Option<&'a MeasuredMachine>,
    ) -> Self {
        Builder {
            planner: Planner::new(experiment, project, outside, goals, machine),
            models: Models::default(),
        }
    }
}

impl Builder<'_> {
    pub(super) fn model(&mut self, cell: &Cell) -> Result<Rc<ModelStages>> {
        self.models.of_cell(&mut self.planner, cell)
    }

    pub(super) fn cell(&mut self, cell: &Cell) -> Result<PlannedCell> {
        let model = self.model(cell)?;
        let planner = &mut self.planner;
        let extraction = cell
            .extraction
            .as_deref()
            .map(|name| planner.experiment.extraction(cell, name))
            .transpose()?;
        let mut stages = CellStages::default();
        if planner.wants(&[Goal::Classification]) {
            stages.evaluate = Some(*model.evaluate.get_or_init(|| planner.evaluate(cell, &model)));
        }
        match &extraction {
            Some(extraction) => planner.extraction(cell, &model, extraction, &mut stages)?,
            None if planner.wants(&[
                Goal::Localization,
                Goal::Boxes,
                Goal::Extraction,
                Goal::Features,
                Goal::Heads,
            ]) =>
            {
                return Err(Error::usage(
                    "the matrix names no extraction, which the localization and extraction tables \
                     need",
                )
                .at_path(&planner.experiment.path)
                .hint(
                    "add `extraction = [\"sl-fe\"]` under [matrix], or ask for `tables = \
                     [\"classification\"]` alone",
                ));
            }
            None => {}
        }
        Ok(PlannedCell {
            cell: cell.clone(),
            model: model.recipe.clone(),
            extraction,
            checkpoint: model.checkpoint,
            index: model.frames.index,
            pack: model.frames.pack,
            label_space: model.frames.label_space.clone(),
            image_size: model.frames.image_size,
            stages,
        })
    }
}

impl Planner<'_> {
    fn evaluate(&mut self, cell: &Cell, model: &ModelStages) -> Handle<EvaluateStage> {
        let parameters =
            EvaluateStage { architecture: model.architecture, normalization: model.normalization };
        let name = format!("evaluate {}{}", model.recipe.name, swept(cell, Section::Model));
        self.plan.add(NewStage::new(name, &parameters, model.inputs(), Resource::Device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the stages of an experiment on drawn scenes.
    fn names(matrix: &str) -> Vec<String> {
        names_for(matrix, Goal::Classification)
    }

    fn names_for(matrix: &str, goal: Goal) -> Vec<String> {
        let project = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.toml");
        let models = "[model.tiny]\nbackbone = 'resnet10'\ndata = 'sample-endovis18'\n\
            [model.given]\nextends = 'tiny'\ntrain = 'none'\n";
        std::fs::write(&path, format!("[experiment]\nname = 'e'\n{models}[matrix]\n{matrix}\n"))
            .unwrap();
        let experiment = Experiment::load(project, &path, &[]).unwrap();
        let goals = BTreeSet::from([goal]);
        let mut builder = Builder::new(&experiment, project, Outside::Assumed, &goals, None);
        experiment.cells.iter().for_each(|cell| drop(builder.cell(cell).unwrap()));
        builder.planner.plan.stages.into_iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn stages_of_data_are_named_by_the_swept_values_that_change_them() {
        let found = names("model = ['tiny']\n'data.image_size' = [[64, 80], [96, 120]]");
        let with = |name: &str| {
            found.iter().filter(|found| found.starts_with(name)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(with("sample"), ["sample sample-endovis18"]);
        assert_eq!(with("index"), ["index sample-endovis18 endovis-11"]);
        assert_eq!(
            with("pack"),
            [64, 96].map(|height| format!(
                "pack sample-endovis18 data.image_size=[{height}, {}]",
                height * 5 / 4
            ))
        );

        let found = names(
            "model = ['tiny']\n'data.sample-endovis18.seed' = [1, 2]\n'model.epochs' = [1, 2]",
        );
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (2 * (3 + 2 * 2), found.len()), "{found:?}");
        assert!(
            found.contains(&"pack sample-endovis18 data.sample-endovis18.seed=2".to_string()),
            "{found:?}"
        );
    }

    #[test]
    fn stages_that_differ_have_names_that_differ() {
        let matrix = "model = ['tiny']\nextraction = ['l-fe']\n\
            'extraction.minimum_area' = [10, 25]\n'extraction.cam' = ['grad-cam', 'grad-cam++']";
        let found = names_for(matrix, Goal::Localization);
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "{found:?}");
        assert_eq!(
            found
                .iter()
                .filter(|name| name.starts_with("heat-maps") && name.contains("minimum_area"))
                .count(),
            0
        );
        assert_eq!(
            found
                .iter()
                .filter(|name| name.starts_with("localize tiny at 0.3 extraction.cam="))
                .count(),
            4
        );
    }

    #[test]
    fn weights_are_named_by_what_tells_them_apart() {
        let found =
            names("model = ['given']\n'model.weights' = ['a.pth', 'b.pth']\n'model.seed' = [1, 2]");
        assert_eq!(
            found.iter().filter(|name| name.starts_with("import given model.weights=")).count(),
            2,
            "{found:?}"
        );
        let found =
            names("model = ['tiny']\n'model.init' = ['a.pth', 'b.pth']\n'model.epochs' = [1, 2]");
        let imports: Vec<&String> =
            found.iter().filter(|name| name.starts_with("import")).collect();
        assert_eq!(imports, ["import a.pth", "import b.pth"]);
    }
}
