//! A planned experiment: the graph of stages, and the stages that each cell's results come from.

use std::sync::Arc;

use super::kinds::*;
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::{Handle, Plan, Source, StageId};
use surgcam_frames::dataset::labels::LabelSpace;
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, ModelRecipe};

#[derive(Debug)]
pub struct Built {
    pub plan: Plan,
    pub cells: Vec<PlannedCell>,
}

/// A planned cell of the matrix.
#[derive(Debug, Clone)]
pub struct PlannedCell {
    pub cell: Cell,
    pub model: Arc<Resolved<ModelRecipe>>,
    pub extraction: Option<Arc<Resolved<ExtractionRecipe>>>,
    pub checkpoint: Checkpoint,
    /// The frames that it is evaluated, localised and extracted on.
    pub index: Handle<IndexStage>,
    pub pack: Handle<PackStage>,
    pub label_space: LabelSpace,
    pub image_size: [u32; 2],
    pub stages: CellStages,
}

/// The stage that a model's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    Trained(Handle<TrainStage>),
    Imported(Handle<ImportStage>),
}

impl Checkpoint {
    pub fn id(self) -> StageId {
        match self {
            Checkpoint::Trained(train) => train.id(),
            Checkpoint::Imported(import) => import.id(),
        }
    }

    /// The weights, as an input of another stage.
    pub fn source(self) -> Source {
        match self {
            Checkpoint::Trained(train) => train.output(TrainStage::CHECKPOINT),
            Checkpoint::Imported(import) => import.output(ImportStage::CHECKPOINT),
        }
    }
}

/// A field for each kind, and all of them by their kinds' names.
macro_rules! cell_stages {
    ($($(#[$about:meta])* $field:ident: $kind:ident),+ $(,)?) => {
        /// The stages that a cell's results come from; absent what was not wanted or makes no sense
        /// for it.
        #[derive(Debug, Clone, Default)]
        pub struct CellStages {
            $($(#[$about])* pub $field: Option<Handle<$kind>>,)+
        }

        impl CellStages {
            /// Every one that there can be, by the name of its kind.
            pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, Option<StageId>)> {
                [$(($kind::NAME, self.$field.map(StageId::from))),+].into_iter()
            }
        }
    };
}

cell_stages! {
    evaluate: EvaluateStage,
    heat_maps: HeatMapsStage,
    localize: LocalizeStage,
    score: ScoreStage,
    heat_score: HeatScoreStage,
    deletion_insertion: DeletionInsertionStage,
    /// A detector's boxes, in place of those from heat maps.
    detections: DetectionsStage,
    extract: ExtractStage,
    probe: ProbeStage,
    caption: CaptionStage,
    interact: InteractStage,
    predict_interactions: PredictInteractionsStage,
    measure: MeasureStage,
    /// The speed from a frame to its caption and graph.
    measure_tasks: MeasureTasksStage,
}
