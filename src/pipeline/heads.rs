//! Plans the stages that use a cell's features: the heads that learn from them, and the
//! measurements of speed.

use std::sync::Arc;

use super::goal::Goal;
use super::head_settings::*;
use super::kinds::*;
use super::models::ModelStages;
use super::naming::swept;
use super::planned::CellStages;
use super::planner::Planner;
use super::settings::ExtractionSettings;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, HeadRecipe, Section};
use surgcam_values::{FeatureLayer, HeadTask, InteractionLoss, LearningRate, Mode, Precision};

/// The features of a cell, and what they were made from.
pub(super) struct Found<'a> {
    pub cell: &'a Cell,
    pub model: &'a ModelStages,
    pub extraction: &'a Resolved<ExtractionRecipe>,
    pub settings: &'a ExtractionSettings,
    pub extract: Handle<ExtractStage>,
    /// What `extract` reads.
    pub inputs: FrameInputs<Source>,
}

impl Found<'_> {
    fn features(&self) -> Source {
        self.extract.output(ExtractStage::FEATURES)
    }

    fn index(&self) -> Source {
        self.model.frames.index.output(IndexStage::INDEX)
    }

    fn pack(&self) -> Source {
        self.model.frames.pack.output(PackStage::PACK)
    }

    fn annotations(&self) -> Source {
        self.model.frames.index.output(IndexStage::ANNOTATIONS)
    }

    fn name(&self, task: &str, last: Section) -> String {
        format!(
            "{task} {} {}{}",
            self.model.recipe.name,
            self.extraction.name,
            swept(self.cell, last)
        )
    }

    /// The name of a head's stage. It contains the head's own name if the matrix sweeps heads.
    fn head_name(&self, task: &str, head: &Resolved<HeadRecipe>) -> String {
        let own = self.cell.head.as_ref().filter(|name| **name == head.name);
        self.name_with(task, own)
    }

    /// The name of a stage that depends on heads. `swept` is the head that the matrix gives the
    /// cell, if the stage depends on that head.
    fn name_with(&self, task: &str, swept: Option<&String>) -> String {
        let name = self.name(task, Section::Head);
        match swept {
            Some(head) => format!("{name} {head}"),
            None => name,
        }
    }
}

