//! What the store holds of a planned experiment: the metrics that tables are made of.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::plan::StageId;
use surgcam_engine::plan::status::Known;
use surgcam_engine::store::Store;
use surgcam_engine::store::record::Output;
use surgcam_frames::dataset::index::SkippedFrame;
use surgcam_frames::metrics::LeftOut;
use surgcam_pipeline::build::Built;
use surgcam_pipeline::stages::{IndexStage, PackStage, StageParameters, output};

pub struct Results<'a> {
    store: &'a Store,
    known: &'a Known,
}

impl<'a> Results<'a> {
    pub fn new(store: &'a Store, known: &'a Known) -> Self {
        Results { store, known }
    }

    /// The object of a finished stage, its bytes checked; `None` if the stage is not finished.
    pub fn output(&self, id: StageId, name: &str) -> Result<Option<PathBuf>> {
        let found = self.known.outputs(id).and_then(|outputs| outputs.get(name));
        found.map(|output| self.store.use_object(&output.digest)).transpose()
    }

    /// The metrics of a finished stage; `None` if it is not finished or was not asked for.
    pub fn metrics<T: DeserializeOwned>(&self, id: Option<StageId>) -> Result<Option<T>> {
        let found = id.and_then(|id| self.known.outputs(id)?.get(output::METRICS));
        let read = |output: &Output| {
            let text = self.store.read_object(&output.digest)?;
            serde_json::from_slice(&text).at_path("understand", &self.store.object_path(&output.digest))
        };
        found.map(read).transpose()
    }

    /// Frames left out of an experiment's data, by what is wrong with them.
    pub fn skipped_frames(&self, built: &Built) -> Result<Vec<SkippedFrame>> {
        self.left_out(built, |left_out| left_out.skipped)
    }

    /// Captions and interactions left out.
    pub fn skipped_annotations(&self, built: &Built) -> Result<Vec<SkippedFrame>> {
        self.left_out(built, |left_out| left_out.skipped_annotations)
    }

    /// Boxes that were cut at the edge of their picture, or that are listed twice.
    pub fn mended_boxes(&self, built: &Built) -> Result<Vec<SkippedFrame>> {
        self.left_out(built, |left_out| left_out.mended_boxes)
    }

    fn left_out(&self, built: &Built, which: fn(LeftOut) -> Vec<SkippedFrame>) -> Result<Vec<SkippedFrame>> {
        let mut skipped = Vec::new();
        let reads_frames = |id: &StageId| [IndexStage::KIND, PackStage::KIND].contains(&built.plan.stage(*id).kind);
        for id in built.plan.ids().filter(reads_frames) {
            skipped.extend(self.metrics::<LeftOut>(Some(id))?.into_iter().flat_map(which));
        }
        // The same frame may be in the indexes of several label spaces.
        skipped.sort_by(|a, b| (&a.place, &a.problem).cmp(&(&b.place, &b.problem)));
        skipped.dedup();
        Ok(skipped)
    }
}
