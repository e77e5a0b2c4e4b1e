//! The section `[extraction.NAME]`.

use std::path::PathBuf;

use super::declare::section;
use surgcam_values::{
    BatchNormStatistics, CamMethod, FeatureLayer, ImageSize, Mode, Pool, Precision, Present,
    Threshold,
};

section! {
    /// `[extraction.NAME]`: how regions are found and become features (METHOD 4 to 6).
    ExtractionRecipe, ExtractionPatch {
        /// Another extraction recipe, whose values hold where this one gives none.
        extends: Option<String> = None,
        /// How regions become features. `detector-boxes` is the conventional pipeline, with boxes
        /// of a detector of your own. `ground-truth-boxes` and `whole-frame` are yardsticks that
        /// the other modes are compared with.
        mode: Mode = Mode::SlFe,
        /// The classes that count as present in a frame: `{ above = T_class }` for those that are
        /// more probable than T_class, or a list of class ids.
        present: Present = Present::Above(Threshold::new(0.5).expect("0.5 is a threshold")),
        /// T_ROI: where a heat map is above this value, there is a region.
        roi_threshold: Threshold = Threshold::new(0.3).expect("0.3 is a threshold"),
        /// Boxes with at most this many square pixels are dropped.
        minimum_area: u32 = 25,
        /// For `ln-fe`, `ground-truth-boxes` and `detector-boxes`: the `[height, width]` in pixels
        /// that the pictures in boxes are resized to.
        crop_size: ImageSize = ImageSize::OF_CROPS,
        /// How many channels a pooled region has. Its features are 512 numbers in any case.
        pool: Pool = Pool::P512,
        /// For `sl-fe`, the layer whose cells are taken. For `ln-fe`, `ground-truth-boxes` and
        /// `detector-boxes`, the layer whose map of the picture in a box is pooled.
        feature_layer: FeatureLayer = FeatureLayer::Layer4,
        /// For `l-fe` and `sl-fe`: the mean and the variance that normalise the feature maps. With
        /// `running` they are those of the training. With `frame` they are those of the single
        /// frame, as in the authors' scripts, and each frame needs a second forward pass. Heat maps
        /// and present classes use `running` in any case.
        batch_norm: BatchNormStatistics = BatchNormStatistics::Running,
        /// The method that computes heat maps.
        cam: CamMethod = CamMethod::GradCam,
        /// The layer that heat maps are computed from. For `layer4` there is a closed form, and
        /// `layer3` needs a backward pass for each class.
        cam_layer: FeatureLayer = FeatureLayer::Layer4,
        /// The numbers that the network counts in ([what that changes](performance.md)). Features
        /// are kept in f32 in any case.
        precision: Precision = Precision::F32,
        /// For `detector-boxes`: the detector's file. It is a CSV or TSV table of boxes, a COCO
        /// results file, or a COCO file whose annotations have scores. A relative path counts from
        /// the project's folder.
        boxes: Option<PathBuf> = None,
        /// For `detector-boxes` with a COCO results file: the COCO file that has the images and the
        /// categories which the results name.
        box_annotations: Option<PathBuf> = None,
        /// For `detector-boxes`: boxes with a lower score are left out.
        score_threshold: Threshold = Threshold::new(0.5).expect("0.5 is a threshold"),
        /// The control: heads see each frame with the features of another frame.
        shuffled: bool = false,
    }
}

impl ExtractionRecipe {
    /// Whether it is a yardstick or the control, which other extractions are compared with.
    pub fn is_reference(&self) -> bool {
        self.mode.is_yardstick() || self.shuffled
    }
}
