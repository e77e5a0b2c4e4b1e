//! The kinds of stages: parameters, inputs, outputs, version.
//!
//! Parameters hold what changes the output and nothing else (see [`surgcam_engine::store::key`]). Raise a kind's `VERSION` when the
//! same parameters and inputs give another output than before. Inputs and outputs are named here once, so that planner and
//! worker cannot disagree.

use serde::{Deserialize, Serialize};

use super::head_stages::{CaptionStage, DescribeStage, InteractStage, MeasureTasksStage};
pub use surgcam_engine::plan::StageParameters;
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::dataset::index::OnBadFrame;
use surgcam_frames::dataset::labels::ClassMap;
use surgcam_frames::dataset::sample::SampleData;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_values::{Backbone, CamMethod, FeatureLayer, Mode, Pool, Precision, Present, TrainingPrecision};

/// Names of inputs.
pub mod input {
    pub const SAMPLE: &str = "sample";
    pub const SOURCE: &str = "source";
    pub const PICTURES: &str = "pictures";
    pub const PACK: &str = "pack";
    pub const INDEX: &str = "index";
    pub const ANNOTATIONS: &str = "annotations";
    pub const VALIDATION_PACK: &str = "validation-pack";
    pub const VALIDATION_INDEX: &str = "validation-index";
    pub const CHECKPOINT: &str = "checkpoint";
    pub const WEIGHTS: &str = "weights";
    pub const HEAT_MAPS: &str = "heat-maps";
    pub const BOXES: &str = "boxes";
    pub const FEATURES: &str = "features";
    /// Heads.
    pub const CAPTION: &str = "caption";
    pub const INTERACT: &str = "interact";
    /// The CogTree loss: a head trained with cross-entropy.
    pub const BIASED: &str = "biased";

    /// A mix's further packs and indexes: `pack`, `pack-2`, `pack-3`.
    pub fn numbered(name: &str, part: usize) -> String {
        if part == 0 { name.to_string() } else { format!("{name}-{}", part + 1) }
    }
}

/// Names of outputs.
pub mod output {
    /// `sample`: a folder in a data set's own layout.
    pub const SAMPLE: &str = "sample";
    /// `index`: frames with labels and boxes, and a summary.
    pub const INDEX: &str = "index";
    /// `index`: the pictures alone, so that other labels pack nothing again.
    pub const PICTURES: &str = "pictures.jsonl";
    /// `index`: captions and interactions, so that others of them train nothing again.
    pub const ANNOTATIONS: &str = "annotations.jsonl";
    /// `pack`: the mapped pixels.
    pub const PACK: &str = "pack";
    /// `train`, `import`: safetensors with torchvision's names; of `train` the epoch with the best validation mAP.
    pub const CHECKPOINT: &str = "checkpoint.safetensors";
    /// `train`: after the last epoch.
    pub const LAST: &str = "last.safetensors";
    /// `train`: every epoch's losses, accuracy, mAP, learning rate and time.
    pub const HISTORY: &str = "history.parquet";
    pub const HISTORY_CSV: &str = "history.csv";
    /// What tables need: of `index` and `pack` the frames left out, of `extract` its counts, of `evaluate`, `score`, heads
    /// and `measure` their figures. A file of its own, so that a table need not read (and check) all that the stage made.
    pub const METRICS: &str = "metrics.json";
    /// `heat-maps`: one safetensors file a sequence.
    pub const HEAT_MAPS: &str = "heat-maps";
    /// `localize`: a Parquet file of boxes.
    pub const BOXES: &str = "boxes.parquet";
    /// `extract`: one npy file a sequence, a Parquet index, a summary.
    pub const FEATURES: &str = "features";
    /// `caption`, `interact`: the trained head, a folder without settings where nobody annotated its task.
    pub const HEAD: &str = "head";
    /// `caption`: what it says of each validation frame, beside the reference.
    pub const CAPTIONS: &str = "captions.jsonl";
    /// `describe`: one line a picture.
    pub const DESCRIPTIONS: &str = "descriptions.jsonl";
    /// `empty`: a file without content.
    pub const NOTHING: &str = "nothing";
}

