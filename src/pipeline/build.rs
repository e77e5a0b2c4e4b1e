//! An experiment to its graph of stages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::heads::Found;
use super::models::ModelStages;
use super::stages::*;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Limits, Plan, Resource, Stage, StageId};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_frames::dataset::labels::LabelSpace;
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::file::did_you_mean;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, ModelRecipe, Section, StageLimits};
use surgcam_values::*;

/// What is wanted of an experiment: its tables, or what an export needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    Classification,
    Localization,
    /// Heat maps and boxes, without their score.
    Boxes,
    Extraction,
    /// Features, without heads and speed.
    Features,
    /// Heads, without speed.
    Heads,
}

impl Goal {
    /// Those of the experiment's own tables.
    pub fn of(experiment: &Experiment) -> BTreeSet<Goal> {
        experiment.recipe.tables.iter().map(|&table| Goal::from(table)).collect()
    }
}

impl From<Table> for Goal {
    fn from(table: Table) -> Self {
        match table {
            Table::Classification => Goal::Classification,
            Table::Localization => Goal::Localization,
            Table::Extraction => Goal::Extraction,
        }
    }
}

/// The stages that a cell's results come from; absent what was not wanted or makes no sense for it.
#[derive(Debug, Clone, Default)]
pub struct CellStages {
    pub evaluate: Option<StageId>,
    pub heat_maps: Option<StageId>,
    pub localize: Option<StageId>,
    pub score: Option<StageId>,
    pub extract: Option<StageId>,
    pub probe: Option<StageId>,
    pub caption: Option<StageId>,
    pub interact: Option<StageId>,
    pub measure: Option<StageId>,
    /// From frame to caption and graph.
    pub measure_tasks: Option<StageId>,
}

/// One cell of the matrix, planned.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    pub cell: Cell,
    pub model: Arc<Resolved<ModelRecipe>>,
    pub extraction: Option<Arc<Resolved<ExtractionRecipe>>>,
    pub checkpoint: StageId,
    /// The frames that it is evaluated, localised and extracted on.
    pub index: StageId,
    pub pack: StageId,
    pub label_space: LabelSpace,
    pub image_size: [u32; 2],
    pub stages: CellStages,
}

#[derive(Debug)]
pub struct Built {
    pub plan: Plan,
    pub cells: Vec<PlannedCell>,
}

/// Data folders and weights files, which no stage makes.
#[derive(Clone, Copy)]
pub(super) enum Outside<'a> {
    /// They must be there and are read, with digests that the store remembers.
    Read(&'a Store),
    /// Whatever they are: a plan to find mistakes in recipes, not to be run.
    Assumed,
}

pub(super) struct Builder<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) project: &'a Path,
    pub(super) outside: Outside<'a>,
    pub(super) plan: Plan,
    pub(super) source_digests: HashMap<String, Digest>,
    goals: BTreeSet<Goal>,
    pub(super) machine: Option<&'a MeasuredMachine>,
    /// Models by name and by the cell's values that can concern them: thousands of cells share a few.
    pub(super) models: HashMap<String, Rc<ModelStages>>,
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
    let cells = experiment.cells.iter().map(|cell| builder.cell(cell)).collect::<Result<Vec<_>>>().map_err(at_experiment)?;
    let mut plan = builder.plan;
    set_limits(&mut plan, &experiment.recipe.limits);
    Ok(Built { plan, cells })
}

/// The limits key that concerns every kind.
const ALL_KINDS: &str = "all";

/// A mistake for each limit of a kind that no stage has.
pub(super) fn unknown_kinds(limits: &BTreeMap<String, StageLimits>) -> Vec<Error> {
    let known = || kind_names().chain([ALL_KINDS]);
    let mistake = |unknown: &String| {
        Error::usage(format!("experiment.limits names the stage kind `{}`{}", shortened(unknown), did_you_mean(unknown, known())))
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
            experiment,
            project,
            outside,
            plan: Plan::default(),
            source_digests: HashMap::new(),
            goals: goals.clone(),
            machine,
            models: HashMap::new(),
        }
    }
}

