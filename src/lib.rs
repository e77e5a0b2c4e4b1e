//! `surgcam`: declarative experiments on gradient-based localised feature extraction.
//!
//! TOML recipes say what can be combined, an experiment combines them, and this program turns it into a graph of
//! content-hashed stages, runs what is not yet in the store, and writes tables. How data flow through the packages:
//!
//! ```text
//! cli ──> recipe ──────> pipeline ───────────> engine's plan ──> runner ──(protocol)──> surgcam-worker
//!         TOML, layers   the paper's stages    graph, keys,      slots,                 all that touches a tensor
//!         to typed       with their typed      status            events                 (src/worker, its own program)
//!         values         parameters               │
//!                                                 └──── store: objects and records
//!  report <── plan + store: tables, figures, run.json
//! ```
//!
//! This package is what a person talks to: [`cli`], a thin file a command, and [`report`], what they show. docs/architecture.md
//! tells of the packages below. None of them names libtorch, so that `surgcam` answers at once; `surgcam-worker` does.

pub mod cli;
pub mod report;