/// Names of places on this machine that a stage may read; never part of a key.
pub mod place {
    /// The data set's folder.
    pub const ROOT: &str = "root";
    /// A weights file.
    pub const WEIGHTS: &str = "weights";
    /// An exported captioner's folder.
    pub const CAPTIONER: &str = "captioner";
}

/// Heat maps and features of one checkpoint are made in one pass over its frames.
pub const FRAMES_PASS: &str = "frames";

/// Gives parameters their stage's kind and version; then what else holds of all its stages.
macro_rules! stage {
    ($parameters:ty, $kind:literal, $version:literal $(, $constant:ident: $type:ty = $value:expr)*) => {
        impl StageParameters for $parameters {
            const KIND: &'static str = $kind;
            const VERSION: u32 = $version;
            $(const $constant: $type = $value;)*
        }
    };
}

pub(super) use stage;

/// What holds of all stages of a kind, as the kind itself says.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Whether its stages need the machine for themselves.
    pub is_alone: bool,
    /// The pass in which they are made together.
    pub pass: Option<&'static str>,
}

impl Kind {
    const fn of<P: StageParameters>() -> Self {
        Kind { name: P::KIND, is_alone: P::IS_ALONE, pass: P::PASS }
    }

    /// Of all kinds, those included whose stages no store of a user's has.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().chain(KINDS_OF_COMMANDS).find(|kind| kind.name == name)
    }
}

/// Every kind that an experiment's plan can have.
pub const KINDS: [Kind; 16] = [
    Kind::of::<SampleStage>(),
    Kind::of::<IndexStage>(),
    Kind::of::<PackStage>(),
    Kind::of::<ImportStage>(),
    Kind::of::<TrainStage>(),
    Kind::of::<EvaluateStage>(),
    Kind::of::<HeatMapsStage>(),
    Kind::of::<LocalizeStage>(),
    Kind::of::<ScoreStage>(),
    Kind::of::<ExtractStage>(),
    Kind::of::<ProbeStage>(),
    Kind::of::<CaptionStage>(),
    Kind::of::<InteractStage>(),
    Kind::of::<MeasureStage>(),
    Kind::of::<MeasureTasksStage>(),
    Kind::of::<EmptyStage>(),
];

/// Those of commands that are no experiment.
const KINDS_OF_COMMANDS: [Kind; 3] = [Kind::of::<DescribeStage>(), Kind::of::<BenchmarkStage>(), Kind::of::<SelfTestStage>()];

/// The names of [`KINDS`].
pub fn kind_names() -> impl Iterator<Item = &'static str> + Clone {
    KINDS.into_iter().map(|kind| kind.name)
}

/// Draws the sample data. Inputs: none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleStage {
    pub sample: SampleData,
}
stage!(SampleStage, "sample", 2);

/// Reads labels, boxes, captions and interactions. Inputs: `source` (the digest of the data's folder) or `sample`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexStage {
    pub source: SourceLayout,
    pub classes: ClassMap,
    pub on_bad_frame: OnBadFrame,
}
stage!(IndexStage, "index", 3);

/// Decodes and resizes. Inputs: `pictures`, and `sample` where the pictures are drawn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackStage {
    /// `[height, width]`.
    pub image_size: [u32; 2],
    pub on_bad_frame: OnBadFrame,
}
stage!(PackStage, "pack", 2);

/// The network's shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    pub backbone: Backbone,
    pub classes: usize,
}

/// Per channel, of frames in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// Reads a weights file without executing anything in it. Input: `weights`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportStage {
    pub backbone: Backbone,
    /// The class count that its head must have; `None`: the head is thrown away.
    pub classes: Option<usize>,
}
stage!(ImportStage, "import", 1);

/// Trains a classifier. Inputs: `pack`, `index` (numbered for a mix), `validation-pack`, `validation-index`, and
/// `checkpoint` where it starts from trained or imported weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub validation_normalization: Normalization,
    pub augmentation: Augmentation,
    pub epochs: usize,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    pub dropout: f64,
    pub plateau: Plateau,
    /// Absent for f32, so that what was trained before there was a choice keeps its key.
    #[serde(default, skip_serializing_if = "TrainingPrecision::is_default")]
    pub precision: TrainingPrecision,
    pub seed: u64,
}
stage!(TrainStage, "train", 2);

