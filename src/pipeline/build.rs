//! An experiment to its graph of stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::detections::Detections;
use super::goal::Goal;
use super::heads::Found;
use super::kinds::*;
use super::models::{ModelStages, Models};
use super::naming::{Keys, read, swept};
use super::planned::{Built, CellStages, PlannedCell};
use super::planner::{Outside, Planner};
use super::settings::{CamSettings, ExtractionSettings, MeasuredMachine, RegionSettings};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Handle, Limits, NewStage, Plan, Resource, Source};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::Store;
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::file::did_you_mean;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, Section, StageLimits};
use surgcam_values::*;

/// Plans one cell after the other.
pub(super) struct Builder<'a> {
    pub(super) planner: Planner<'a>,
    models: Models,
}

/// `machine`: what speed stages would run on; without it none are planned.
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

/// The limits key that concerns every kind.
const ALL_KINDS: &str = "all";

/// A mistake for each limit of a kind that no stage has.
pub(super) fn unknown_kinds(limits: &BTreeMap<String, StageLimits>) -> Vec<Error> {
    let known = || kind_names().chain([ALL_KINDS]);
    let mistake = |unknown: &String| {
        Error::usage(format!(
            "experiment.limits names the stage kind `{}`{}",
            shortened(unknown),
            did_you_mean(unknown, known())
        ))
        .hint(format!("the kinds are {}", known().collect::<Vec<_>>().join(", ")))
    };
    limits.keys().filter(|kind| !known().any(|known| known == kind.as_str())).map(mistake).collect()
}

fn set_limits(plan: &mut Plan, limits: &BTreeMap<String, StageLimits>) {
    if limits.is_empty() {
        return;
    }
    for stage in &mut plan.stages {
        let found = limits.get(stage.kind).or(limits.get(ALL_KINDS)).copied().unwrap_or_default();
        let timeout = found.timeout_seconds.map(|seconds| Duration::from_secs_f64(seconds.value()));
        stage.limits = Limits { timeout, retries: found.retries.into() };
    }
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
                return Err(Error::usage("the matrix names no extraction, which the localization and extraction tables need")
                    .at_path(&planner.experiment.path)
                    .hint("add `extraction = [\"sl-fe\"]` under [matrix], or ask for `tables = [\"classification\"]` alone"));
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

    fn extraction(
        &mut self,
        cell: &Cell,
        model: &ModelStages,
        extraction: &Resolved<ExtractionRecipe>,
        stages: &mut CellStages,
    ) -> Result<()> {
        let recipe = &extraction.value;
        check_present(&recipe.present, model, &extraction.name)?;
        check_batch_norm(extraction)?;
        let makes_features = self.wants(&[Goal::Extraction, Goal::Features, Goal::Heads]);
        let detections = if makes_features || self.wants(&[Goal::Localization]) {
            self.detections(cell, model, extraction)?
        } else {
            None
        };
        if let Some(detections) = &detections {
            stages.detections = Some(detections.stage);
            if self.wants(&[Goal::Localization]) {
                stages.score = Some(self.score(model, detections.boxes(), &detections.place));
            }
        }
        if recipe.mode.is_localised() && self.wants(&[Goal::Localization, Goal::Boxes]) {
            self.localization(cell, model, recipe, stages);
        }
        if !makes_features {
            return Ok(());
        }
        let settings = extraction_settings(recipe, model);
        let name = format!(
            "extract {} {}{}",
            model.recipe.name,
            extraction.name,
            swept(cell, Section::Extraction)
        );
        let parameters = ExtractStage { extraction: settings.clone() };
        let detections = detections.as_ref().map(Detections::boxes);
        let inputs = FrameInputs { detections, ..model.inputs() };
        let extract =
            self.plan.add(NewStage::new(name, &parameters, inputs.clone(), Resource::Device));
        stages.extract = Some(extract);
        if self.wants(&[Goal::Extraction, Goal::Heads]) {
            let found = Found { cell, model, extraction, settings: &settings, extract, inputs };
            self.heads(&found, stages)?;
            if self.wants(&[Goal::Extraction]) {
                self.speed(&found, stages);
            }
        }
        Ok(())
    }

    fn heat_maps(
        &mut self,
        model: &ModelStages,
        cam: CamSettings,
        axes: &str,
    ) -> Handle<HeatMapsStage> {
        if let Some((_, known)) = model.heat_maps.borrow().iter().find(|(known, _)| *known == cam) {
            return *known;
        }
        let parameters = HeatMapsStage {
            architecture: model.architecture,
            normalization: model.frames.normalization,
            cam: cam.clone(),
        };
        let name = format!("heat-maps {}{axes}", model.recipe.name);
        let heat_maps =
            self.plan.add(NewStage::new(name, &parameters, model.inputs(), Resource::Device));
        model.heat_maps.borrow_mut().push((cam, heat_maps));
        heat_maps
    }

    /// It knows no T_ROI, so heat maps are scored once.
    fn heat_score(
        &mut self,
        model: &ModelStages,
        heat_maps: Handle<HeatMapsStage>,
        axes: &str,
    ) -> Handle<HeatScoreStage> {
        let parameters = HeatScoreStage {
            image_size: model.frames.image_size,
            classes: model.architecture.classes,
        };
        let inputs = HeatScoreInputs {
            heat_maps: heat_maps.output(HeatMapsStage::HEAT_MAPS),
            index: model.frames.index.output(IndexStage::INDEX),
            pack: model.frames.pack.output(PackStage::PACK),
        };
        let name = format!("heat-score {}{axes}", model.recipe.name);
        self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Processor))
    }

    fn localization(
        &mut self,
        cell: &Cell,
        model: &ModelStages,
        recipe: &ExtractionRecipe,
        stages: &mut CellStages,
    ) {
        let mut keys = Keys::all_up_to(Section::Model);
        let cam = cam_settings(recipe, &mut keys);
        let axes = keys.swept(cell);
        let heat_maps = self.heat_maps(model, cam, &axes);
        let parameters = LocalizeStage {
            roi_threshold: recipe.roi_threshold.value(),
            minimum_area: *read!(keys, recipe.minimum_area),
            image_size: model.frames.image_size,
        };
        // T_ROI is in the name whether it is swept or not.
        let place =
            format!("{} at {}{}", model.recipe.name, recipe.roi_threshold, keys.swept(cell));
        let inputs = LocalizeInputs { heat_maps: heat_maps.output(HeatMapsStage::HEAT_MAPS) };
        let localize = self.plan.add(NewStage::new(
            format!("localize {place}"),
            &parameters,
            inputs,
            Resource::Processor,
        ));
        stages.heat_maps = Some(heat_maps);
        stages.localize = Some(localize);
        if self.wants(&[Goal::Localization]) {
            let boxes = localize.output(LocalizeStage::BOXES);
            stages.score = Some(self.score(model, boxes, &place));
            stages.heat_score = Some(self.heat_score(model, heat_maps, &axes));
            stages.deletion_insertion = self.deletion_insertion(model, heat_maps, &axes);
        }
    }

    /// `place`: what tells the boxes apart from others.
    fn score(&mut self, model: &ModelStages, boxes: Source, place: &str) -> Handle<ScoreStage> {
        let parameters =
            ScoreStage { image_size: model.frames.image_size, classes: model.architecture.classes };
        let inputs = ScoreInputs {
            boxes,
            index: model.frames.index.output(IndexStage::INDEX),
            pack: model.frames.pack.output(PackStage::PACK),
        };
        let name = format!("score {place}");
        self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Processor))
    }
}

