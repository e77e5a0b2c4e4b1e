//! Every execution of a plan is a run with an id: what was asked for, what was planned, and what
//! happened. Runs are plain files that need nothing else to be read.
//!
//! ```text
//! runs/<id>/run.json       the run; ids sort by time
//! runs/<id>/events.jsonl   what happened, a line each
//! runs/<id>/worker-N.log   what a worker wrote to stderr
//! runs/<id>/lock           held while it runs, which tells a running run from a killed one
//! runs/<id>.<number>/      events and logs of one job of a run that was handed to a cluster
//! plans/<digest>.json      its plan and the stages that were made at its end; equal runs share one
//! ```

mod folders;
mod plan_snapshot;
mod run;

pub(super) use folders::RUN_FILE;
pub use folders::{EVENTS_FILE, OpenRun, is_of_job};
pub use plan_snapshot::{PlanSnapshot, SnapshotStage};
pub use run::{ExecutedStage, FORMAT, FailedStage, Run, RunState, Scope};
