//! The sections of a recipe file: every key, its type, its default, and what it means.
//!
//! One definition gives two types: the recipe, with all values, and its patch, with those that one file gives. A file is
//! read into patches first, so that a mistake is found with its line before layers are merged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cell_filter::CellFilter;
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::dataset::index::{Layout, OnBadFrame};
use surgcam_frames::dataset::pattern::Pattern;
use surgcam_values::*;

macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $recipe:ident, $patch:ident { $( $(#[doc = $doc:literal])* $field:ident : $type:ty = $default:expr, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $recipe {
            $( $(#[doc = $doc])* pub $field: $type, )*
        }

        impl Default for $recipe {
            fn default() -> Self {
                $recipe { $( $field: $default, )* }
            }
        }

        impl $recipe {
            /// Every key and what it means.
            pub const KEYS: &'static [(&'static str, &'static str)] = &[
                $( (stringify!($field), concat!($($doc),*)), )*
            ];
        }

        /// What one file says of it. Read for its checks and for the JSON Schema; values are merged as TOML.
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "deserialising is the use")]
        pub struct $patch {
            $( $(#[doc = $doc])* $field: Option<$type>, )*
        }
    };
}

section! {
    /// `[experiment]`: what is asked for.
    ExperimentRecipe, ExperimentPatch {
        /// Names the folder below results/.
        name: Option<Name> = None,
        /// For people.
        description: String = String::new(),
        /// Which tables to write.
        tables: Vec<Table> = vec![Table::Classification, Table::Localization, Table::Extraction],
        /// Heads that every cell's features are judged by, one for each task; an axis `head` replaces the one of its task.
        heads: Vec<String> = vec![String::from("probe")],
        /// Only cells with these values (of a list, one) get the heads that are trained, as in [[matrix.exclude]]. The probe is for all.
        heads_for: CellFilter = CellFilter::default(),
        /// Frames that each speed stage times, at batch 1.
        speed_frames: Whole<1, 100_000> = Whole::new(50),
        /// A speed stage stops early after so many seconds, with at least five frames timed.
        speed_seconds: Positive = Positive::new(5.0),
        /// Frames run before the timing starts.
        speed_warm_up: Whole<1, 100_000> = Whole::new(5),
        /// Whether speed is measured; without it the extraction table has no FPS.
        speed: bool = true,
        /// Stage kind (or `all`) -> how long such a stage may take and how often it is tried again.
        limits: BTreeMap<String, StageLimits> = BTreeMap::new(),
        /// Values of a publication, to stand beside the measured ones. Empty until somebody fills them in.
        published: Vec<PublishedValue> = Vec::new(),
    }
}

/// Limits of a kind of stage; they change nothing of what it makes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StageLimits {
    /// A stage that takes longer is ended and counts as failed.
    pub timeout_seconds: Option<Positive>,
    /// A stage that failed is tried again so often.
    pub retries: Whole<0, 1000>,
}

/// One number of a publication and the table row and column that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedValue {
    pub table: Table,
    /// Column -> value, as the table prints them: the rows that have all of them.
    pub row: BTreeMap<String, String>,
    pub column: String,
    pub value: Printed,
}

section! {
    /// `[adapter.NAME]`: how a kind of folder is laid out.
    AdapterRecipe, AdapterPatch {
        /// The reader: endovis18, cholec80 or table.
        layout: Layout = Layout::EndoVis18,
        /// Where a frame's picture lies, with {sequence} and {frame}; of a table, the folder that its paths count from.
        frames: Option<Pattern> = None,
        /// Where a sequence's tool file lies, or the table of frames; of several the first that exists.
        labels: Vec<Pattern> = Vec::new(),
        /// Where a sequence's boxes lie: a text or CSV file, or a folder of XML files; of several the first that exists.
        boxes: Vec<Pattern> = Vec::new(),
        /// Where captions lie: JSON files or folders of XML files; all that exist are read, for a frame the earlier counts.
        captions: Vec<Pattern> = Vec::new(),
        /// Where interactions lie: a CSV file, of a sequence or of all, or a folder of XML files; of several the first that exists.
        interactions: Vec<Pattern> = Vec::new(),
        /// So many rows of the tool file are one frame in the folder.
        frame_step: Whole<1, 1_000_000> = Whole::new(1),
        /// The data set's names of classes -> class names of the label spaces.
        classes: BTreeMap<String, String> = BTreeMap::new(),
    }
}

