//! `surgcam`: declarative experiments on gradient-based localised feature extraction.
//!
//! TOML recipes say what can be combined, an experiment combines them, and this library turns it into a graph of
//! content-hashed stages, runs what is not yet in the store, and writes tables. How data flow through the rooms:
//!
//! ```text
//! cli ──> recipe ──────> pipeline ───────────> plan ─────> runner ──(protocol)──> surgcam-worker
//!         TOML, layers   the paper's stages    graph,      slots,                 all that touches a tensor
//!         to typed       with their typed      keys,       events                 (src/worker, its own program)
//!         values         parameters            status        │
//!                                                └──── store: objects and records
//!  report <── plan + store: tables, figures, run.json
//! ```
//!
//! * [`recipe`]: files, overrides and matrices to typed, validated values, each with its origin.
//! * [`pipeline`]: which stages an experiment needs, and each stage kind's parameters and version.
//! * [`plan`], [`store`], [`runner`]: a graph, its keys, its results, its execution. They know no surgery and no tensors.
//! * [`dataset`], [`vision`]: frames, labels, boxes, heat maps; pure functions, used by the worker and by the reports.
//! * [`language`]: captions as words, and how well they are told.
//! * [`artifacts`]: the files that stages leave in the store and others read.
//! * [`escape`]: what becomes of other people's texts on a terminal and in tables.
//! * [`report`]: tables through polars, pictures, the run record; what a person sees while stages run.
//! * [`protocol`]: what runner and worker say to each other.
//! * [`regular_file`]: opens the files of others, without ever waiting for one.
//! * [`quote`]: how messages quote what a user wrote.
//!
//! This library never names libtorch, so that `surgcam` answers at once; `surgcam-worker` does.

pub mod cli;
pub mod report;