/// ReduceLROnPlateau, mode min, relative threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    pub factor: f64,
    pub patience: u32,
    pub threshold: f64,
}

/// Classifies the validation frames. Inputs: `checkpoint`, `pack`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
}
stage!(EvaluateStage, "evaluate", 3);

/// What heat maps depend on besides the network and the frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CamSettings {
    pub method: CamMethod,
    pub layer: FeatureLayer,
    pub present: Present,
}

/// Logits, present classes and their heat maps of every frame. Inputs: `checkpoint`, `pack`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeatMapsStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub cam: CamSettings,
}
stage!(HeatMapsStage, "heat-maps", 4, PASS: Option<&'static str> = Some(FRAMES_PASS));

/// Boxes at one T_ROI. Input: `heat-maps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalizeStage {
    pub roi_threshold: f64,
    pub minimum_area: u32,
    /// `[height, width]` that boxes count in.
    pub image_size: [u32; 2],
}
stage!(LocalizeStage, "localize", 1);

/// Boxes against the ground truth of the validation frames. Inputs: `boxes`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreStage {
    pub image_size: [u32; 2],
    pub classes: usize,
}
stage!(ScoreStage, "score", 1);

/// What decides the features of a frame's regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractionSettings {
    pub mode: Mode,
    /// Only for the modes that localise.
    pub regions: Option<RegionSettings>,
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub pool: Pool,
    pub precision: Precision,
    /// `[height, width]` of the pictures that boxes are cut out to; only for the modes that cut them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_size: Option<[u32; 2]>,
}

/// Where the regions of a localising mode are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionSettings {
    pub cam: CamSettings,
    pub roi_threshold: f64,
    /// The modes with boxes.
    pub minimum_area: Option<u32>,
    /// SL-FE.
    pub feature_layer: Option<FeatureLayer>,
}

/// Features of every frame's regions. Inputs: `checkpoint`, `pack`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtractStage {
    pub extraction: ExtractionSettings,
}
stage!(ExtractStage, "extract", 5, PASS: Option<&'static str> = Some(FRAMES_PASS));

/// How well a ridge regression tells the labels from the features. Inputs: `features`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStage {
    pub ridge: f64,
    pub classes: usize,
    /// The control: frames with other frames' features.
    pub shuffled: bool,
}
stage!(ProbeStage, "probe", 3);

/// The speed of one way of extraction at batch 1. Inputs: `checkpoint`, `pack`, `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeasureStage {
    pub extraction: ExtractionSettings,
    pub frames: usize,
    /// Timing ends after so many seconds, even with fewer frames.
    pub seconds: f64,
    pub warm_up: usize,
    /// Speed is the machine's: so the machine is part of the key.
    pub machine: MeasuredMachine,
}
stage!(MeasureStage, "measure", 3, IS_ALONE: bool = true);

/// Measures the steps of extraction and training on this machine; never kept in a store of its user's. Place: `root`, a folder of
/// pictures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchmarkStage {
    pub architecture: Architecture,
    /// `[height, width]`.
    pub image_size: [u32; 2],
    pub precision: Precision,
    /// Beside batch 1.
    pub batch: usize,
    /// Frames of a training step.
    pub training_batch: usize,
    /// Each figure is measured once in a round, so that a slow minute of the machine falls on all of them.
    pub rounds: usize,
    /// Of each figure in each round.
    pub seconds: f64,
    /// Names of steps; all where empty.
    pub only: Vec<String>,
}
stage!(BenchmarkStage, "benchmark", 1, IS_ALONE: bool = true);

/// Compares what the device computes with values that are compiled in; never kept in a store of its user's. No inputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SelfTestStage {}
stage!(SelfTestStage, "self-test", 1);

/// Makes nothing: what the orchestrator itself costs is measured with it. Inputs: any.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmptyStage {
    pub number: usize,
}
stage!(EmptyStage, "empty", 1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMachine {
    pub host: String,
    /// "cpu" or the GPU's name, with its driver.
    pub device: String,
    pub threads: usize,
    pub libtorch: String,
}
