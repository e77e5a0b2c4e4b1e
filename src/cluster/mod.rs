//! Runs of experiments on a Slurm cluster.
//!
//! Slurm schedules; no process of surgcam stays alive. [`packing`] puts the stages of a plan into
//! jobs, [`batches`] puts equal jobs into arrays and says what waits for what, [`schedule`] is the
//! whole of it, and [`script`] and [`submit`] hand it to Slurm. Each job is a `surgcam` of its own, which looks into the store
//! and makes what is missing of its stages. The store's records are the truth about what is done.
//! Slurm is asked only why something is absent: [`programs`] calls its programs, [`answers`] reads
//! what they print, [`states`] says what it means, and [`absence`] says it of a stage. A run's jobs
//! are noted in the store ([`submission`]). [`cost`] says what a plan is expected to take.

pub mod absence;
pub mod answers;
pub mod batches;
pub mod cost;
pub mod identity;
pub mod packing;
pub mod programs;
pub mod schedule;
pub mod script;
pub mod states;
pub mod submission;
pub mod submit;
