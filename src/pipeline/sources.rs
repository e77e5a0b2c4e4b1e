//! Plans the `sample`, `index` and `pack` stages of data recipes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::class_map::{classes_of, interactions_of_verbs};
use super::kinds::*;
use super::naming::{Keys, read};
use super::planner::Planner;
use super::settings::Normalization;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_engine::store::digest::Digest;
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace};
use surgcam_frames::dataset::sample::SampleData;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{AdapterRecipe, DataRecipe};

/// The stages that hold the frames of one data recipe, and what a model must know about these
/// frames.
#[derive(Debug, Clone)]
pub struct DataStages {
    pub name: String,
    pub index: Handle<IndexStage>,
    pub pack: Handle<PackStage>,
    pub label_space: LabelSpace,
    /// The keys that the label space depends on.
    pub(super) label_space_keys: Keys,
    pub image_size: [u32; 2],
    pub normalization: Normalization,
    pub has_train: bool,
    pub has_validation: bool,
    /// Only drawn scenes have it.
    pub drawn_frames_per_sequence: Option<usize>,
    /// The data set's names of classes.
    pub(super) classes: ClassMap,
    pub(super) origin: Origin,
}

/// The adapter names that a recipe gives for drawn scenes and for a mix of other recipes.
pub(super) const SAMPLE: &str = "sample";
pub(super) const MIX: &str = "mix";

/// Where a data set is.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Drawn(Handle<SampleStage>),
    Folder { root: PathBuf, digest: Digest },
}

impl Planner<'_> {
    /// Plans the stages of a data recipe or, for a mix, those of each part. `label_space` is the
    /// one that the model names, if it names one.
    pub(super) fn data(
        &mut self,
        cell: &Cell,
        name: &str,
        label_space: Option<&str>,
    ) -> Result<Vec<DataStages>> {
        let data = self.experiment.data(cell, name)?;
        if data.value.adapter != MIX {
            return Ok(vec![self.single(cell, &data, label_space)?]);
        }
        if data.value.parts.is_empty() {
            return Err(Error::usage(format!("data.{name} is a mix without parts"))
                .hint("add `parts = [\"endovis18\", \"cholec80\"]`"));
        }
        let mut stages = Vec::new();
        for part in &data.value.parts {
            let part = self.experiment.data(cell, part)?;
            if part.value.adapter == MIX {
                return Err(Error::usage(format!(
                    "data.{name} is a mix of data.{}, which is a mix itself",
                    part.name
                )));
            }
            stages.push(self.single(cell, &part, label_space)?);
        }
        let first = &stages[0];
        if let Some(other) = stages.iter().find(|part| {
            part.label_space != first.label_space || part.image_size != first.image_size
        }) {
            return Err(Error::usage(format!(
                "data.{name} mixes data.{} and data.{}, which differ in label_space or image_size",
                first.name, other.name
            )));
        }
        Ok(stages)
    }

    /// Like [`Planner::data`], for uses that do not allow a mix.
    pub(super) fn single_data(
        &mut self,
        cell: &Cell,
        name: &str,
        label_space: Option<&str>,
        use_: &str,
    ) -> Result<DataStages> {
        let mut stages = self.data(cell, name, label_space)?;
        match stages.len() {
            1 => Ok(stages.remove(0)),
            _ => Err(Error::usage(format!("data.{name} is a mix, which cannot be {use_}"))
                .hint("give the model a `validation` data recipe")),
        }
    }

    fn single(
        &mut self,
        cell: &Cell,
        data: &Resolved<DataRecipe>,
        label_space: Option<&str>,
    ) -> Result<DataStages> {
        let recipe = &data.value;
        let (mut keys, mut label_space_keys) = (Keys::default(), Keys::default());
        let adapter_name = adapter_name(data, &mut keys)?;
        let adapter = &self.experiment.adapter(cell, &adapter_name)?.value;
        let space_name = match label_space {
            Some(of_model) => of_model,
            None => read!(label_space_keys, recipe.label_space).as_str(),
        };
        let space = self.experiment.label_space(cell, space_name)?;
        let mut sample_keys = keys.clone();
        let classes = self.class_map(cell, data, adapter, &space, &mut keys)?;
        let source = source_layout(&data.name, recipe, adapter, &mut keys)?;
        let parameters =
            IndexStage { source, classes, on_bad_frame: *read!(keys, recipe.on_bad_frame) };
        let origin = if recipe.adapter == SAMPLE {
            let sample = self.sample(cell, data, adapter, &mut sample_keys);
            keys.add(&sample_keys);
            Origin::Drawn(sample)
        } else {
            let root = self.data_root(data, &mut keys)?;
            let digest =
                self.source_digest(&root, &parameters.source).map_err(|error| error.as_usage())?;
            Origin::Folder { root, digest }
        };
        // Models with another label space share everything except the index, so its name has both
        // names.
        let index = self.index(
            format!("index {} {space_name}{}", data.name, keys.swept(cell)),
            &parameters,
            &origin,
        );
        let label_space = classes_of(&space.value, &mut label_space_keys);
        keys.add(&label_space_keys);
        let image_size = read!(keys, recipe.image_size).height_width();
        let classes = parameters.classes;
        let parameters = PackStage { image_size, on_bad_frame: recipe.on_bad_frame };
        let pack = self.pack(
            format!("pack {}{}", data.name, keys.swept(cell)),
            &parameters,
            index,
            &origin,
        );
        Ok(DataStages {
            name: data.name.clone(),
            index,
            pack,
            label_space,
            label_space_keys,
            image_size,
            normalization: Normalization { mean: recipe.mean.values(), std: recipe.std.values() },
            has_train: !recipe.train.is_empty(),
            has_validation: !recipe.validation.is_empty(),
            drawn_frames_per_sequence: (recipe.adapter == SAMPLE)
                .then(|| recipe.frames_per_sequence.get()),
            classes,
            origin,
        })
    }

    fn sample(
        &mut self,
        cell: &Cell,
        data: &Resolved<DataRecipe>,
        adapter: &AdapterRecipe,
        keys: &mut Keys,
    ) -> Handle<SampleStage> {
        let parameters = SampleStage { sample: sample_data(&data.value, adapter, keys) };
        let name = format!("sample {}{}", data.name, keys.swept(cell));
        self.plan.add(NewStage::new(name, &parameters, NoInputs, Resource::Processor))
    }

    fn index(
        &mut self,
        name: String,
        parameters: &IndexStage,
        origin: &Origin,
    ) -> Handle<IndexStage> {
        let inputs = match origin {
            Origin::Drawn(sample) => IndexInputs::Sample(sample.output(SampleStage::SAMPLE)),
            Origin::Folder { digest, .. } => IndexInputs::Source(Source::External(*digest)),
        };
        let mut stage = NewStage::new(name, parameters, inputs, Resource::Processor);
        if let Origin::Folder { root, .. } = origin {
            stage = stage.with_path(IndexStage::ROOT, root.clone());
        }
        self.plan.add(stage)
    }

    fn pack(
        &mut self,
        name: String,
        parameters: &PackStage,
        index: Handle<IndexStage>,
        origin: &Origin,
    ) -> Handle<PackStage> {
        let sample = match origin {
            Origin::Drawn(sample) => Some(sample.output(SampleStage::SAMPLE)),
            Origin::Folder { .. } => None,
        };
        let inputs = PackInputs { pictures: index.output(IndexStage::PICTURES), sample };
        let mut stage = NewStage::new(name, parameters, inputs, Resource::Processor);
        if let Origin::Folder { root, .. } = origin {
            stage = stage.with_path(PackStage::ROOT, root.clone());
        }
        self.plan.add(stage)
    }
}

