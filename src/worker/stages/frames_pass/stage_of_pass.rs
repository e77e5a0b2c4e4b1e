//! One stage of a pass over the frames: what it takes of each frame, and what it writes.

use std::path::PathBuf;

use surgcam_artifacts::features::FeatureWriter;
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::Result;
use surgcam_frames::metrics::ExtractionSummary;
use surgcam_pipeline::kinds::ExtractStage;

use super::frame_of_batch::{Extraction, FrameOfBatch};
use crate::feature_extractor::FeatureExtractor;
use crate::modes::ReadRegions;
use crate::regions::{Extracted, FrameSpace};
use crate::stages::{KindRun, StageRun};

/// One stage of the pass: what it wants of each frame, and what it has gathered.
pub struct StageOfPass<'a> {
    stage: &'a StageRun<'a>,
    /// Into `Pass::extractors`.
    pub extractor: usize,
    wants: Wants<'a>,
}

enum Wants<'a> {
    /// Those of the current sequence are gathered: they are small.
    HeatMaps {
        /// Into `Pass::cams`.
        cam: usize,
        folder: PathBuf,
        gathered: Vec<FrameHeat>,
    },
    Features {
        /// Into `Pass::cams`; none where the mode does not localise.
        cam: Option<usize>,
        extract: Box<KindRun<'a, ExtractStage>>,
        writer: Box<FeatureWriter>,
        summary: ExtractionSummary,
    },
}

impl<'a> StageOfPass<'a> {
    pub fn of_heat_maps(
        stage: &'a StageRun<'a>,
        extractor: usize,
        cam: usize,
        folder: PathBuf,
    ) -> Self {
        StageOfPass {
            stage,
            extractor,
            wants: Wants::HeatMaps { cam, folder, gathered: Vec::new() },
        }
    }

    pub fn of_features(
        stage: &'a StageRun<'a>,
        extractor: usize,
        cam: Option<usize>,
        extract: Box<KindRun<'a, ExtractStage>>,
    ) -> Result<Self> {
        let folder = extract.output_folder(ExtractStage::FEATURES)?;
        let writer = Box::new(FeatureWriter::create(&folder)?);
        let summary = ExtractionSummary {
            frames: 0,
            regions: 0,
            forward_passes: 0,
            classes_without_region: 0,
        };
        let wants = Wants::Features { cam, extract, writer, summary };
        Ok(StageOfPass { stage, extractor, wants })
    }

    /// `space`: that of the extractor.
    pub fn extraction(&self, place: usize, space: FrameSpace) -> Option<Extraction> {
        match &self.wants {
            Wants::HeatMaps { .. } => None,
            Wants::Features { cam, extract, .. } => Some(Extraction {
                place,
                extractor: self.extractor,
                cam: *cam,
                space,
                settings: extract.parameters.extraction.clone(),
            }),
        }
    }

    /// Takes what it wants of a batch whose regions are read.
    pub fn take(
        &mut self,
        place: usize,
        batch: &mut [FrameOfBatch],
        extractor: &FeatureExtractor,
    ) -> Result<()> {
        match &mut self.wants {
            Wants::HeatMaps { cam, gathered, .. } => {
                gathered.extend(batch.iter().map(|frame| frame.heat(self.extractor, *cam)));
                Ok(())
            }
            Wants::Features { extract, writer, summary, .. } => {
                let planes: Vec<&[u8]> = batch.iter().map(|frame| frame.planes).collect();
                let read: Vec<ReadRegions> =
                    batch.iter_mut().filter_map(|frame| frame.read.remove(&place)).collect();
                let extracted =
                    extractor.complete(&planes, read, &extract.parameters.extraction)?;
                for (frame, extracted) in batch.iter().zip(&extracted) {
                    count(summary, extracted);
                    let rows = extracted
                        .regions
                        .iter()
                        .map(|region| frame.region_row(self.extractor, region));
                    writer.add(&frame.frame.sequence, rows, &extracted.features)?;
                }
                Ok(())
            }
        }
    }

    pub fn finish_sequence(&mut self, name: &str) -> Result<()> {
        match &mut self.wants {
            Wants::HeatMaps { folder, gathered, .. } => {
                heat_maps::write_sequence(folder, name, &std::mem::take(gathered))
            }
            Wants::Features { .. } => Ok(()),
        }
    }

    pub fn finish(self) -> Result<()> {
        match self.wants {
            Wants::HeatMaps { .. } => Ok(()),
            Wants::Features { extract, writer, summary, .. } => {
                if summary.classes_without_region > 0 {
                    self.stage.note(format!(
                        "{} present classes had no region",
                        summary.classes_without_region
                    ));
                }
                writer.finish()?;
                extract.write_metrics(&summary)
            }
        }
    }
}

fn count(summary: &mut ExtractionSummary, extracted: &Extracted) {
    summary.frames += 1;
    summary.regions += extracted.regions.len();
    summary.forward_passes += extracted.forward_passes;
    summary.classes_without_region += extracted.empty_classes;
}
