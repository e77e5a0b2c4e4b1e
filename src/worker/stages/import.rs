//! `import`: a weights file of any supported form to a checkpoint of ours.

use surgcam_engine::error::Result;
use surgcam_pipeline::stages::*;

use super::StageRun;
use crate::model::checkpoint;

pub fn make(stage: &StageRun) -> Result<()> {
    let parameters: ImportStage = stage.parameters()?;
    let architecture = Architecture { backbone: parameters.backbone, classes: parameters.classes.unwrap_or(0) };
    let weights = checkpoint::read(&stage.place(place::WEIGHTS)?, architecture, parameters.classes.is_some())?;
    checkpoint::write(&weights, &stage.output(output::CHECKPOINT))
}
