//! Plans the stages that make the checkpoint of a model recipe: training and what it starts from,
//! or the import of weights that are used as they are.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::clips::{check_clips, clip_length};
use super::kinds::*;
use super::naming::{Keys, read, swept};
use super::planned::Checkpoint;
use super::planner::{Outside, Planner};
use super::settings::{Architecture, CamSettings, Normalization, Plateau};
use super::sources::DataStages;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::stat;
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ModelRecipe, Section};
use surgcam_values::*;

/// The most models of a chain in which each is fine-tuned from the one before it.
const LONGEST_CHAIN: usize = 100;

/// A model with the stages that make it.
pub(super) struct ModelStages {
    pub(super) recipe: Arc<Resolved<ModelRecipe>>,
    pub(super) checkpoint: Checkpoint,
    pub(super) architecture: Architecture,
    /// The normalization of frames in training and evaluation.
    pub(super) normalization: Normalization,
    pub(super) frames: DataStages,
    /// Stages that its cells share. They are planned when the first cell needs them.
    pub(super) evaluate: OnceCell<Handle<EvaluateStage>>,
    pub(super) heat_maps: RefCell<Vec<(CamSettings, Handle<HeatMapsStage>)>>,
}

impl ModelStages {
    /// The inputs of stages that send the model's frames through its network.
    pub(super) fn inputs(&self) -> FrameInputs<Source> {
        FrameInputs {
            checkpoint: self.checkpoint.source(),
            pack: self.frames.pack.output(PackStage::PACK),
            index: self.frames.index.output(IndexStage::INDEX),
            detections: None,
        }
    }
}

/// The models that were planned so far, by their names and by those values of a cell that can
/// change a model. Thousands of cells share a few models.
#[derive(Default)]
pub(super) struct Models {
    known: HashMap<String, Rc<ModelStages>>,
}

impl Models {
    /// The cell's model. Cells that differ only in how features are extracted share it.
    pub(super) fn of_cell(
        &mut self,
        planner: &mut Planner,
        cell: &Cell,
    ) -> Result<Rc<ModelStages>> {
        let question = format!("{}{}", cell.model, swept(cell, Section::Model));
        if let Some(known) = self.known.get(&question) {
            return Ok(known.clone());
        }
        let model = Rc::new(planner.model(cell, &cell.model, &mut Vec::new())?);
        self.known.insert(question, model.clone());
        Ok(model)
    }
}