impl Planner<'_> {
    /// Plans every head of the cell.
    pub(super) fn heads(&mut self, found: &Found, stages: &mut CellStages) -> Result<()> {
        let heads = self.experiment.heads(found.cell)?;
        let is_table = self.wants(&[Goal::Extraction]);
        if let Some(head) = heads.get(&HeadTask::Probe).filter(|_| is_table) {
            stages.probe = Some(self.probe(found, head));
        }
        if let Some(head) = heads.get(&HeadTask::Caption) {
            check(head)?;
            stages.caption = Some(self.caption(found, head)?);
        }
        if let Some(head) = heads.get(&HeadTask::Interaction) {
            check(head)?;
            let interact = self.interact(found, head);
            stages.interact = Some(interact);
            stages.predict_interactions =
                is_table.then(|| self.predict_interactions(found, head, interact));
        }
        if is_table && (stages.caption.is_some() || stages.interact.is_some()) {
            let mut used = HeadUse::default();
            if let Some(head) = heads.get(&HeadTask::Caption) {
                (used.search, used.caption_regions) =
                    (search(&head.value), head.value.maximum_regions.get());
            }
            if let Some(head) = heads.get(&HeadTask::Interaction) {
                used.interaction_regions = head.value.maximum_regions.get();
            }
            self.tasks_speed(found, stages, used);
        }
        Ok(())
    }

    fn probe(&mut self, found: &Found, head: &Resolved<HeadRecipe>) -> Handle<ProbeStage> {
        let parameters = ProbeStage {
            ridge: head.value.ridge.value(),
            classes: found.model.architecture.classes,
            shuffled: found.extraction.value.shuffled,
        };
        let inputs =
            ProbeInputs { features: found.features(), index: found.index(), pack: found.pack() };
        self.plan.add(NewStage::new(
            found.head_name(ProbeStage::NAME, head),
            &parameters,
            inputs,
            Resource::Processor,
        ))
    }

    fn caption(
        &mut self,
        found: &Found,
        head: &Arc<Resolved<HeadRecipe>>,
    ) -> Result<Handle<CaptionStage>> {
        let recipe = &head.value;
        let parameters = CaptionStage {
            training: training(recipe, found),
            transformer: TransformerSettings {
                width: recipe.width.get(),
                layers: recipe.layers.get(),
                attention_heads: recipe.attention_heads.get(),
                feed_forward: recipe.feed_forward.get(),
                memory_slots: recipe.memory_slots.get(),
                dropout: recipe.dropout.value(),
            },
            warm_up_steps: recipe.warm_up_steps.get(),
            label_smoothing: recipe.label_smoothing.value(),
            minimum_frequency: recipe.minimum_frequency.get(),
            search: search(recipe),
            self_critical: (recipe.self_critical_epochs.get() > 0).then(|| SelfCritical {
                epochs: recipe.self_critical_epochs.get(),
                learning_rate: recipe.self_critical_learning_rate.value(),
            }),
            joint: joint(head, found)?,
        };
        let inputs = CaptionInputs {
            features: found.features(),
            index: found.index(),
            pack: found.pack(),
            annotations: found.annotations(),
            checkpoint: parameters.joint.is_some().then(|| found.model.checkpoint.source()),
        };
        let resource = resource(parameters.needs_one_core());
        Ok(self.plan.add(NewStage::new(
            found.head_name(CaptionStage::NAME, head),
            &parameters,
            inputs,
            resource,
        )))
    }

    fn interact(&mut self, found: &Found, head: &Resolved<HeadRecipe>) -> Handle<InteractStage> {
        let recipe = &head.value;
        let graph = GraphSettings {
            width: recipe.width.get(),
            rounds: recipe.layers.get(),
            attention_heads: recipe.attention_heads.get(),
            dropout: recipe.dropout.value(),
            classes: found.model.architecture.classes,
            image_size: found.model.frames.image_size,
        };
        let stage_of = |name: String, loss, biased: Option<Handle<InteractStage>>| {
            let parameters = InteractStage { training: training(recipe, found), graph, loss };
            let inputs = InteractInputs {
                features: found.features(),
                index: found.index(),
                pack: found.pack(),
                annotations: found.annotations(),
                biased: biased.map(|biased| biased.output(InteractStage::HEAD)),
            };
            NewStage::new(name, &parameters, inputs, resource(parameters.needs_one_core()))
        };
        let name = found.head_name(InteractStage::NAME, head);
        let biased = (recipe.loss == InteractionLoss::CogTree).then(|| {
            self.plan.add(stage_of(format!("{name} (biased)"), InteractionLoss::CrossEntropy, None))
        });
        self.plan.add(stage_of(name, recipe.loss, biased))
    }

    fn predict_interactions(
        &mut self,
        found: &Found,
        head: &Resolved<HeadRecipe>,
        interact: Handle<InteractStage>,
    ) -> Handle<PredictInteractionsStage> {
        let training = training(&head.value, found);
        let parameters = PredictInteractionsStage {
            maximum_regions: training.maximum_regions,
            shuffled_by: training.shuffled.then_some(training.seed),
        };
        let inputs = PredictInteractionsInputs {
            head: interact.output(InteractStage::HEAD),
            features: found.features(),
            index: found.index(),
            pack: found.pack(),
            annotations: found.annotations(),
        };
        let name = found.head_name(PredictInteractionsStage::NAME, head);
        self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Processor))
    }

    /// Plans the measurement of frames per second from pixels to features.
    pub(super) fn speed(&mut self, found: &Found, stages: &mut CellStages) {
        let Some(machine) = self.machine.filter(|_| self.experiment.recipe.speed) else { return };
        let speed = MeasureStage {
            extraction: found.settings.clone(),
            frames: self.experiment.recipe.speed_frames.get(),
            seconds: self.experiment.recipe.speed_seconds.value(),
            warm_up: self.experiment.recipe.speed_warm_up.get(),
            machine: machine.clone(),
        };
        let name = found.name(MeasureStage::NAME, Section::Extraction);
        stages.measure = Some(self.plan.add(NewStage::new(
            name,
            &speed,
            found.inputs.clone(),
            Resource::Device,
        )));
    }

    /// Plans the measurement of frames per second from pixels to caption and graph.
    fn tasks_speed(&mut self, found: &Found, stages: &mut CellStages, heads: HeadUse) {
        let Some(machine) = self
            .machine
            .filter(|_| self.experiment.recipe.speed && !found.extraction.value.shuffled)
        else {
            return;
        };
        let speed = MeasureTasksStage {
            extraction: found.settings.clone(),
            heads,
            frames: self.experiment.recipe.speed_frames.get(),
            seconds: self.experiment.recipe.speed_seconds.value(),
            warm_up: self.experiment.recipe.speed_warm_up.get(),
            machine: machine.clone(),
        };
        let FrameInputs { checkpoint, pack, index, detections } = found.inputs.clone();
        let inputs = MeasureTasksInputs {
            checkpoint,
            pack,
            index,
            detections,
            caption: stages.caption.map(|caption| caption.output(CaptionStage::HEAD)),
            interact: stages.interact.map(|interact| interact.output(InteractStage::HEAD)),
        };
        let name = found.name_with(MeasureTasksStage::NAME, found.cell.head.as_ref());
        stages.measure_tasks =
            Some(self.plan.add(NewStage::new(name, &speed, inputs, Resource::Device)));
    }
}

/// A head with more weights takes 16 GB for its training alone.
const MOST_WEIGHTS: usize = 1_000_000_000;

