//! How a run ended.

use crate::error::Error;
use crate::plan::StageId;
use crate::plan::status::Known;
use crate::store::key::StageKey;
use crate::store::record::PeakMemory;

#[derive(Debug, Clone)]
pub struct Executed {
    pub id: StageId,
    pub key: StageKey,
    pub seconds: f64,
    pub peak_memory: PeakMemory,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    pub executed: Vec<Executed>,
    pub cached: Vec<StageId>,
    pub failed: Vec<(StageId, Error)>,
    /// Stages that could not run because one that they need failed.
    pub blocked: Vec<StageId>,
    pub interrupted: bool,
    /// Keys and records of all stages as they are now.
    pub known: Known,
}
