//! Runs a plan: makes the stages that are not in the store, on slots, in an order that their inputs
//! allow.
//!
//! Each device has one slot; `jobs` more slots run stages that do not need a device. Each slot has
//! one warm worker process. Stages of a pass that are ready together go to a worker as one job. A
//! stage that fails stops only the stages that need it. A stage that must be alone waits until
//! nothing else can run. Among ready stages, the one with the longest remaining path goes first, by
//! the times of earlier runs.

pub mod choice;
pub mod events;
pub mod identity;
pub mod interrupt;
pub mod journal;
mod options;
mod outcomes;
mod ready;
mod run;
mod slot;
mod summary;
pub mod transport;
pub mod worker_command;
pub mod worker_process;

pub use options::Options;
pub use run::run;
pub use summary::{Executed, Summary};