impl Planner<'_> {
    /// Plans a model. `descendants` are the models that are fine-tuned from this one, so that a
    /// circle is found.
    pub(super) fn model(
        &mut self,
        cell: &Cell,
        name: &str,
        descendants: &mut Vec<String>,
    ) -> Result<ModelStages> {
        let recipe = self.experiment.model(cell, name)?;
        let model = &recipe.value;
        if model.data.is_empty() {
            return Err(Error::usage(format!("model.{name} names no data recipe"))
                .hint("add `data = \"endovis18\"`"));
        }
        let training = self.data(cell, &model.data, model.label_space.as_deref())?;
        let validation_name = model.validation.as_ref().unwrap_or(&model.data);
        let frames =
            self.single_data(cell, validation_name, model.label_space.as_deref(), "validated on")?;
        if training[0].label_space != frames.label_space
            || training[0].image_size != frames.image_size
        {
            return Err(Error::usage(format!(
                "model.{name} is trained on data.{} and validated on data.{}, which differ in \
                 label_space or image_size",
                training[0].name, frames.name
            )));
        }
        let architecture = Architecture {
            backbone: model.backbone,
            classes: frames.label_space.len(),
            clip_length: clip_length(model.clip_length),
        };
        let own = |data: &DataStages| Normalization {
            mean: model.mean.map_or(data.normalization.mean, ChannelMeans::values),
            std: model.std.map_or(data.normalization.std, ChannelDeviations::values),
        };
        let checkpoint = match model.train {
            Training::None => Checkpoint::Imported(self.imported(cell, &recipe, &frames)?),
            Training::Full => {
                check_sequences(&recipe, &training, &frames)?;
                check_clips(&recipe, &training)?;
                let start = self.start(cell, &recipe, descendants)?;
                let parameters =
                    train_parameters(model, architecture, own(&training[0]), own(&frames));
                Checkpoint::Trained(self.train(cell, name, &parameters, &training, &frames, start))
            }
        };
        Ok(ModelStages {
            checkpoint,
            architecture,
            normalization: own(&frames),
            frames,
            recipe,
            evaluate: OnceCell::new(),
            heat_maps: RefCell::default(),
        })
    }

    /// The stage whose checkpoint training starts from, or `None` for a random start.
    fn start(
        &mut self,
        cell: &Cell,
        recipe: &Resolved<ModelRecipe>,
        descendants: &mut Vec<String>,
    ) -> Result<Option<Checkpoint>> {
        let model = &recipe.value;
        if let Some(parent) = &model.fine_tune_from {
            descendants.push(recipe.name.clone());
            if descendants.len() > LONGEST_CHAIN {
                return Err(Error::usage(format!(
                    "model.{} is fine-tuned from more than {LONGEST_CHAIN} others",
                    descendants[0]
                )));
            }
            if descendants.contains(parent) {
                return Err(Error::usage(format!(
                    "model.{parent} is fine-tuned from itself ({})",
                    descendants.join(" from ")
                )));
            }
            let parent = self.model(cell, parent, descendants)?;
            descendants.pop();
            if parent.architecture.backbone != model.backbone {
                return Err(Error::usage(format!(
                    "model.{} is fine-tuned from model.{}, which has another backbone",
                    recipe.name, parent.recipe.name
                )));
            }
            return Ok(Some(parent.checkpoint));
        }
        match &model.init {
            Init::Random => Ok(None),
            Init::File(file) => {
                let hint = format!(
                    "put the file there, or start without it: --set model.{}.init=random",
                    recipe.name
                );
                let mut keys = Keys::default();
                let parameters = ImportStage {
                    backbone: *read!(keys, model.backbone),
                    classes: None,
                    clip_length: None,
                };
                let name = format!("import {}{}", file.file.display(), keys.swept(cell));
                let weights = self.weights_file(
                    &recipe.name,
                    &file.file,
                    file.sha256.as_deref(),
                    &hint,
                    name,
                    &parameters,
                )?;
                Ok(Some(Checkpoint::Imported(weights)))
            }
        }
    }

    fn imported(
        &mut self,
        cell: &Cell,
        recipe: &Resolved<ModelRecipe>,
        frames: &DataStages,
    ) -> Result<Handle<ImportStage>> {
        let model = &recipe.value;
        // The label space says how many classes there must be, and the model may name it.
        let mut keys = frames.label_space_keys.clone();
        let _ = read!(keys, model.label_space);
        let Some(file) = read!(keys, model.weights) else {
            return Err(Error::usage(format!(
                "model.{} is not trained and names no weights",
                recipe.name
            ))
            .hint(
                "add `weights = \"path/to/weights.safetensors\"`, or take `train = \"none\"` out",
            ));
        };
        let parameters = ImportStage {
            backbone: *read!(keys, model.backbone),
            classes: Some(frames.label_space.len()),
            clip_length: clip_length(*read!(keys, model.clip_length)),
        };
        let hint = "check the path; it counts from the project's folder";
        let name = format!("import {}{}", recipe.name, keys.swept(cell));
        self.weights_file(
            &recipe.name,
            file,
            model.weights_sha256.as_deref(),
            hint,
            name,
            &parameters,
        )
    }

    fn weights_file(
        &mut self,
        model: &str,
        file: &Path,
        wanted: Option<&str>,
        hint: &str,
        stage_name: String,
        parameters: &ImportStage,
    ) -> Result<Handle<ImportStage>> {
        let path: PathBuf = self.project.join(file);
        let digest = match self.outside {
            Outside::Assumed => Digest::of_bytes(path.as_os_str().as_encoded_bytes()),
            Outside::Read(store) => {
                if !path.is_file() {
                    return Err(Error::usage(format!(
                        "the weights file of model.{model} is not there"
                    ))
                    .at_path(&path)
                    .hint(hint));
                }
                let digest = stat::digest(store, &path).map_err(Error::as_usage)?;
                if let Some(wanted) = wanted {
                    compare(model, &digest, wanted).map_err(|error| error.at_path(&path))?;
                }
                digest
            }
        };
        let inputs = ImportInputs { weights: Source::External(digest) };
        let stage = NewStage::new(stage_name, parameters, inputs, Resource::Processor);
        Ok(self.plan.add(stage.with_path(ImportStage::WEIGHTS, path)))
    }

    fn train(
        &mut self,
        cell: &Cell,
        name: &str,
        parameters: &TrainStage,
        training: &[DataStages],
        validation: &DataStages,
        start: Option<Checkpoint>,
    ) -> Handle<TrainStage> {
        let inputs = TrainInputs {
            pack: training.iter().map(|part| part.pack.output(PackStage::PACK)).collect(),
            index: training.iter().map(|part| part.index.output(IndexStage::INDEX)).collect(),
            validation_pack: validation.pack.output(PackStage::PACK),
            validation_index: validation.index.output(IndexStage::INDEX),
            checkpoint: start.map(Checkpoint::source),
        };
        let name = format!("train {name}{}", swept(cell, Section::Model));
        self.plan.add(NewStage::new(name, parameters, inputs, Resource::Device))
    }
}

