//! `detections`: the boxes that another program's detector found.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, PathOf, StageKind};
use surgcam_frames::dataset::detections::DetectionFormat;
use surgcam_frames::dataset::labels::ClassMap;

/// Reads a detector's boxes, in pixels of the frames as the network sees them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DetectionsStage {
    pub format: DetectionFormat,
    pub classes: ClassMap,
    /// `[height, width]` that boxes count in.
    pub image_size: [u32; 2],
    /// Boxes with a lower score are left out.
    pub score_threshold: f64,
}

inputs! {
    pub struct DetectionsInputs<S> {
        /// The digest of the file with the boxes.
        boxes: S,
        /// That of the COCO file with the images and categories of a results file.
        annotations: Option<S>,
        index: S,
        /// The list of pictures, whose sizes the boxes count in.
        pictures: S,
        /// The pictures themselves, where they are drawn.
        sample: Option<S>,
    }
}

impl StageKind for DetectionsStage {
    const NAME: &'static str = "detections";
    const VERSION: u32 = 1;

    type Inputs<S> = DetectionsInputs<S>;
}

impl DetectionsStage {
    /// A Parquet file of boxes, as `localize` writes one.
    pub const DETECTED: OutputOf<Self> = OutputOf::new("boxes.parquet");
    /// The file with the boxes.
    pub const FILE: PathOf<Self> = PathOf::new("boxes");
    /// The COCO file with the images and categories, where there is one.
    pub const ANNOTATIONS: PathOf<Self> = PathOf::new("annotations");
    /// The user's folder, where the data set is not drawn.
    pub const ROOT: PathOf<Self> = PathOf::new("root");
}
