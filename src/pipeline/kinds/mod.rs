//! The kinds of stages. Each has a file with its name, version, parameters, inputs, outputs, paths
//! and metrics.
//!
//! Parameters hold what changes the output and nothing else (see [`surgcam_engine::store::key`]).
//! Raise a kind's `VERSION` when the same parameters and inputs give another output than before.
//! Every kind must be in the list [`every_kind!`](crate::every_kind), because other code cannot
//! name it otherwise. The worker does not compile if it has no code for a kind in the list.

mod benchmark;
mod caption;
mod deletion_insertion;
mod describe;
mod detections;
mod empty;
mod evaluate;
mod extract;
mod frame_inputs;
mod heat_maps;
mod heat_score;
mod import;
mod index;
mod interact;
mod localize;
mod measure;
mod measure_tasks;
mod pack;
mod predict_interactions;
mod probe;
mod sample;
mod score;
mod self_test;
mod train;

pub use frame_inputs::{FRAMES_PASS, FrameInputs};
use surgcam_engine::plan::kind::StageKind;

/// The only list of kinds. It is passed to the macro `$callback`. First come the kinds that an
/// experiment's plan can have, then those of commands that run without an experiment.
#[macro_export]
macro_rules! every_kind {
    ($callback:ident) => {
        $callback! {
            sample::SampleStage,
            index::IndexStage,
            pack::PackStage,
            import::ImportStage,
            train::TrainStage,
            evaluate::EvaluateStage,
            heat_maps::HeatMapsStage,
            localize::LocalizeStage,
            score::ScoreStage,
            heat_score::HeatScoreStage,
            deletion_insertion::DeletionInsertionStage,
            detections::DetectionsStage,
            extract::ExtractStage,
            probe::ProbeStage,
            caption::CaptionStage,
            interact::InteractStage,
            predict_interactions::PredictInteractionsStage,
            measure::MeasureStage,
            measure_tasks::MeasureTasksStage,
            empty::EmptyStage;
            describe::DescribeStage,
            benchmark::BenchmarkStage,
            self_test::SelfTestStage,
        }
    };
}

/// What is true of all stages of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Whether its stages need the machine for themselves.
    pub is_alone: bool,
    /// The pass in which they are made together.
    pub pass: Option<&'static str>,
}

impl Kind {
    const fn of<K: StageKind>() -> Self {
        Kind { name: K::NAME, is_alone: K::IS_ALONE, pass: K::PASS }
    }

    /// The kind of this name. Kinds whose stages are never in a user's store are found, too.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.iter().chain(KINDS_OF_COMMANDS).find(|kind| kind.name == name).copied()
    }
}

macro_rules! listed {
    (
        $($module:ident::$kind:ident),+;
        $($module_of_command:ident::$kind_of_command:ident),+ $(,)?
    ) => {
        $(pub use $module::*;)+
        $(pub use $module_of_command::*;)+

        /// Every kind that an experiment's plan can have.
        pub const KINDS: &[Kind] = &[$(Kind::of::<$kind>()),+];

        const KINDS_OF_COMMANDS: &[Kind] = &[$(Kind::of::<$kind_of_command>()),+];
    };
}

every_kind!(listed);

/// The names of [`KINDS`].
pub fn kind_names() -> impl Iterator<Item = &'static str> + Clone {
    KINDS.iter().map(|kind| kind.name)
}
