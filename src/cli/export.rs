//! `surgcam export`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::context::{Context, outcome};
use super::execution::{self, Manner};
use super::{Machine, Overrides};
use crate::error::Result;
use crate::pipeline::build::Goal;
use crate::report::results::Results;
use crate::report::{captioners, exports, printer};

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Logits, present classes, heat maps and boxes, one .npz a frame
    Localization,
    /// The regions cut out of the frames, as PNG
    Crops,
    /// Features, one .npz a region and one .npy a frame
    Features,
    /// Backbone and heads of each cell, one folder each, for `surgcam caption`
    Captioners,
}

#[derive(clap::Args)]
pub struct Arguments {
    what: What,
    /// The experiment: a file, or the name of one in experiments/
    experiment: String,
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(Some(&arguments.experiment), &arguments.overrides, &arguments.machine)?;
    let goal = match arguments.what {
        What::Localization | What::Crops => Goal::Boxes,
        What::Features => Goal::Features,
        What::Captioners => Goal::Heads,
    };
    let mut planned = context.plan_for(context.experiment(&arguments.experiment)?, &BTreeSet::from([goal]))?;
    let summary = execution::execute(&context, &mut planned, &Manner::PART)?.summary;
    outcome(&summary, &planned.built.plan, "the same command")?;
    let results = Results::new(&planned.store, &summary.known);
    let write: fn(&crate::pipeline::build::Built, &Results, &Path) -> Result<exports::Exported> = match arguments.what {
        What::Localization => exports::localization,
        What::Crops => exports::crops,
        What::Features => exports::features,
        What::Captioners => captioners::captioners,
    };
    let exported = write(&planned.built, &results, &arguments.out)?;
    printer::message(&format!("{} files below {}", exported.files, arguments.out.display()));
    Ok(())
}