impl Builder<'_> {
    pub(super) fn wants(&self, goals: &[Goal]) -> bool {
        goals.iter().any(|goal| self.goals.contains(goal))
    }

    pub(super) fn cell(&mut self, cell: &Cell) -> Result<PlannedCell> {
        let model = self.remembered_model(cell)?;
        let extraction = cell.extraction.as_deref().map(|name| self.experiment.extraction(cell, name)).transpose()?;
        let mut stages = CellStages::default();
        if self.wants(&[Goal::Classification]) {
            stages.evaluate = Some(*model.evaluate.get_or_init(|| self.evaluate(cell, &model)));
        }
        match &extraction {
            Some(extraction) => self.extraction(cell, &model, extraction, &mut stages)?,
            None if self.wants(&[Goal::Localization, Goal::Boxes, Goal::Extraction, Goal::Features, Goal::Heads]) => {
                return Err(Error::usage("the matrix names no extraction, which the localization and extraction tables need")
                    .at_path(&self.experiment.path)
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

    fn evaluate(&mut self, cell: &Cell, model: &ModelStages) -> StageId {
        let parameters = EvaluateStage { architecture: model.architecture, normalization: model.normalization };
        let name = format!("evaluate {}{}", model.recipe.name, swept(cell, Section::Model));
        self.plan.add(on_frames(Stage::new(name, &parameters, Resource::Device), model))
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
        let name = format!("{} {}", model.recipe.name, extraction.name);
        let all_axes = swept(cell, Section::Extraction);
        if recipe.mode.is_localised() && self.wants(&[Goal::Localization, Goal::Boxes]) {
            self.localization(cell, model, recipe, stages);
        }
        if self.wants(&[Goal::Extraction, Goal::Features, Goal::Heads]) {
            let settings = extraction_settings(recipe, model);
            let extract = Stage::new(format!("extract {name}{all_axes}"), &ExtractStage { extraction: settings.clone() }, Resource::Device);
            let extract = self.plan.add(on_frames(extract, model));
            stages.extract = Some(extract);
            if self.wants(&[Goal::Extraction, Goal::Heads]) {
                let found = Found { cell, model, extraction, settings: &settings, extract };
                self.heads(&found, stages)?;
                if self.wants(&[Goal::Extraction]) {
                    self.speed(&found, stages);
                }
            }
        }
        Ok(())
    }

    fn heat_maps(&mut self, model: &ModelStages, cam: CamSettings, axes: &str) -> StageId {
        if let Some((_, known)) = model.heat_maps.borrow().iter().find(|(known, _)| *known == cam) {
            return *known;
        }
        let parameters = HeatMapsStage { architecture: model.architecture, normalization: model.frames.normalization, cam: cam.clone() };
        let stage = Stage::new(format!("heat-maps {}{axes}", model.recipe.name), &parameters, Resource::Device);
        let id = self.plan.add(on_frames(stage, model));
        model.heat_maps.borrow_mut().push((cam, id));
        id
    }

    fn localization(&mut self, cell: &Cell, model: &ModelStages, recipe: &ExtractionRecipe, stages: &mut CellStages) {
        let name = &model.recipe.name;
        let is_of_heat = |section, key: &str| section == Section::Extraction && ["present", "cam", "cam_layer"].contains(&key);
        let heat_axes = swept_where(cell, |section, key| section <= Section::Model || is_of_heat(section, key));
        let heat_maps = self.heat_maps(model, cam_settings(recipe), &heat_axes);
        let localize = LocalizeStage {
            roi_threshold: recipe.roi_threshold.value(),
            minimum_area: recipe.minimum_area,
            image_size: model.frames.image_size,
        };
        let place = format!("{name} at {}{heat_axes}", recipe.roi_threshold);
        let localize = Stage::new(format!("localize {place}"), &localize, Resource::Processor);
        let localize = self.plan.add(localize.output_of(input::HEAT_MAPS, heat_maps, output::HEAT_MAPS));
        stages.heat_maps = Some(heat_maps);
        stages.localize = Some(localize);
        if self.wants(&[Goal::Localization]) {
            let score = ScoreStage { image_size: model.frames.image_size, classes: model.architecture.classes };
            let score = Stage::new(format!("score {place}"), &score, Resource::Processor)
                .output_of(input::BOXES, localize, output::BOXES)
                .output_of(input::INDEX, model.frames.index, output::INDEX)
                .output_of(input::PACK, model.frames.pack, output::PACK);
            stages.score = Some(self.plan.add(score));
        }
    }
}

pub(super) fn on_frames(stage: Stage, model: &ModelStages) -> Stage {
    stage
        .output_of(input::CHECKPOINT, model.checkpoint, output::CHECKPOINT)
        .output_of(input::PACK, model.frames.pack, output::PACK)
        .output_of(input::INDEX, model.frames.index, output::INDEX)
}

/// What of the cell's swept values belongs into the name of a stage that depends on recipes of this section and of those before it:
/// " model.epochs=3".
pub(super) fn swept(cell: &Cell, last: Section) -> String {
    named(cell, |axis| section_and_rest(axis).is_some_and(|(section, _)| section <= last))
}

/// As [`swept`], for a stage that depends on some keys only; `concerns` is asked for section and key of each swept value.
pub(super) fn swept_where(cell: &Cell, concerns: impl Fn(Section, &str) -> bool) -> String {
    named(cell, |axis| {
        let Some((section, rest)) = section_and_rest(axis) else { return false };
        // `model.epochs`, or `model.gc-a.epochs`.
        let key = rest.split('.').find(|part| section.has_key(part));
        key.is_some_and(|key| concerns(section, key))
    })
}

fn named(cell: &Cell, concerns: impl Fn(&str) -> bool) -> String {
    cell.assignment.iter().filter(|(axis, _)| concerns(axis)).map(|(axis, value)| format!(" {axis}={value}")).collect()
}

fn section_and_rest(axis: &str) -> Option<(Section, &str)> {
    let (section, rest) = axis.split_once('.')?;
    Some((Section::named(section)?, rest))
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

fn cam_settings(recipe: &ExtractionRecipe) -> CamSettings {
    CamSettings { method: recipe.cam, layer: recipe.cam_layer, present: recipe.present.clone() }
}

/// Only what the mode uses, so that a value that it does not use changes no key.
fn extraction_settings(recipe: &ExtractionRecipe, model: &ModelStages) -> ExtractionSettings {
    let regions = recipe.mode.is_localised().then(|| RegionSettings {
        cam: cam_settings(recipe),
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
        crop_size: recipe.mode.cuts_out().then(|| recipe.crop_size.height_width()),
    }
}