fn check_present(present: &Present, model: &ModelStages, extraction: &str) -> Result<()> {
    if let Present::Classes(classes) = present
        && let Some(class) = classes.iter().find(|&&class| class >= model.architecture.classes)
    {
        return Err(Error::usage(format!(
            "extraction.{extraction}.present names class {class}, but model.{} has {} classes (0 to {})",
            model.recipe.name,
            model.architecture.classes,
            model.architecture.classes - 1
        )));
    }
    Ok(())
}

/// Whether the mode uses the statistics that its recipe names.
pub(super) fn check_batch_norm(extraction: &Resolved<ExtractionRecipe>) -> Result<()> {
    let ExtractionRecipe { mode, batch_norm, .. } = extraction.value;
    if batch_norm.is_default() || mode.takes_cells() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "extraction.{} has `batch_norm = \"{}\"`, which its mode `{}` does not use: it is for `l-fe` and `sl-fe`",
        extraction.name,
        batch_norm.name(),
        mode.name()
    ))
    .hint("set extraction.batch_norm = \"running\"; a sweep over batch_norm can name the modes in [matrix.cases]"))
}

fn cam_settings(recipe: &ExtractionRecipe, keys: &mut Keys) -> CamSettings {
    CamSettings {
        method: *read!(keys, recipe.cam),
        layer: *read!(keys, recipe.cam_layer),
        present: read!(keys, recipe.present).clone(),
    }
}

/// Only what the mode uses, so that a value that it does not use changes no key.
fn extraction_settings(recipe: &ExtractionRecipe, model: &ModelStages) -> ExtractionSettings {
    let regions = recipe.mode.is_localised().then(|| RegionSettings {
        cam: cam_settings(recipe, &mut Keys::default()),
        roi_threshold: recipe.roi_threshold.value(),
        minimum_area: (recipe.mode != Mode::SlFe).then_some(recipe.minimum_area),
        feature_layer: (recipe.mode == Mode::SlFe).then_some(recipe.feature_layer),
    });
    ExtractionSettings {
        mode: recipe.mode,
        regions,
        architecture: model.architecture,
        normalization: model.frames.normalization,
        pool: recipe.pool,
        precision: recipe.precision,
        batch_norm: recipe.batch_norm,
        crop_size: recipe.mode.cuts_out().then(|| recipe.crop_size.height_width()),
        crop_layer: Some(recipe.feature_layer)
            .filter(|&layer| recipe.mode.cuts_out() && layer != FeatureLayer::Layer4),
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
        let models = "[model.tiny]\nbackbone = 'resnet10'\ndata = 'sample-endovis18'\n[model.given]\nextends = 'tiny'\ntrain = 'none'\n";
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
        let matrix = "model = ['tiny']\nextraction = ['l-fe']\n'extraction.minimum_area' = [10, 25]\n'extraction.cam' = ['grad-cam', 'grad-cam++']";
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
