//! `import`: turns a weights file of any supported form into a checkpoint.

use surgcam_engine::error::{Error, Result};
use surgcam_pipeline::kinds::ImportStage;
use surgcam_pipeline::settings::Architecture;

use super::{KindRun, Make};
use crate::model::checkpoint;

impl Make for ImportStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let architecture = Architecture {
            backbone: parameters.backbone,
            classes: parameters.classes.unwrap_or(0),
            clip_length: parameters.clip_length,
        };
        let weights = checkpoint::read(
            &stage.place(Self::WEIGHTS)?,
            architecture,
            parameters.classes.is_some(),
        )?;
        if let Some(name) = weights.first_not_finite() {
            return Err(Error::failure(format!(
                "the tensor `{name}` has values that are not finite numbers"
            ))
            .at_path(&stage.place(Self::WEIGHTS)?)
            .hint(
                "the training that wrote this file has diverged; choose an earlier checkpoint of \
                 it",
            ));
        }
        checkpoint::write(&weights, &stage.output(Self::CHECKPOINT))
    }
}
