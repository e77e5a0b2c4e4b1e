//! What pushing and pulling share.

use indicatif::HumanBytes;

use crate::cli::context::Context;
use crate::cli::{Overrides, WorkerOptions};
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_transfer::transferred::Transferred;

#[derive(clap::Args)]
pub struct TransferArguments {
    /// A folder, file:///..., or s3://bucket/prefix with the AWS_* variables
    pub address: String,
    /// Only what this experiment needs
    pub experiment: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    workers: WorkerOptions,
}

impl TransferArguments {
    pub fn context(&self) -> Result<Context> {
        Context::new(self.experiment.as_deref(), &self.overrides, &self.workers)
    }
}

/// Adds what was transferred of one stage to the sum of all.
pub fn add(total: &mut Transferred, part: Transferred) {
    total.records += part.records;
    total.objects += part.objects;
    total.bytes = total.bytes.saturating_add(part.bytes);
    total.differing += part.differing;
}

/// Prints the sum of what was transferred. `done` is "pushed" or "pulled".
pub fn print_total(done: &str, total: Transferred, address: &str) -> Result<()> {
    printer::line(&format!(
        "{done} {} stages, {} objects, {} ({address})",
        total.records,
        total.objects,
        HumanBytes(total.bytes)
    ))
}