section! {
    /// `[label_space.NAME]`: the classes of a model's head, in order; the tissue last.
    LabelSpaceRecipe, LabelSpacePatch {
        /// Class names; the last is the tissue.
        classes: Vec<ClassName> = Vec::new(),
    }
}

section! {
    /// `[data.NAME]`: frames with labels.
    DataRecipe, DataPatch {
        /// Another data recipe whose values hold where this one says nothing.
        extends: Option<String> = None,
        /// An adapter's name (endovis18, cholec80, table), `sample` for drawn scenes, or `mix` of other data recipes.
        adapter: String = String::new(),
        /// The folder; relative paths count from the project's folder.
        root: Option<PathBuf> = None,
        /// `mix`: the data recipes whose train frames are put together.
        parts: Vec<String> = Vec::new(),
        /// Sequences or videos to train on.
        train: Vec<u32> = Vec::new(),
        /// Sequences or videos to validate on.
        validation: Vec<u32> = Vec::new(),
        /// [height, width] that frames are resized to.
        image_size: ImageSize = ImageSize::new(256, 320),
        /// The classes, unless the model names its own label space.
        label_space: String = String::from("endovis-11"),
        /// Per channel, of frames in [0, 1]: for localisation and extraction, and for training where the model gives none.
        mean: ChannelMeans = ChannelMeans::OF_THE_AUTHORS,
        /// Per channel; see mean.
        std: ChannelDeviations = ChannelDeviations::OF_THE_AUTHORS,
        /// A broken picture, a missing frame, a bad label line: fail, or skip the frame and count it.
        on_bad_frame: OnBadFrame = OnBadFrame::Fail,
        /// Instead of the adapter's.
        frames: Option<Pattern> = None,
        /// Instead of the adapter's.
        labels: Option<Vec<Pattern>> = None,
        /// Instead of the adapter's.
        boxes: Option<Vec<Pattern>> = None,
        /// Instead of the adapter's.
        captions: Option<Vec<Pattern>> = None,
        /// Instead of the adapter's.
        interactions: Option<Vec<Pattern>> = None,
        /// Instead of the adapter's.
        frame_step: Option<Whole<1, 1_000_000>> = None,
        /// Added to the adapter's.
        classes: BTreeMap<String, String> = BTreeMap::new(),
        /// `sample`: the adapter whose layout the drawn scenes are written in.
        layout: Option<String> = None,
        /// `sample`: scenes drawn for each sequence.
        frames_per_sequence: Whole<1, 100_000> = Whole::new(24),
        /// `sample`: [height, width] of the drawn pictures.
        picture_size: ImageSize = ImageSize::new(256, 320),
        /// `sample`: another seed draws other scenes.
        seed: u64 = 42,
    }
}

