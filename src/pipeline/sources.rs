//! Data recipes to `sample`, `index` and `pack` stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::build::{Builder, Outside, swept_where};
use super::stages::*;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Resource, Source, Stage, StageId};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::{Store, stat};
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace, normalized};
use surgcam_frames::dataset::sample::SampleData;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{AdapterRecipe, DataRecipe, LabelSpaceRecipe, Section};

/// The stages that hold one data recipe's frames, and what a model must know of them.
#[derive(Debug, Clone)]
pub struct DataStages {
    pub name: String,
    pub index: StageId,
    pub pack: StageId,
    pub label_space: LabelSpace,
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

impl Builder<'_> {
    /// The stages of a data recipe; of a mix, those of each part. `label_space`: the model's, if it names one.
    pub(super) fn data(&mut self, cell: &Cell, name: &str, label_space: Option<&str>) -> Result<Vec<DataStages>> {
        let data = self.experiment.data(cell, name)?;
        if data.value.adapter != MIX {
            return Ok(vec![self.single(cell, &data, label_space)?]);
        }
        if data.value.parts.is_empty() {
            return Err(Error::usage(format!("data.{name} is a mix without parts")).hint("add `parts = [\"endovis18\", \"cholec80\"]`"));
        }
        let mut stages = Vec::new();
        for part in &data.value.parts {
            let part = self.experiment.data(cell, part)?;
            if part.value.adapter == MIX {
                return Err(Error::usage(format!("data.{name} is a mix of data.{}, which is a mix itself", part.name)));
            }
            stages.push(self.single(cell, &part, label_space)?);
        }
        let first = &stages[0];
        if let Some(other) = stages.iter().find(|part| part.label_space != first.label_space || part.image_size != first.image_size) {
            return Err(Error::usage(format!(
                "data.{name} mixes data.{} and data.{}, which differ in label_space or image_size",
                first.name, other.name
            )));
        }
        Ok(stages)
    }

    /// As [`Builder::data`], where a mix makes no sense.
    pub(super) fn single_data(&mut self, cell: &Cell, name: &str, label_space: Option<&str>, use_: &str) -> Result<DataStages> {
        let mut stages = self.data(cell, name, label_space)?;
        match stages.len() {
            1 => Ok(stages.remove(0)),
            _ => {
                Err(Error::usage(format!("data.{name} is a mix, which cannot be {use_}")).hint("give the model a `validation` data recipe"))
            }
        }
    }

    fn single(&mut self, cell: &Cell, data: &Resolved<DataRecipe>, label_space: Option<&str>) -> Result<DataStages> {
        let recipe = &data.value;
        let is_sample = recipe.adapter == SAMPLE;
        let adapter_name = match (&recipe.layout, is_sample) {
            (Some(layout), true) => layout.clone(),
            (None, true) => {
                return Err(
                    Error::usage(format!("data.{} draws scenes but names no `layout`", data.name)).hint("add `layout = \"endovis18\"`")
                );
            }
            (_, false) => recipe.adapter.clone(),
        };
        if adapter_name.is_empty() {
            return Err(Error::usage(format!("data.{} names no adapter", data.name))
                .hint("add `adapter = \"endovis18\"`, \"cholec80\" or \"sample\""));
        }
        let adapter = &self.experiment.adapter(cell, &adapter_name)?.value;
        let space_name = label_space.unwrap_or(&recipe.label_space);
        let space = self.experiment.label_space(cell, space_name)?;
        let classes = self.class_map(cell, data, adapter, &space)?;
        let source = source_layout(&data.name, recipe, adapter)?;
        let index_parameters = IndexStage { source: source.clone(), classes, on_bad_frame: recipe.on_bad_frame };
        let image_size = recipe.image_size.height_width();
        let pack_parameters = PackStage { image_size, on_bad_frame: recipe.on_bad_frame };
        // Models with another label space share everything but the index: it is named by both.
        let index_axes = swept_data(cell, &["image_size", "mean", "std", "label_space"]);
        let index_stage = Stage::new(format!("index {} {space_name}{index_axes}", data.name), &index_parameters, Resource::Processor);
        let pack_axes = swept_data(cell, &["mean", "std"]);
        let pack_stage = Stage::new(format!("pack {}{pack_axes}", data.name), &pack_parameters, Resource::Processor);
        let (index, pack) = if is_sample {
            let sample_parameters = SampleStage { sample: sample_data(recipe, &source) };
            let axes = swept_data(cell, &["image_size", "mean", "std", "label_space", "classes", "on_bad_frame"]);
            let sample = self.plan.add(Stage::new(format!("sample {}{axes}", data.name), &sample_parameters, Resource::Processor));
            let index = self.plan.add(index_stage.output_of(input::SAMPLE, sample, output::SAMPLE));
            (index, pack_stage.output_of(input::SAMPLE, sample, output::SAMPLE))
        } else {
            let root = self.data_root(data)?;
            let digest = self.source_digest(&root, &source).map_err(|error| error.as_usage())?;
            let index = index_stage.input(input::SOURCE, Source::External(digest));
            let index = self.plan.add(at_place(index, place::ROOT, &root));
            (index, at_place(pack_stage, place::ROOT, &root))
        };
        let pack = self.plan.add(pack.output_of(input::PICTURES, index, output::PICTURES));
        Ok(DataStages {
            name: data.name.clone(),
            index,
            pack,
            label_space: classes_of(&space),
            image_size,
            normalization: Normalization { mean: recipe.mean.values(), std: recipe.std.values() },
            has_train: !recipe.train.is_empty(),
            has_validation: !recipe.validation.is_empty(),
        })
    }

