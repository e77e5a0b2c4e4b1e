//! Reads what the store has of a planned experiment: outputs of stages, and the metrics that tables
//! are made of.

use std::path::PathBuf;

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::plan::kind::{HasMetrics, OutputOf};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Handle, Source};
use surgcam_engine::store::Store;
use surgcam_engine::store::record::Output;
use surgcam_frames::metrics::LeftOut;
use surgcam_pipeline::kinds::{IndexStage, PackStage};
use surgcam_pipeline::planned::Built;

pub struct Results<'a> {
    store: &'a Store,
    known: &'a Known,
}

impl<'a> Results<'a> {
    pub fn new(store: &'a Store, known: &'a Known) -> Self {
        Results { store, known }
    }

    /// The path of a finished stage's object, whose bytes are checked. `None` if the stage is not
    /// finished.
    pub fn output<K>(&self, stage: Handle<K>, output: OutputOf<K>) -> Result<Option<PathBuf>> {
        let found = self.known.outputs(stage.id()).and_then(|outputs| outputs.get(output.name()));
        found.map(|output| self.store.use_object(&output.digest)).transpose()
    }

    /// What an input of a stage comes from, if it is an output of a finished stage.
    pub fn source(&self, source: &Source) -> Result<Option<PathBuf>> {
        let Source::Stage { id, output } = source else { return Ok(None) };
        let outputs = self.known.outputs(*id);
        let found = outputs.and_then(|outputs| outputs.get(output.as_str()));
        found.map(|output| self.store.use_object(&output.digest)).transpose()
    }

    /// As [`Results::output`], without checking the bytes. This is for large objects of which only
    /// a part is read.
    pub fn unread<K>(&self, stage: Handle<K>, output: OutputOf<K>) -> Option<PathBuf> {
        let output = self.known.outputs(stage.id())?.get(output.name())?;
        Some(self.store.object_path(&output.digest)).filter(|path| path.exists())
    }

    /// The metrics of a finished stage; `None` if it is not finished or was not asked for.
    pub fn metrics<K: HasMetrics>(&self, stage: Option<Handle<K>>) -> Result<Option<K::Metrics>> {
        let found = stage.and_then(|stage| self.known.outputs(stage.id())?.get(K::METRICS.name()));
        let read = |output: &Output| {
            let text = self.store.read_object(&output.digest)?;
            serde_json::from_slice(&text)
                .at_path("understand", &self.store.object_path(&output.digest))
        };
        found.map(read).transpose()
    }

    /// What was left out of an experiment's data or corrected in it, and what is wrong with each
    /// frame. The lists are sorted.
    pub fn left_out(&self, built: &Built) -> Result<LeftOut> {
        let indexes = built.plan.of_kind::<IndexStage>().map(|index| self.metrics(Some(index)));
        let packs = built.plan.of_kind::<PackStage>().map(|pack| self.metrics(Some(pack)));
        let mut all = LeftOut::default();
        for found in indexes.chain(packs) {
            let found: LeftOut = found?.unwrap_or_default();
            all.skipped.extend(found.skipped);
            all.skipped_annotations.extend(found.skipped_annotations);
            all.corrected_boxes.extend(found.corrected_boxes);
        }
        for list in [&mut all.skipped, &mut all.skipped_annotations, &mut all.corrected_boxes] {
            list.sort_by(|a, b| (&a.place, &a.problem).cmp(&(&b.place, &b.problem)));
            // The same frame may be in the indexes of several label spaces.
            list.dedup();
        }
        Ok(all)
    }
}