section! {
    /// `[model.NAME]`: a classifier and how it is trained (METHOD 3).
    ModelRecipe, ModelPatch {
        /// Another model recipe whose values hold where this one says nothing.
        extends: Option<String> = None,
        /// resnet10, resnet18, resnet34, resnet50 or resnet101.
        backbone: Backbone = Backbone::ResNet50,
        /// The data recipe whose train frames it learns from.
        data: String = String::new(),
        /// The data recipe that it is validated, localised and extracted on; `data` where absent.
        validation: Option<String> = None,
        /// Instead of the data's.
        label_space: Option<String> = None,
        /// Where training starts: \"random\", or a weights file of the backbone.
        init: Init = Init::Random,
        /// Another model recipe whose trained backbone this one starts from, with a new head; then `init` is not used.
        fine_tune_from: Option<String> = None,
        /// full, or none to take `weights` as they are.
        train: Training = Training::Full,
        /// With `train = \"none\"`: the weights file, of this backbone and class count.
        weights: Option<PathBuf> = None,
        /// The digest that `weights` must have, or its first digits.
        weights_sha256: Option<String> = None,
        /// Passes over the train frames.
        epochs: Whole<1, 1_000_000> = Whole::new(200),
        /// Frames a step.
        batch_size: Whole<1, 65_536> = Whole::new(32),
        /// Of SGD, at the start.
        learning_rate: LearningRate = LearningRate::new(1e-3),
        /// Of SGD.
        momentum: Share = Share::new(0.9),
        /// On all parameters.
        weight_decay: Decay = Decay::new(1e-4),
        /// Before the linear layer; 0 for none.
        dropout: Threshold = Threshold::new(0.0).expect("0 is a threshold"),
        /// The learning rate is multiplied by it when the validation loss no longer falls.
        plateau_factor: Factor = Factor::new(0.95),
        /// So many epochs without a better validation loss are waited for.
        plateau_patience: Whole<0, 1_000_000> = Whole::new(3),
        /// A loss is better when it is below the best by this share.
        plateau_threshold: Share = Share::new(1e-4),
        /// What training counts in: f32, or bf16 for mixed precision ([what that changes](performance.md)).
        precision: TrainingPrecision = TrainingPrecision::F32,
        /// The training transform.
        augmentation: Augmentation = Augmentation::PAPER,
        /// Per channel, of frames in [0, 1], in training and evaluation; the data's where absent.
        mean: Option<ChannelMeans> = None,
        /// Per channel; see mean.
        std: Option<ChannelDeviations> = None,
        /// Of every random draw.
        seed: u64 = 42,
    }
}

section! {
    /// `[extraction.NAME]`: how regions are found and become features (METHOD 4 to 6).
    ExtractionRecipe, ExtractionPatch {
        /// Another extraction recipe whose values hold where this one says nothing.
        extends: Option<String> = None,
        /// ln-fe, l-fe, sl-fe, or a yardstick: ground-truth-boxes, whole-frame.
        mode: Mode = Mode::SlFe,
        /// Which classes count as present: { above = T_class } or a list of class ids.
        present: Present = Present::Above(Threshold::new(0.5).expect("0.5 is a threshold")),
        /// T_ROI: heat above it belongs to a region.
        roi_threshold: Threshold = Threshold::new(0.3).expect("0.3 is a threshold"),
        /// Boxes of at most this many square pixels are dropped.
        minimum_area: u32 = 25,
        /// `[height, width]` of the pictures that boxes are cut out to, of ln-fe and ground-truth-boxes.
        crop_size: ImageSize = ImageSize::OF_CROPS,
        /// 512, 128 or 32 channels in the pooled region; always 512 numbers.
        pool: Pool = Pool::P512,
        /// SL-FE: the layer whose cells are taken, layer3 or layer4.
        feature_layer: FeatureLayer = FeatureLayer::Layer4,
        /// grad-cam or grad-cam++.
        cam: CamMethod = CamMethod::GradCam,
        /// The layer that heat maps come from: layer4 (closed form), or layer3 (a backward pass for each class).
        cam_layer: FeatureLayer = FeatureLayer::Layer4,
        /// What the network counts in: f32, bf16 or f16. Features are f32 whatever it is.
        precision: Precision = Precision::F32,
        /// The control: heads see each frame with another frame's features.
        shuffled: bool = false,
    }
}

