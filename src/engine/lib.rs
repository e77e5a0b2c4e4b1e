//! Plans of stages: their keys, the store of their results, and running them in workers.
//!
//! * [`plan`]: the graph, what is cached, what will run and why. [`store`]: objects, records, keys, locks, history.
//! * [`runner`]: ready stages to slots and workers. [`protocol`]: what runner and worker say to each other.
//! * [`machine`]: what a machine has, for both of them.
//! * [`error`], [`quote`], [`escape`]: failures, and other people's texts in messages, tables and on terminals.
//! * [`regular_file`]: opens the files of others, without ever waiting for one.
//! * [`suggestion`]: the known name that is most like an unknown one.
//!
//! It knows neither what stages are about nor what computes them.

pub mod error;
pub mod escape;
pub mod machine;
pub mod plan;
pub mod protocol;
pub mod quote;
pub mod regular_file;
pub mod runner;
pub mod store;
pub mod suggestion;
