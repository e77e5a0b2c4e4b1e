//! A frame of a batch, and what the extractions of a pass read of it.

use std::collections::HashMap;

use surgcam_artifacts::features::RegionRow;
use surgcam_artifacts::heat_maps::FrameHeat;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::settings::ExtractionSettings;

use crate::activations::FrameActivations;
use crate::heat_maps::FrameHeatMaps;
use crate::modes::{FrameInput, ReadRegions};
use crate::regions::{FrameSpace, Region};

/// What a stage wants of each frame, apart from all that belongs to one thread.
pub struct Extraction {
    pub place: usize,
    pub extractor: usize,
    pub cam: Option<usize>,
    pub space: FrameSpace,
    pub settings: ExtractionSettings,
}

/// A frame of a batch, while the stages take what they need. It moves between threads as a whole.
pub struct FrameOfBatch<'a> {
    row: usize,
    pub frame: &'a Frame,
    pub planes: &'a [u8],
    /// By extractor.
    pub activations: Vec<FrameActivations>,
    /// By the place of the CAM.
    pub heat_maps: Vec<FrameHeatMaps>,
    /// By the stage's place.
    pub read: HashMap<usize, ReadRegions>,
}

impl<'a> FrameOfBatch<'a> {
    pub fn new(row: usize, frame: &'a Frame, planes: &'a [u8]) -> Self {
        FrameOfBatch {
            row,
            frame,
            planes,
            activations: Vec::new(),
            heat_maps: Vec::new(),
            read: HashMap::new(),
        }
    }

    pub fn input(&self, extraction: &Extraction) -> FrameInput<'_> {
        FrameInput {
            frame: self.frame,
            planes: self.planes,
            activations: Some(&self.activations[extraction.extractor]),
            heat_maps: extraction.cam.map(|cam| &self.heat_maps[cam]),
        }
    }

    /// For one extraction after the other, so that what they share is still in the cache.
    pub fn read_regions(&mut self, extractions: &[Extraction]) -> Result<()> {
        for extraction in extractions {
            let read =
                ReadRegions::of(&self.input(extraction), extraction.space, &extraction.settings)?;
            self.read.insert(extraction.place, read);
        }
        Ok(())
    }

    pub fn heat(&self, extractor: usize, cam: usize) -> FrameHeat {
        let heat_maps = &self.heat_maps[cam];
        FrameHeat {
            row: self.row,
            logits: self.activations[extractor].logits.clone(),
            present: heat_maps.present.clone(),
            map_size: heat_maps.map_size,
            maps: heat_maps.maps.clone(),
        }
    }

    pub fn region_row(&self, extractor: usize, region: &Region) -> RegionRow {
        let Region { class, index, bounds, confidence } = *region;
        RegionRow {
            row: self.row,
            class,
            index,
            bounds,
            probability: self.activations[extractor].probability(class),
            confidence,
        }
    }
}
