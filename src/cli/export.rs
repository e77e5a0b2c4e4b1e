//! `surgcam export`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::ExperimentArguments;
use super::context::outcome;
use super::execution::{self, Manner};
use crate::report::results::Results;
use crate::report::{captioners, coco_boxes, exports, printer};
use surgcam_engine::error::{Error, Result};
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::planned::Built;

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Logits, present classes, heat maps and boxes: one .npz for each frame
    Localization,
    /// Boxes in COCO's form, predicted and true, for pycocotools and CVAT
    Boxes,
    /// The regions of the frames as PNG files
    Crops,
    /// Features: one .npz for each region and one .npy for each frame
    Features,
    /// Backbone and heads for `surgcam caption`: one folder for each cell
    Captioners,
}

#[derive(Clone, Copy, ValueEnum)]
enum BoxFormat {
    /// JSON files with images, categories and boxes in the pixels of the original pictures
    Coco,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// What to write
    what: What,
    /// The form of exported boxes; at present there is only one
    #[arg(long)]
    format: Option<BoxFormat>,
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    pub(super) asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    if arguments.format.is_some() && !matches!(arguments.what, What::Boxes) {
        return Err(Error::usage("only boxes are exported in a format that can be chosen")
            .hint("leave --format out, or write `surgcam export boxes --format coco`"));
    }
    let context = arguments.asked.context()?;
    let goal = match arguments.what {
        What::Localization | What::Boxes | What::Crops => Goal::Boxes,
        What::Features => Goal::Features,
        What::Captioners => Goal::Heads,
    };
    let mut planned = context
        .plan_for(context.experiment(&arguments.asked.experiment)?, &BTreeSet::from([goal]))?;
    let execution = execution::execute(&context, &mut planned, &Manner::PART)?;
    outcome(&execution, &planned.built.plan)?;
    let results = Results::new(&planned.store, &execution.summary.known);
    let write: fn(&Built, &Results, &Path) -> Result<exports::Exported> = match arguments.what {
        What::Localization => exports::localization,
        What::Boxes => coco_boxes::boxes,
        What::Crops => exports::crops,
        What::Features => exports::features,
        What::Captioners => captioners::captioners,
    };
    let exported = write(&planned.built, &results, &arguments.out)?;
    printer::message(&format!("{} files below {}", exported.files, arguments.out.display()));
    Ok(())
}