/// Fails if there are no sequences to train on, or none to validate on.
fn check_sequences(
    recipe: &Resolved<ModelRecipe>,
    training: &[DataStages],
    validation: &DataStages,
) -> Result<()> {
    let lacking = |data: &str, action: &str, key: &str| {
        Err(Error::usage(format!(
            "model.{} is {action} data.{data}, which names no {key} sequence",
            recipe.name
        ))
        .hint(format!("give data.{data} the sequences (or videos) to use, as in `{key} = [2, 3]`")))
    };
    if !training.iter().any(|part| part.has_train) {
        return lacking(&training[0].name, "trained on", "train");
    }
    if !validation.has_validation {
        return lacking(&validation.name, "validated on", "validation");
    }
    Ok(())
}

/// Fails if a weights file does not have the digest that the recipe gives.
fn compare(model: &str, digest: &Digest, wanted: &str) -> Result<()> {
    let wanted = wanted.trim_start_matches("sha256:").to_lowercase();
    if wanted.len() >= 8 && digest.hex().starts_with(&wanted) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the weights file of model.{model} has the digest {digest}, the recipe says {}",
        shortened(wanted)
    ))
    .hint(
        "it is another file or a broken download; fetch it again, or correct the recipe (8 to 64 \
         hexadecimal digits)",
    ))
}

fn train_parameters(
    model: &ModelRecipe,
    architecture: Architecture,
    normalization: Normalization,
    validation_normalization: Normalization,
) -> TrainStage {
    TrainStage {
        architecture,
        normalization,
        validation_normalization,
        augmentation: model.augmentation,
        epochs: model.epochs.get(),
        batch_size: model.batch_size.get(),
        learning_rate: model.learning_rate.value(),
        momentum: model.momentum.value(),
        weight_decay: model.weight_decay.value(),
        dropout: model.dropout.value(),
        plateau: Plateau {
            factor: model.plateau_factor.value(),
            patience: model.plateau_patience.into(),
            threshold: model.plateau_threshold.value(),
        },
        precision: model.precision,
        seed: model.seed,
    }
}
