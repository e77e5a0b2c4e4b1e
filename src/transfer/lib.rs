//! Pushes finished stages to another place and pulls them from there.
//!
//! * [`remote`]: the place itself, a folder or a bucket. `listing` finds its files, and [`files`]
//!   reads and writes single ones.
//! * `records`: where records and objects lie there.
//! * `push` and `pull`: transfers of a stage, in the order that keeps both sides whole.
//!   [`transferred`] counts them.

pub mod files;
mod listing;
mod pull;
mod push;
#[cfg(test)]
mod pushed_stage;
mod records;
pub mod remote;
pub mod transferred;
