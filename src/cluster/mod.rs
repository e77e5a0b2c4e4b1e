//! Runs of experiments on a Slurm cluster.
//!
//! Slurm starts the jobs; no process of surgcam stays alive to wait for them. Each job is a
//! `surgcam` of its own, which looks into the store and makes those of its stages that are missing.
//! The store's records alone say what is done. Slurm is only asked why something is absent.
//!
//! From a plan to jobs: [`packing`] puts stages into jobs, [`batches`] puts equal jobs into arrays
//! and says what each waits for, and [`schedule`] makes the list of all calls of sbatch from both.
//! [`submit`] makes these calls, with the scripts and options of [`script`]. [`cost`] estimates how
//! long a plan takes. [`identity`] names stages before their keys are known.
//!
//! From jobs back to the plan: [`submission`] keeps a run's jobs in the store. [`programs`] calls
//! the programs of Slurm, [`answers`] reads what they print, [`states`] says what became of a job,
//! and [`absence`] says why a stage was not made.

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