/// Roughly how many weights a head's network has. Only its matrices are counted. A captioner's
/// decoder has one gate for each pair of layers.
fn weights(recipe: &HeadRecipe) -> usize {
    let (width, layers) = (recipe.width.get(), recipe.layers.get());
    let attention = 4 * width * width;
    match recipe.task {
        HeadTask::Probe => 0,
        HeadTask::Interaction => layers * 2 * attention,
        HeadTask::Caption => {
            let feed_forward = 2 * width * recipe.feed_forward.get();
            let encoder = attention + feed_forward + 2 * width * recipe.memory_slots.get();
            let decoder = 2 * attention + feed_forward + layers * 2 * width * width;
            layers * (encoder + decoder)
        }
    }
}

fn resource(needs_one_core: bool) -> Resource {
    if needs_one_core { Resource::Processor } else { Resource::Device }
}

/// Fails if the shape of a head that is to be trained makes no sense.
pub(super) fn check(head: &Resolved<HeadRecipe>) -> Result<()> {
    let recipe = &head.value;
    let (width, heads) = (recipe.width.get(), recipe.attention_heads.get());
    if !fits_attention_heads(width, heads) {
        return Err(Error::usage(format!(
            "head.{} has a width of {width} and {heads} attention heads",
            head.name
        ))
        .hint("choose an even width that is a multiple of attention_heads"));
    }
    if weights(recipe) > MOST_WEIGHTS {
        return Err(Error::usage(format!(
            "head.{} has {} weights, more than {MOST_WEIGHTS}",
            head.name,
            weights(recipe)
        ))
        .hint("choose a smaller width, or fewer layers"));
    }
    if recipe.self_critical_epochs.get() > 0 && recipe.beam.get() < 2 {
        return Err(Error::usage(format!(
            "head.{} has self-critical epochs and a beam of 1: a sentence is rewarded against its \
             beam's mean",
            head.name
        ))
        .hint("set head.beam to 2 or more, or head.self_critical_epochs = 0"));
    }
    Ok(())
}

fn search(recipe: &HeadRecipe) -> CaptionSearch {
    CaptionSearch { beam: recipe.beam.get(), longest: recipe.longest_caption.get() }
}

fn training(recipe: &HeadRecipe, found: &Found) -> HeadTraining {
    let usual = if recipe.task == HeadTask::Caption { 1.0 } else { 1e-3 };
    HeadTraining {
        epochs: recipe.epochs.get(),
        batch_size: recipe.batch_size.get(),
        learning_rate: recipe.learning_rate.map_or(usual, LearningRate::value),
        maximum_regions: recipe.maximum_regions.get(),
        shuffled: found.extraction.value.shuffled,
        seed: recipe.seed,
    }
}

/// The settings of epochs in which the backbone learns, too. The gradient reaches the backbone only
/// through SL-FE with heat maps in closed form, so other extractions are refused.
fn joint(head: &Resolved<HeadRecipe>, found: &Found) -> Result<Option<JointTraining>> {
    if head.value.joint_epochs.get() == 0 {
        return Ok(None);
    }
    let extraction = &found.extraction.value;
    if extraction.mode != Mode::SlFe
        || extraction.cam_layer != FeatureLayer::Layer4
        || extraction.shuffled
    {
        return Err(Error::usage(format!(
            "head.{} learns with the backbone, which goes through SL-FE with `cam_layer = \
             \"layer4\"` and unshuffled features; extraction.{} is another way",
            head.name, found.extraction.name
        ))
        .hint("sweep it over `extraction = [\"sl-fe\"]` alone, or set head.joint_epochs = 0"));
    }
    if extraction.precision != Precision::F32 {
        return Err(Error::usage(format!(
            "head.{} learns with the backbone, which is trained in f32; extraction.{} counts in {}",
            head.name,
            found.extraction.name,
            extraction.precision.name()
        ))
        .hint("set extraction.precision = \"f32\", or head.joint_epochs = 0"));
    }
    if !extraction.batch_norm.is_default() {
        return Err(Error::usage(format!(
            "head.{} learns with the backbone, whose batch normalisations then use the running \
             statistics; extraction.{} uses those of the {}",
            head.name,
            found.extraction.name,
            extraction.batch_norm.name()
        ))
        .hint("set extraction.batch_norm = \"running\", or head.joint_epochs = 0"));
    }
    if found.model.architecture.clip_length.is_some() {
        return Err(Error::usage(format!(
            "head.{} learns with the backbone, frame by frame; model.{} sees clips",
            head.name, found.model.recipe.name
        ))
        .hint("set model.clip_length = 1, or head.joint_epochs = 0"));
    }
    Ok(Some(JointTraining {
        epochs: head.value.joint_epochs.get(),
        learning_rate: head.value.joint_learning_rate.value(),
        extraction: found.settings.clone(),
    }))
}
