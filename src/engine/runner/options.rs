//! How a plan is to be run.

use super::choice::Choice;
use super::transport::Transport;
use super::worker_command::WorkerCommand;
use super::worker_process::{LocalProcesses, LogFolder};
use crate::plan::StageId;

/// How a plan is to be run.
pub struct Options<'a> {
    /// Each device has one slot.
    pub devices: Vec<Box<dyn Transport + 'a>>,
    /// How workers without a device are started.
    pub processor: Box<dyn Transport + 'a>,
    /// The number of slots for stages that do not need a device.
    pub jobs: usize,
    /// Whether stages that do not depend on a failed one are still made.
    pub keep_going: bool,
    /// The seconds that a stage is expected to take.
    pub estimate: &'a dyn Fn(StageId) -> f64,
    /// The stages to make, if not all are to be made.
    pub only: Option<&'a Choice>,
}

impl<'a> Options<'a> {
    /// Workers as processes of this machine: a slot for each device, and one for stages without a
    /// device. Stages that do not depend on a failed one are still made, and all stages count as
    /// equally long.
    pub fn local(devices: Vec<WorkerCommand>, logs: LogFolder<'a>) -> Self {
        let on = |command: WorkerCommand| -> Box<dyn Transport + 'a> {
            Box::new(LocalProcesses { command, logs })
        };
        // There is always a device, and the commands differ only in it.
        let processor = devices[0].without_device();
        Options {
            processor: on(processor),
            devices: devices.into_iter().map(on).collect(),
            jobs: 1,
            keep_going: true,
            estimate: &EQUALLY_LONG,
            only: None,
        }
    }
}

static EQUALLY_LONG: fn(StageId) -> f64 = |_| 1.0;