    /// The adapter's names with the recipe's own on top; every class must be in some label space.
    fn class_map(
        &self,
        cell: &Cell,
        data: &Resolved<DataRecipe>,
        adapter: &AdapterRecipe,
        space: &Resolved<LabelSpaceRecipe>,
    ) -> Result<ClassMap> {
        if space.value.classes.len() < 2 {
            return Err(Error::usage(format!("label_space.{} has fewer than two classes", space.name))
                .hint("the tissue is the last class, instruments stand before it"));
        }
        if space.value.classes.len() > MOST_CLASSES {
            return Err(Error::usage(format!("label_space.{} has more than {MOST_CLASSES} classes", space.name)));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = space.value.classes.iter().find(|class| !seen.insert(normalized(class.as_str()))) {
            return Err(Error::usage(format!("label_space.{} names the class `{}` twice", space.name, twice.as_str()))
                .hint("each class has one name, and its place in the list is its number"));
        }
        let known = self.experiment.known_classes(cell)?;
        let mut names = BTreeMap::new();
        for (name, class) in adapter.classes.iter().chain(&data.value.classes) {
            if !known.contains(class) {
                let suggestion = surgcam_recipe::file::did_you_mean(class, known.iter().map(String::as_str));
                return Err(Error::usage(format!(
                    "data.{} maps `{name}` to `{}`, a class that no label space has{suggestion}",
                    data.name,
                    shortened(class)
                ))
                .hint("label spaces are declared under [label_space.NAME]"));
            }
            names.insert(normalized(name), class.clone());
        }
        Ok(ClassMap { space: classes_of(space), names })
    }

    fn data_root(&self, data: &Resolved<DataRecipe>) -> Result<PathBuf> {
        if matches!(self.outside, Outside::Assumed) {
            return Ok(self.project.join(data.value.root.as_deref().unwrap_or(Path::new(""))));
        }
        let hint = format!("set the folder with --set data.{}.root=..., or under [set] in surgcam.toml", data.name);
        let Some(root) = &data.value.root else {
            return Err(Error::usage(format!("data.{} has no root: where its pictures lie is not known", data.name)).hint(hint));
        };
        let root = self.project.join(root);
        if !root.is_dir() {
            return Err(Error::usage(format!("the root of data.{} is no folder", data.name)).at_path(&root).hint(hint));
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

fn classes_of(space: &Resolved<LabelSpaceRecipe>) -> LabelSpace {
    LabelSpace { classes: space.value.classes.iter().map(|class| class.as_str().to_string()).collect() }
}

/// The cell's swept values that change frames and labels, but for those of keys that a stage does not look at.
fn swept_data(cell: &Cell, ignored: &[&str]) -> String {
    swept_where(cell, |section, key| section <= Section::Data && !ignored.contains(&key))
}

fn hash_folder(store: &Store, root: &Path, source: &SourceLayout) -> Result<Digest> {
    let files = source.source_files(root)?;
    let digests = stat::digests(store, root, &files)?;
    let listing: String = files.iter().zip(digests).map(|(file, digest)| format!("{digest} {}\n", file.display())).collect();
    Ok(Digest::of_bytes(listing.as_bytes()))
}

fn at_place(mut stage: Stage, name: &str, path: &Path) -> Stage {
    stage.places.insert(name.to_string(), path.to_path_buf());
    stage
}

fn source_layout(name: &str, recipe: &DataRecipe, adapter: &AdapterRecipe) -> Result<SourceLayout> {
    let frames = recipe.frames.clone().or_else(|| adapter.frames.clone());
    let frames = frames.ok_or_else(|| Error::usage(format!("data.{name} has no `frames` pattern")))?;
    if recipe.train.is_empty() && recipe.validation.is_empty() {
        return Err(Error::usage(format!("data.{name} names no sequence"))
            .hint("give `train` and `validation` the sequences (or videos) to use, as in `train = [2, 3]`"));
    }
    Ok(SourceLayout {
        layout: adapter.layout,
        train: recipe.train.clone(),
        validation: recipe.validation.clone(),
        frames,
        labels: recipe.labels.clone().unwrap_or_else(|| adapter.labels.clone()),
        boxes: recipe.boxes.clone().unwrap_or_else(|| adapter.boxes.clone()),
        captions: recipe.captions.clone().unwrap_or_else(|| adapter.captions.clone()),
        interactions: recipe.interactions.clone().unwrap_or_else(|| adapter.interactions.clone()),
        frame_step: recipe.frame_step.unwrap_or(adapter.frame_step).get() as u32,
    })
}

fn sample_data(recipe: &DataRecipe, source: &SourceLayout) -> SampleData {
    SampleData {
        layout: source.layout,
        sequences: source.sequences().into_iter().collect(),
        frames_per_sequence: recipe.frames_per_sequence.get() as u32,
        picture_size: recipe.picture_size.height_width(),
        seed: recipe.seed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::build::Goal;
    use surgcam_recipe::experiment::Experiment;

    /// Names of the stages of an experiment on drawn scenes.
    fn names(matrix: &str) -> Vec<String> {
        let project = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.toml");
        let models = "[model.tiny]\nbackbone = 'resnet10'\ndata = 'sample-endovis18'\n[model.given]\nextends = 'tiny'\ntrain = 'none'\n";
        std::fs::write(&path, format!("[experiment]\nname = 'e'\n{models}[matrix]\n{matrix}\n")).unwrap();
        let experiment = Experiment::load(project, &path, &[]).unwrap();
        let goals = BTreeSet::from([Goal::Classification]);
        let mut builder = Builder::new(&experiment, project, Outside::Assumed, &goals, None);
        experiment.cells.iter().for_each(|cell| drop(builder.cell(cell).unwrap()));
        builder.plan.stages.into_iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn stages_of_data_are_named_by_the_swept_values_that_change_them() {
        let found = names("model = ['tiny']\n'data.image_size' = [[64, 80], [96, 120]]");
        let with = |name: &str| found.iter().filter(|found| found.starts_with(name)).cloned().collect::<Vec<_>>();
        assert_eq!(with("sample"), ["sample sample-endovis18"]);
        assert_eq!(with("index"), ["index sample-endovis18 endovis-11"]);
        assert_eq!(with("pack"), [64, 96].map(|height| format!("pack sample-endovis18 data.image_size=[{height}, {}]", height * 5 / 4)));

        let found = names("model = ['tiny']\n'data.sample-endovis18.seed' = [1, 2]\n'model.epochs' = [1, 2]");
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!((found.len(), distinct.len()), (2 * (3 + 2 * 2), found.len()), "{found:?}");
        assert!(found.contains(&"pack sample-endovis18 data.sample-endovis18.seed=2".to_string()), "{found:?}");
    }

    #[test]
    fn weights_are_named_by_what_tells_them_apart() {
        let found = names("model = ['given']\n'model.weights' = ['a.pth', 'b.pth']\n'model.seed' = [1, 2]");
        assert_eq!(found.iter().filter(|name| name.starts_with("import given model.weights=")).count(), 2, "{found:?}");
        let found = names("model = ['tiny']\n'model.init' = ['a.pth', 'b.pth']\n'model.epochs' = [1, 2]");
        let imports: Vec<&String> = found.iter().filter(|name| name.starts_with("import")).collect();
        assert_eq!(imports, ["import a.pth", "import b.pth"]);
    }
}
