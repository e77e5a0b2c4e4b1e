//! Data recipes to `sample`, `index` and `pack` stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::kinds::*;
use super::naming::{Keys, read};
use super::planner::{Outside, Planner};
use super::settings::Normalization;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::{Store, stat};
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace, normalized};
use surgcam_frames::dataset::sample::SampleData;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::library::Resolved;
use surgcam_recipe::matrix::Assignment;
use surgcam_recipe::schema::{AdapterRecipe, DataRecipe, LabelSpaceRecipe};

/// The stages that hold one data recipe's frames, and what a model must know of them.
#[derive(Debug, Clone)]
pub struct DataStages {
    pub name: String,
    pub index: Handle<IndexStage>,
    pub pack: Handle<PackStage>,
    pub label_space: LabelSpace,
    /// What the label space depends on.
    pub(super) label_space_keys: Keys,
    pub image_size: [u32; 2],
    pub normalization: Normalization,
    pub has_train: bool,
    pub has_validation: bool,
}

/// The recipe's name of drawn scenes, and of a mix of other recipes.
const SAMPLE: &str = "sample";
pub(super) const MIX: &str = "mix";
/// More classes than this are a mistake in a label space.
const MOST_CLASSES: usize = 1000;

/// Where a data set is.
enum Origin {
    Drawn(Handle<SampleStage>),
    Folder { root: PathBuf, digest: Digest },
}

impl Planner<'_> {
    /// The stages of a data recipe; of a mix, those of each part. `label_space`: the model's, if it
    /// names one.
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

    /// As [`Planner::data`], where a mix makes no sense.
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
        // Models with another label space share everything but the index: it is named by both.
        let index = self.index(
            format!("index {} {space_name}{}", data.name, keys.swept(cell)),
            &parameters,
            &origin,
        );
        let label_space = classes_of(&space.value, &mut label_space_keys);
        keys.add(&label_space_keys);
        let image_size = read!(keys, recipe.image_size).height_width();
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

    /// The adapter's names with the recipe's own on top; every class must be in some label space.
    fn class_map(
        &self,
        cell: &Cell,
        data: &Resolved<DataRecipe>,
        adapter: &AdapterRecipe,
        space: &Resolved<LabelSpaceRecipe>,
        keys: &mut Keys,
    ) -> Result<ClassMap> {
        let recipe = &data.value;
        if space.value.classes.len() < 2 {
            return Err(Error::usage(format!(
                "label_space.{} has fewer than two classes",
                space.name
            ))
            .hint("the tissue is the last class, instruments stand before it"));
        }
        if space.value.classes.len() > MOST_CLASSES {
            return Err(Error::usage(format!(
                "label_space.{} has more than {MOST_CLASSES} classes",
                space.name
            )));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) =
            space.value.classes.iter().find(|class| !seen.insert(normalized(class.as_str())))
        {
            return Err(Error::usage(format!(
                "label_space.{} names the class `{}` twice",
                space.name,
                twice.as_str()
            ))
            .hint("each class has one name, and its place in the list is its number"));
        }
        let known = self.experiment.known_classes(cell)?;
        let mut names = BTreeMap::new();
        for (name, class) in read!(keys, adapter.classes).iter().chain(read!(keys, recipe.classes))
        {
            if !known.contains(class) {
                let suggestion =
                    surgcam_recipe::file::did_you_mean(class, known.iter().map(String::as_str));
                return Err(Error::usage(format!(
                    "data.{} maps `{name}` to `{}`, a class that no label space has{suggestion}",
                    data.name,
                    shortened(class)
                ))
                .hint("label spaces are declared under [label_space.NAME]"));
            }
            names.insert(normalized(name), class.clone());
        }
        Ok(ClassMap { space: classes_of(&space.value, keys), names })
    }

    fn data_root(&self, data: &Resolved<DataRecipe>, keys: &mut Keys) -> Result<PathBuf> {
        let recipe = &data.value;
        let root = read!(keys, recipe.root);
        if matches!(self.outside, Outside::Assumed) {
            return Ok(self.project.join(root.as_deref().unwrap_or(Path::new(""))));
        }
        self.existing_root(data)
    }

    fn existing_root(&self, data: &Resolved<DataRecipe>) -> Result<PathBuf> {
        let root = &data.value.root;
        let hint = format!(
            "set the folder with --set data.{}.root=..., or under [set] in surgcam.toml",
            data.name
        );
        let Some(root) = root else {
            return Err(Error::usage(format!(
                "data.{} has no root: where its pictures lie is not known",
                data.name
            ))
            .hint(hint));
        };
        let root = self.project.join(root);
        if !root.is_dir() {
            return Err(Error::usage(format!("the root of data.{} is no folder", data.name))
                .at_path(&root)
                .hint(hint));
        }
        Ok(root)
    }

    /// Hashes whatever of the folder can matter, remembered between calls and between runs.
    fn source_digest(&mut self, root: &Path, source: &SourceLayout) -> Result<Digest> {
        let memory_key = format!("{} {:?}", root.display(), source);
        if let Some(digest) = self.source_digests.get(&memory_key) {
            return Ok(*digest);
        }
        let digest = match self.outside {
            Outside::Read(store) => hash_folder(store, root, source)?,
            Outside::Assumed => Digest::of_bytes(memory_key.as_bytes()),
        };
        self.source_digests.insert(memory_key, digest);
        Ok(digest)
    }
}

