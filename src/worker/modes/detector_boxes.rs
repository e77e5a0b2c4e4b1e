//! The conventional pipeline: LN-FE on boxes that another program's detector found. Nothing of the
//! frame's own forward pass is needed.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::regions::used_regions;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, RegionFeatures};
use crate::regions::{FoundRegions, FrameSpace, Region};

pub struct DetectorBoxes;

impl ExtractionMode for DetectorBoxes {
    fn needs_forward_pass(&self) -> bool {
        false
    }

    fn can_have_regions(&self, frame: &Frame) -> bool {
        !frame.detected.is_empty()
    }

    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        let regions = (0..space.classes)
            .flat_map(|class| regions_of_class(input.frame, class, space))
            .collect();
        Ok(Arc::new(FoundRegions { regions, empty_classes: 0 }))
    }

    fn read_features(
        &self,
        _input: &FrameInput,
        _regions: &[Region],
        _space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<RegionFeatures> {
        Ok(RegionFeatures::OfCrops)
    }
}

/// The detected boxes of a class as regions, in the order of all regions. Where boxes become one,
/// the best score counts.
fn regions_of_class(frame: &Frame, class: usize, space: FrameSpace) -> Vec<Region> {
    let [height, width] = space.image_size;
    let mut found: Vec<(Box2, f32)> = frame
        .detected
        .iter()
        .filter(|detected| detected.class == class)
        .map(|detected| {
            (detected.scored.bounds.inside([width, height]), detected.scored.confidence)
        })
        .filter(|(bounds, _)| bounds.width() > 0 && bounds.height() > 0)
        .collect();
    found.sort_by_key(|(bounds, _)| *bounds);
    let (boxes, scores): (Vec<Box2>, Vec<f32>) = found.into_iter().unzip();
    let used = used_regions(&boxes, class + 1 == space.classes);
    let best = scores.iter().copied().fold(0.0, f32::max);
    let score = |index: usize| if used.len() == scores.len() { scores[index] } else { best };
    used.iter()
        .enumerate()
        .map(|(index, &bounds)| Region { class, index, bounds, confidence: score(index) })
        .collect()
}
