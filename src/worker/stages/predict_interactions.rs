//! `predict-interactions`: what a trained interaction graph says of each annotated instrument of
//! the validation frames (METHOD 8).

use surgcam_artifacts::interaction_predictions;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::annotations;
use surgcam_pipeline::head_settings::head_file;
use surgcam_pipeline::kinds::PredictInteractionsStage;

use super::{KindRun, Make};
use crate::heads::interaction_graph::InteractionGraph;
use crate::heads::interaction_predictions::{Interactions, predicted};
use crate::heads::regions::FrameRegions;
use crate::one_thread::OneThread;

impl Make for PredictInteractionsStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let _one = OneThread::if_wanted(true);
        let head = stage.path_of(stage.inputs.head)?;
        let predictions = if head.join(head_file::NOTHING_ANNOTATED).is_file() {
            Vec::new()
        } else {
            let device = stage.worker.device;
            let graph = InteractionGraph::read(&head, device)?;
            let frames = stage.frames(stage.inputs.index, stage.inputs.pack)?;
            let annotations = annotations::read(&stage.path_of(stage.inputs.annotations)?)?;
            let validation = Interactions::of(&frames, &annotations, |frame| frame.validation);
            let rows = validation.rows();
            let mut regions = FrameRegions::read(
                &stage.path_of(stage.inputs.features)?,
                &rows,
                stage.parameters.maximum_regions,
            )?;
            if let Some(seed) = stage.parameters.shuffled_by {
                regions.shuffle(&rows, seed);
            }
            predicted(&graph, &validation, &regions, device)
        };
        interaction_predictions::write(&predictions, &stage.output(Self::PREDICTIONS))
    }
}
