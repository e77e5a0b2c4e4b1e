//! The modes of extraction (METHOD 6), one in each file: where a frame's regions are, and how their
//! features are read.
//!
//! A batch goes through a mode in four steps:
//!
//! 1. [`ExtractionMode::fetch`], once for the batch: what the mode needs comes from the device, in
//!    few transfers.
//! 2. [`ExtractionMode::find_regions`], for each frame, on any thread.
//! 3. [`ExtractionMode::read_features`], for each frame, on any thread: the features are read from
//!    the feature maps of the frame's own forward pass, or left to a forward pass over the regions'
//!    crops.
//! 4. [`crate::feature_extractor::FeatureExtractor::complete`], once for the batch: that forward
//!    pass, where it is needed.

mod detector_boxes;
mod given_boxes;
mod ground_truth_boxes;
mod l_fe;
mod ln_fe;
mod sl_fe;
mod whole_frame;

use std::sync::Arc;

use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::settings::{ExtractionSettings, RegionSettings};
use surgcam_values::Mode;
use tch::Device;

use crate::activations::{FrameActivations, FrameMaps};
use crate::heat_maps::FrameHeatMaps;
use crate::regions::{FoundRegions, FrameSpace, Region};

/// A frame in the form that a mode gets it.
#[derive(Clone, Copy)]
pub struct FrameInput<'a> {
    pub frame: &'a Frame,
    /// [3, H, W] u8.
    pub planes: &'a [u8],
    /// `None` if the mode needs no forward pass over the frame.
    pub activations: Option<&'a FrameActivations>,
    /// The heat maps of the mode's own settings. `None` if the mode does not localise.
    pub heat_maps: Option<&'a FrameHeatMaps>,
}

impl<'a> FrameInput<'a> {
    fn needed_activations(&self) -> Result<&'a FrameActivations> {
        self.activations.ok_or_else(|| missing("activations"))
    }

    /// The maps that regions take their cells from.
    fn needed_maps(&self, settings: &ExtractionSettings) -> Result<&'a FrameMaps> {
        self.needed_activations()?
            .maps_by(settings.batch_norm)
            .ok_or_else(|| missing("maps by frame statistics"))
    }

    fn needed_heat_maps(&self) -> Result<&'a FrameHeatMaps> {
        self.heat_maps.ok_or_else(|| missing("heat maps"))
    }
}

fn needed_regions(settings: &ExtractionSettings) -> Result<&RegionSettings> {
    settings.regions.as_ref().ok_or_else(|| missing("settings of regions"))
}

fn missing(what: &str) -> Error {
    Error::failure(format!("the extraction mode needs {what}, and was given none"))
        .hint("this is a defect of surgcam; please report it")
}

/// Where the features of a frame's regions come from.
pub enum RegionFeatures {
    /// [regions, 512], read from the feature maps of the frame's forward pass.
    Read(Vec<f32>),
    /// They come from a forward pass over the crops of the regions, which all frames of a batch
    /// share.
    OfCrops,
}

pub trait ExtractionMode: Sync {
    /// Whether the network sees the whole frame before its regions are found.
    fn needs_forward_pass(&self) -> bool {
        true
    }

    /// Whether there can be a region in this frame.
    fn can_have_regions(&self, _frame: &Frame) -> bool {
        true
    }

    /// Brings what the other steps need of a batch from the device to the CPU. Without it they ask
    /// the device frame by frame.
    fn fetch(
        &self,
        _batch: &[FrameInput],
        _settings: &ExtractionSettings,
        _device: Device,
    ) -> Result<()> {
        Ok(())
    }

    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>>;

    /// The features of `regions`, which this mode found in this frame by these settings. Unless a
    /// mode reads them from feature maps, they come from crops.
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

/// The code of a mode.
pub fn named(mode: Mode) -> &'static dyn ExtractionMode {
    match mode {
        Mode::LnFe => &ln_fe::LnFe,
        Mode::LFe => &l_fe::LFe,
        Mode::SlFe => &sl_fe::SlFe,
        Mode::GroundTruthBoxes => &ground_truth_boxes::GroundTruthBoxes,
        Mode::DetectorBoxes => &detector_boxes::DetectorBoxes,
        Mode::WholeFrame => &whole_frame::WholeFrame,
    }
}

/// The regions of a frame, whose features are read or still to come.
pub struct ReadRegions {
    pub found: Arc<FoundRegions>,
    pub features: RegionFeatures,
}

impl ReadRegions {
    /// Finds and reads them, on any thread.
    pub fn of(
        input: &FrameInput,
        space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<Self> {
        let mode = named(settings.mode);
        let found = mode.find_regions(input, space, settings)?;
        let features = mode.read_features(input, &found.regions, space, settings)?;
        Ok(ReadRegions { found, features })
    }

    /// The regions that are to be cut out and sent through the network.
    pub fn to_crop(&self) -> &[Region] {
        match self.features {
            RegionFeatures::Read(_) => &[],
            RegionFeatures::OfCrops => &self.found.regions,
        }
    }
}