/// What a data recipe says of a folder, for whoever looks into it without a plan.
#[derive(Debug)]
pub struct DescribedFolder {
    pub root: PathBuf,
    pub source: SourceLayout,
    pub classes: ClassMap,
}

/// The folder of a data recipe, which must be there, and how it is read.
pub fn described_folder(
    experiment: &Experiment,
    project: &Path,
    name: &str,
) -> Result<DescribedFolder> {
    let nothing_swept =
        Cell { model: String::new(), extraction: None, head: None, assignment: Assignment::new() };
    let cell = &nothing_swept;
    let planner = Planner::new(experiment, project, Outside::Assumed, &BTreeSet::new(), None);
    let data = experiment.data(cell, name)?;
    let recipe = &data.value;
    match recipe.adapter.as_str() {
        MIX => {
            return Err(Error::usage(format!("data.{name} is a mix of other data recipes"))
                .hint(format!("name one of its parts: {}", recipe.parts.join(", "))));
        }
        SAMPLE => {
            return Err(Error::usage(format!(
                "data.{name} draws its own scenes, so it has no folder to look into"
            )));
        }
        _ => {}
    }
    // No stage is named by them.
    let mut keys = Keys::default();
    let adapter_name = adapter_name(&data, &mut keys)?;
    let adapter = experiment.adapter(cell, &adapter_name)?;
    let space = experiment.label_space(cell, &recipe.label_space)?;
    let classes = planner.class_map(cell, &data, &adapter.value, &space, &mut keys)?;
    let source = source_layout(name, recipe, &adapter.value, &mut keys)?;
    Ok(DescribedFolder { root: planner.existing_root(&data)?, source, classes })
}

/// The adapter that a data recipe is read with, or whose layout its drawn scenes are written in.
fn adapter_name(data: &Resolved<DataRecipe>, keys: &mut Keys) -> Result<String> {
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

fn classes_of(space: &LabelSpaceRecipe, keys: &mut Keys) -> LabelSpace {
    LabelSpace {
        classes: read!(keys, space.classes)
            .iter()
            .map(|class| class.as_str().to_string())
            .collect(),
    }
}

fn hash_folder(store: &Store, root: &Path, source: &SourceLayout) -> Result<Digest> {
    let files = source.source_files(root)?;
    let digests = stat::digests(store, root, &files)?;
    let listing: String = files
        .iter()
        .zip(digests)
        .map(|(file, digest)| format!("{digest} {}\n", file.display()))
        .collect();
    Ok(Digest::of_bytes(listing.as_bytes()))
}

fn source_layout(
    name: &str,
    recipe: &DataRecipe,
    adapter: &AdapterRecipe,
    keys: &mut Keys,
) -> Result<SourceLayout> {
    let frames = read!(keys, recipe.frames).clone().or_else(|| read!(keys, adapter.frames).clone());
    let frames =
        frames.ok_or_else(|| Error::usage(format!("data.{name} has no `frames` pattern")))?;
    if recipe.train.is_empty() && recipe.validation.is_empty() {
        return Err(Error::usage(format!("data.{name} names no sequence"))
            .hint("give `train` and `validation` the sequences (or videos) to use, as in `train = [2, 3]`"));
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
