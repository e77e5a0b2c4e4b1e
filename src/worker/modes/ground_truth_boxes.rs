//! The yardstick of a perfect detector: LN-FE on the annotated boxes. Nothing of the frame's own
//! forward pass is needed.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::regions::used_regions;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, RegionFeatures};
use crate::regions::{FoundRegions, FrameSpace, Region};

pub struct GroundTruthBoxes;

impl ExtractionMode for GroundTruthBoxes {
    fn needs_forward_pass(&self) -> bool {
        false
    }

    fn can_have_regions(&self, frame: &Frame) -> bool {
        frame.boxes.as_ref().is_some_and(|boxes| !boxes.is_empty())
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

/// The annotated boxes of a class as regions, in the order of all regions.
fn regions_of_class(frame: &Frame, class: usize, space: FrameSpace) -> Vec<Region> {
    let [height, width] = space.image_size;
    let mut boxes: Vec<Box2> = frame
        .boxes
        .iter()
        .flatten()
        .filter(|labelled| labelled.class == class)
        .map(|labelled| {
            labelled.bounds.scaled(frame.box_space, [width, height]).inside([width, height])
        })
        .filter(|bounds| bounds.width() > 0 && bounds.height() > 0)
        .collect();
    boxes.sort();
    let used = used_regions(&boxes, class + 1 == space.classes);
    used.into_iter()
        .enumerate()
        .map(|(index, bounds)| Region { class, index, bounds, confidence: 1.0 })
        .collect()
}
