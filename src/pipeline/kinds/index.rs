//! `index`: every frame of a data set with everything that is known about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use surgcam_engine::error::Result;
use surgcam_engine::plan::inputs::{NamedInputs, missing};
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, PathOf, StageKind};
use surgcam_frames::dataset::index::OnBadFrame;
use surgcam_frames::dataset::labels::ClassMap;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_frames::metrics::LeftOut;

/// Reads labels, boxes, captions and interactions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexStage {
    pub source: SourceLayout,
    pub classes: ClassMap,
    pub on_bad_frame: OnBadFrame,
}

/// Where the data set is.
#[derive(Debug, Clone)]
pub enum IndexInputs<S> {
    /// It is in the user's folder. This is the digest of its files.
    Source(S),
    /// It is drawn.
    Sample(S),
}

const SOURCE: &str = "source";
const SAMPLE: &str = "sample";

impl<S> NamedInputs<S> for IndexInputs<S> {
    fn into_named(self) -> BTreeMap<String, S> {
        let (name, given) = match self {
            IndexInputs::Source(source) => (SOURCE, source),
            IndexInputs::Sample(sample) => (SAMPLE, sample),
        };
        BTreeMap::from([(name.to_string(), given)])
    }

    fn take_from(named: &mut BTreeMap<String, S>) -> Result<Self> {
        match named.remove(SAMPLE) {
            Some(sample) => Ok(IndexInputs::Sample(sample)),
            None => named.remove(SOURCE).map(IndexInputs::Source).ok_or_else(|| missing(SOURCE)),
        }
    }
}

impl StageKind for IndexStage {
    const NAME: &'static str = "index";
    const VERSION: u32 = 3;

    type Inputs<S> = IndexInputs<S>;
}

impl HasMetrics for IndexStage {
    type Metrics = LeftOut;
}

impl IndexStage {
    /// Frames with labels and boxes, and a summary.
    pub const INDEX: OutputOf<Self> = OutputOf::new("index");
    /// The list of pictures, separate from the labels, so that nothing is packed again when labels
    /// change.
    pub const PICTURES: OutputOf<Self> = OutputOf::new("pictures.jsonl");
    /// Captions and interactions, separate from the labels, so that classifiers are not trained
    /// again when annotations change.
    pub const ANNOTATIONS: OutputOf<Self> = OutputOf::new("annotations.jsonl");
    /// The user's folder, where the data set is not drawn.
    pub const ROOT: PathOf<Self> = PathOf::new("root");
}
