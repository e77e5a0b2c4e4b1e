//! `surgcam`: declarative experiments on gradient-based localised feature extraction.
//!
//! TOML recipes say what can be combined, and an experiment combines them. This program turns an
//! experiment into a graph of content-hashed stages, runs those that are not in the store yet, and
//! writes tables. How data flow through the packages:
//!
//! ```text
//! cli ──> recipe ──────> pipeline ─────────> engine's plan ─> runner ──(protocol)─> surgcam-worker
//!         TOML, layers   the paper's stages  graph, keys,     slots,                tensors
//!         to typed       with their typed    status           events                (src/worker)
//!         values         parameters             │
//!                                               └──── store: objects and records
//!  report <── plan + store: tables, figures, run.json
//! ```
//!
//! This package is what a person talks to: [`cli`] has a thin file for each command, [`report`] has
//! what commands show, [`cluster`] hands runs to Slurm, and [`measuring`] has what `surgcam bench`
//! measures. docs/architecture.md describes the packages that these use. None of them links
//! libtorch, so that `surgcam` answers at once; `surgcam-worker` links it.

pub mod cli;
pub mod cluster;
pub mod measuring;
pub mod report;