section! {
    /// `[head.NAME]`: what is learnt from the features to judge them (METHOD 8).
    HeadRecipe, HeadPatch {
        /// Another head recipe whose values hold where this one says nothing.
        extends: Option<String> = None,
        /// probe (labels, in closed form), caption, or interaction.
        task: HeadTask = HeadTask::Probe,
        /// The penalty of the ridge probe on standardised features, relative to how many there are.
        ridge: Positive = Positive::new(1.0),
        /// Passes over the annotated train frames.
        epochs: Whole<1, 1_000_000> = Whole::new(50),
        /// Frames a step.
        batch_size: Whole<1, 65_536> = Whole::new(50),
        /// Of Adam; a captioner's is multiplied with its warm-up schedule. Where absent 1 for captions, 1e-3 for interactions.
        learning_rate: Option<LearningRate> = None,
        /// In the network's layers.
        dropout: Threshold = Threshold::new(0.1).expect("0.1 is a threshold"),
        /// Regions of a frame that a head sees: the most probable classes, then the most confident.
        maximum_regions: Whole<1, 256> = Whole::new(6),
        /// Of the network's vectors; a multiple of attention_heads.
        width: Whole<1, 4096> = Whole::new(512),
        /// A captioner's encoder and decoder layers, a graph's rounds of messages.
        layers: Whole<1, 64> = Whole::new(3),
        /// Of each attention.
        attention_heads: Whole<1, 256> = Whole::new(8),
        /// A captioner's inner width of its feed-forward layers.
        feed_forward: Whole<1, 65_536> = Whole::new(2048),
        /// A captioner's memory slots in each attention of its encoder; 0 for none.
        memory_slots: Whole<0, 4096> = Whole::new(40),
        /// A captioner's learning rate rises for so many steps.
        warm_up_steps: Whole<1, 1_000_000_000> = Whole::new(10_000),
        /// Of a captioner's cross-entropy; 0 for none.
        label_smoothing: Threshold = Threshold::new(0.0).expect("0 is a threshold"),
        /// Words that the train captions have less often are unknown.
        minimum_frequency: Whole<1, 1_000_000_000> = Whole::new(1),
        /// Sentences that are kept while a caption is searched.
        beam: Whole<1, 100> = Whole::new(5),
        /// In words.
        longest_caption: Whole<1, 1000> = Whole::new(20),
        /// Further epochs of self-critical training, which raises CIDEr itself.
        self_critical_epochs: Whole<0, 1_000_000> = Whole::new(0),
        /// Of the self-critical epochs.
        self_critical_learning_rate: LearningRate = LearningRate::new(5e-6),
        /// Further epochs in which the backbone learns with the captioner, through SL-FE.
        joint_epochs: Whole<0, 1_000_000> = Whole::new(0),
        /// Of the backbone in those.
        joint_learning_rate: LearningRate = LearningRate::new(1e-5),
        /// A graph's: soft-margin, cross-entropy, class-balanced or cog-tree.
        loss: InteractionLoss = InteractionLoss::CrossEntropy,
        /// Of every random draw.
        seed: u64 = 42,
    }
}

/// A whole recipe file, or an experiment: every table that it may have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "deserialising is the use")]
pub struct RecipeFile {
    experiment: Option<ExperimentPatch>,
    #[serde(default)]
    adapter: BTreeMap<Name, AdapterPatch>,
    #[serde(default)]
    label_space: BTreeMap<Name, LabelSpacePatch>,
    #[serde(default)]
    data: BTreeMap<Name, DataPatch>,
    #[serde(default)]
    model: BTreeMap<Name, ModelPatch>,
    #[serde(default)]
    extraction: BTreeMap<Name, ExtractionPatch>,
    #[serde(default)]
    head: BTreeMap<Name, HeadPatch>,
    /// What is swept: lists, ranges ({ from, to, step }), [[matrix.zip]], [[matrix.exclude]], [matrix.cases.NAME].
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    matrix: Option<toml::Table>,
    /// Values for every cell, by dotted key.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    set: Option<toml::Table>,
}

/// The JSON Schema of recipe files and experiments, for editors.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(RecipeFile).to_value();
    schema["title"] = "surgcam: recipes and experiments".into();
    schema
}

/// The tables that hold named recipes, each after those that its recipes can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Adapter,
    LabelSpace,
    Data,
    Model,
    Extraction,
    Head,
}

impl Section {
    pub const ALL: [Section; 6] =
        [Section::Adapter, Section::LabelSpace, Section::Data, Section::Model, Section::Extraction, Section::Head];

    pub fn name(self) -> &'static str {
        match self {
            Section::Adapter => "adapter",
            Section::LabelSpace => "label_space",
            Section::Data => "data",
            Section::Model => "model",
            Section::Extraction => "extraction",
            Section::Head => "head",
        }
    }

    pub fn named(name: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.name() == name)
    }

    pub fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Section::Adapter => AdapterRecipe::KEYS,
            Section::LabelSpace => LabelSpaceRecipe::KEYS,
            Section::Data => DataRecipe::KEYS,
            Section::Model => ModelRecipe::KEYS,
            Section::Extraction => ExtractionRecipe::KEYS,
            Section::Head => HeadRecipe::KEYS,
        }
    }

    pub fn has_key(self, key: &str) -> bool {
        self.keys().iter().any(|(name, _)| *name == key)
    }
}
