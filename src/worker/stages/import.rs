//! `import`: a weights file of any supported form to a checkpoint of ours.

use surgcam::error::Result;
use surgcam::pipeline::stages::*;

use super::StageRun;
use crate::model::checkpoint;

pub fn make(stage: &StageRun) -> Result<()> {
    let parameters: ImportStage = stage.parameters()?;
    let file = stage.place(place::WEIGHTS)?;
    let architecture = Architecture { backbone: parameters.backbone, classes: parameters.classes.unwrap_or(0) };
    let weights = checkpoint::read(&file)?.checked(architecture, parameters.classes.is_some()).map_err(|error| error.at_path(&file))?;
    checkpoint::write(&weights, &stage.output(output::CHECKPOINT))
}
