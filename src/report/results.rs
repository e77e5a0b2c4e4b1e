//! What the store holds of a planned experiment: the metrics that tables are made of.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use crate::dataset::index::{IndexSummary, read_summary};
use crate::dataset::pack::read_manifest;
use crate::error::Result;
use crate::pipeline::build::Built;
use crate::pipeline::stages::output;
use crate::plan::{StageId, status};
use crate::store::record::Output;
use crate::store::{Store, read_json};

pub struct Results<'a> {
    pub store: &'a Store,
    outputs: HashMap<StageId, BTreeMap<String, Output>>,
}

impl<'a> Results<'a> {
    pub fn of(built: &Built, store: &'a Store) -> Self {
        Results { store, outputs: status::of(&built.plan, store).outputs }
    }

    /// The object of a finished stage; `None` if it is not finished.
    pub fn output(&self, id: StageId, name: &str) -> Option<PathBuf> {
        Some(self.store.object_path(&self.outputs.get(&id)?.get(name)?.digest))
    }

    /// The metrics of a finished stage; `None` if it is not finished or was not asked for.
    pub fn metrics<T: DeserializeOwned>(&self, id: Option<StageId>) -> Result<Option<T>> {
        match id.and_then(|id| self.output(id, output::METRICS)) {
            Some(path) => read_json(&path).map(Some),
            None => Ok(None),
        }
    }

    pub fn index_summary(&self, id: StageId) -> Result<Option<IndexSummary>> {
        self.output(id, output::INDEX).map(|path| read_summary(&path)).transpose()
    }

    /// Frames left out of an experiment's data, by what is wrong with them.
    pub fn skipped_frames(&self, built: &Built) -> Result<Vec<crate::dataset::index::SkippedFrame>> {
        let mut skipped = Vec::new();
        for id in built.plan.ids() {
            if let Some(summary) = self.index_summary(id)? {
                skipped.extend(summary.skipped);
            }
            if let Some(path) = self.output(id, output::PACK) {
                skipped.extend(read_manifest(&path)?.skipped.into_iter().map(|skipped| skipped.frame));
            }
        }
        // The same frame may be in the indexes of several label spaces.
        skipped.sort_by(|a, b| (&a.place, &a.problem).cmp(&(&b.place, &b.problem)));
        skipped.dedup();
        Ok(skipped)
    }
}
