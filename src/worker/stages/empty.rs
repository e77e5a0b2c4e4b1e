//! `empty`: only what the runner and the store do for any stage.

use surgcam_engine::error::{AtPath, Result};
use surgcam_pipeline::kinds::EmptyStage;

use super::{KindRun, Make};

impl Make for EmptyStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let path = stage.output(Self::NOTHING);
        std::fs::write(&path, "").at_path("write", &path)
    }
}