/// The adapter that a data recipe is read with, or whose layout its drawn scenes are written in.
pub(super) fn adapter_name(data: &Resolved<DataRecipe>, keys: &mut Keys) -> Result<String> {
    let recipe = &data.value;
    if read!(keys, recipe.adapter).is_empty() {
        return Err(Error::usage(format!("data.{} names no adapter", data.name))
            .hint("add `adapter = \"endovis18\"`, \"cholec80\" or \"sample\""));
    }
    if recipe.adapter != SAMPLE {
        return Ok(recipe.adapter.clone());
    }
    match read!(keys, recipe.layout).as_deref() {
        None => Err(Error::usage(format!("data.{} draws scenes but names no `layout`", data.name))
            .hint("add `layout = \"endovis18\"`")),
        Some("") => Err(Error::usage(format!("data.{} names no adapter", data.name))
            .hint("add `layout = \"endovis18\"` or \"cholec80\"")),
        Some(layout) => Ok(layout.to_string()),
    }
}

pub(super) fn source_layout(
    name: &str,
    recipe: &DataRecipe,
    adapter: &AdapterRecipe,
    keys: &mut Keys,
) -> Result<SourceLayout> {
    let frames = read!(keys, recipe.frames).clone().or_else(|| read!(keys, adapter.frames).clone());
    let frames =
        frames.ok_or_else(|| Error::usage(format!("data.{name} has no `frames` pattern")))?;
    if recipe.train.is_empty() && recipe.validation.is_empty() {
        let error = Error::usage(format!("data.{name} names no sequence"));
        return Err(match &recipe.split_hint {
            Some(hint) => error.hint(hint),
            None => error.hint(
                "give `train` and `validation` the sequences (or videos) to use, as in `train = \
                 [2, 3]`",
            ),
        });
    }
    Ok(SourceLayout {
        layout: *read!(keys, adapter.layout),
        train: read!(keys, recipe.train).clone(),
        validation: read!(keys, recipe.validation).clone(),
        frames,
        labels: read!(keys, recipe.labels)
            .clone()
            .unwrap_or_else(|| read!(keys, adapter.labels).clone()),
        boxes: read!(keys, recipe.boxes)
            .clone()
            .unwrap_or_else(|| read!(keys, adapter.boxes).clone()),
        captions: read!(keys, recipe.captions)
            .clone()
            .unwrap_or_else(|| read!(keys, adapter.captions).clone()),
        interactions: read!(keys, recipe.interactions)
            .clone()
            .unwrap_or_else(|| read!(keys, adapter.interactions).clone()),
        frame_step: read!(keys, recipe.frame_step)
            .unwrap_or_else(|| *read!(keys, adapter.frame_step))
            .get() as u32,
        verbs: interactions_of_verbs(name, recipe, adapter, keys)?,
    })
}

fn sample_data(recipe: &DataRecipe, adapter: &AdapterRecipe, keys: &mut Keys) -> SampleData {
    let sequences: BTreeSet<u32> =
        read!(keys, recipe.train).iter().chain(read!(keys, recipe.validation)).copied().collect();
    SampleData {
        layout: *read!(keys, adapter.layout),
        sequences: sequences.into_iter().collect(),
        frames_per_sequence: read!(keys, recipe.frames_per_sequence).get() as u32,
        picture_size: read!(keys, recipe.picture_size).height_width(),
        seed: *read!(keys, recipe.seed),
    }
}
