//! Plans of stages: their keys, the store of their results, and running them in workers.
//!
//! * [`plan`]: the graph, what is cached, what will run and why. [`store`]: objects, records, keys,
//!   locks, runs.
//! * [`runner`]: gives ready stages to slots and workers. [`protocol`]: the messages between runner
//!   and worker.
//! * [`machine`]: the GPUs, the libtorch and the lock of a machine.
//! * [`error`], [`quote`], [`escape`]: failures, and text of others in messages, tables and on
//!   terminals.
//! * [`regular_file`]: opens files of others without ever waiting for one.
//! * [`suggestion`]: finds the known name that is most like an unknown one.
//!
//! This package does not know what stages are about, or what computes them.

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
