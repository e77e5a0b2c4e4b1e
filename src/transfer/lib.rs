//! Finished stages to and from another place: [`remote`] reads and writes there, [`transfer`] says
//! what goes first.

pub mod remote;
pub mod transfer;
