//! What extraction costs: whole, by mode, and what it does beside its forward pass.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rayon::prelude::*;
use surgcam_artifacts::features::{FeatureWriter, RegionRow};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_pipeline::settings::{CamSettings, ExtractionSettings, RegionSettings};
use surgcam_values::{
    BatchNormStatistics, CamMethod, FeatureLayer, ImageSize, Mode, Pool, Present,
};

use super::{Bench, NORMALIZATION, Step, step};
use crate::activations::FrameActivations;
use crate::crops;
use crate::feature_extractor::{FeatureExtractor, ForwardPass};
use crate::heat_maps::FrameHeatMaps;
use crate::images;
use crate::modes::{FrameInput, ReadRegions};
use crate::regions::{Extracted, FoundRegions};

/// Boxes that LN-FE is measured with, each of a class of its own.
const BOXES: usize = 7;
const ROI_THRESHOLD: f64 = 0.3;
const MINIMUM_AREA: u32 = 25;
const CROP_SIZE: [u32; 2] = ImageSize::OF_CROPS.height_width();

/// What is measured of a frame whose forward pass is made already.
type OfActivations<'a> = Box<dyn FnMut(&FrameActivations) -> Result<()> + 'a>;

impl Bench<'_> {
    /// Whole passes, from packed pixels to maps or features on the CPU.
    pub(super) fn forward_steps<'b>(&'b self, batch: usize) -> Vec<Step<'b>> {
        let forward = step("forward", batch, move |number| {
            self.extractor.feature_maps(&self.rows(number, batch))?;
            self.synchronize();
            Ok(())
        });
        let of_mode = |name: &str, settings: ExtractionSettings| {
            let mut ahead = None;
            step(name, batch, move |number| {
                self.extract(number, batch, &settings, &mut ahead).map(drop)
            })
        };
        let by_frame_statistics = |mode| ExtractionSettings {
            batch_norm: BatchNormStatistics::Frame,
            ..self.settings(mode, self.all_classes())
        };
        let boxes = self.settings(Mode::LnFe, Present::Classes((0..BOXES).collect()));
        vec![
            forward,
            of_mode("sl-fe", self.settings(Mode::SlFe, self.all_classes())),
            of_mode("l-fe", self.settings(Mode::LFe, self.all_classes())),
            of_mode("sl-fe, frame statistics", by_frame_statistics(Mode::SlFe)),
            of_mode("l-fe, frame statistics", by_frame_statistics(Mode::LFe)),
            step(&format!("ln-fe, {BOXES} boxes"), batch, move |number| {
                let rows = self.rows(number, batch);
                let activations = self.extractor.activations(&rows)?;
                // Made as in an extraction, for their time; the boxes are set.
                let of_batch: Vec<&FrameActivations> = activations.iter().collect();
                std::hint::black_box(
                    self.extractor.heat_maps_of_batch(&of_batch, &self.cam(self.all_classes())),
                );
                let heat_maps: Vec<FrameHeatMaps> =
                    activations.iter().map(|_| self.heat_maps_with_boxes()).collect();
                let frames = rows.iter().zip(&activations).zip(&heat_maps);
                let inputs: Vec<FrameInput> = frames
                    .map(|((planes, activations), heat_maps)| {
                        self.input(planes, activations, heat_maps)
                    })
                    .collect();
                let extracted = self.extractor.extract(&inputs, &boxes)?;
                if extracted.iter().any(|extracted| extracted.regions.len() != BOXES) {
                    return Err(Error::failure(format!(
                        "the heat maps drawn have not {BOXES} boxes"
                    )));
                }
                Ok(())
            }),
        ]
    }

    /// What an extraction does beside its forward pass, one frame at a time.
    pub(super) fn parts_of_extraction<'b>(&'b self) -> Vec<Step<'b>> {
        let (sl_fe, l_fe) = (
            self.settings(Mode::SlFe, self.all_classes()),
            self.settings(Mode::LFe, self.all_classes()),
        );
        let activations: Rc<RefCell<Option<FrameActivations>>> = Rc::default();
        let on_activations = |name: &str, mut once: OfActivations<'b>| {
            let activations = activations.clone();
            step(name, 1, move |_| {
                if activations.borrow().is_none() {
                    *activations.borrow_mut() =
                        Some(self.extractor.activations(&[self.pack.row(0)])?.remove(0));
                }
                activations.borrow().as_ref().map_or(Ok(()), &mut once)
            })
        };
        let cam = self.cam(self.all_classes());
        let heat_maps =
            move |activations: &FrameActivations| self.extractor.heat_maps(activations, &cam);
        let without_forward_pass = |settings: ExtractionSettings| {
            let cam = self.cam(self.all_classes());
            Box::new(move |activations: &FrameActivations| -> Result<()> {
                let heat_maps = self.extractor.heat_maps(activations, &cam);
                let input = self.input(self.pack.row(0), activations, &heat_maps);
                std::hint::black_box(self.extractor.extract(&[input], &settings)?);
                Ok(())
            })
        };
        let image_size = self.parameters.image_size;
        vec![
            step("normalise and upload", 1, move |number| {
                let _on_device = images::of_pictures(
                    &self.rows(number, 1),
                    image_size,
                    &NORMALIZATION,
                    self.device(),
                );
                self.synchronize();
                Ok(())
            }),
            on_activations(
                "heat maps",
                Box::new(move |activations| {
                    std::hint::black_box(heat_maps(activations));
                    Ok(())
                }),
            ),
            on_activations("heat maps, hot cells and pooling (sl-fe)", without_forward_pass(sl_fe)),
            on_activations("heat maps, boxes and pooling (l-fe)", without_forward_pass(l_fe)),
            step(&format!("boxes ({BOXES})"), 1, move |_| {
                std::hint::black_box(self.boxes());
                Ok(())
            }),
            step(&format!("crops ({BOXES})"), 1, move |number| {
                let wanted: Vec<(usize, Box2)> =
                    self.boxes().regions.iter().map(|region| (0, region.bounds)).collect();
                std::hint::black_box(crops::cut_out(
                    &self.rows(number, 1),
                    image_size,
                    &wanted,
                    CROP_SIZE,
                ));
                Ok(())
            }),
            on_activations(&format!("pooling ({BOXES} boxes, l-fe)"), {
                // Found once: what is measured is the pooling.
                let heat_maps = self.heat_maps_with_boxes();
                let settings = self.settings(Mode::LFe, self.all_classes());
                Box::new(move |activations: &FrameActivations| -> Result<()> {
                    let input = self.input(self.pack.row(0), activations, &heat_maps);
                    std::hint::black_box(self.extractor.extract(&[input], &settings)?);
                    Ok(())
                })
            }),
            step("writing features", self.parameters.batch, move |_| {
                let folder = self.stage.workspace.join("features");
                std::fs::create_dir_all(&folder).at_path("create", &folder)?;
                let mut writer = FeatureWriter::create(&folder)?;
                let classes = self.parameters.architecture.classes;
                let bounds = self.extractor.space().whole_frame();
                let region = |row, class| RegionRow {
                    row,
                    class,
                    index: 0,
                    bounds,
                    probability: 1.0,
                    confidence: 1.0,
                };
                for row in 0..self.parameters.batch {
                    writer.add(
                        "seq_1",
                        (0..classes).map(|class| region(row, class)),
                        &vec![0.5; 512 * classes],
                    )?;
                }
                writer.finish()
            }),
        ]
    }

    fn all_classes(&self) -> Present {
        Present::Classes((0..self.parameters.architecture.classes).collect())
    }

    fn cam(&self, present: Present) -> CamSettings {
        CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present }
    }

    fn settings(&self, mode: Mode, present: Present) -> ExtractionSettings {
        ExtractionSettings {
            mode,
            regions: Some(self.region_settings(present)),
            architecture: self.parameters.architecture,
            normalization: NORMALIZATION,
            pool: Pool::P512,
            precision: self.parameters.precision,
            batch_norm: BatchNormStatistics::Running,
            crop_size: mode.cuts_out().then_some(CROP_SIZE),
            crop_layer: None,
        }
    }

    fn region_settings(&self, present: Present) -> RegionSettings {
        RegionSettings {
            cam: self.cam(present),
            roi_threshold: ROI_THRESHOLD,
            minimum_area: Some(MINIMUM_AREA),
            feature_layer: Some(FeatureLayer::Layer4),
        }
    }

    fn input<'b>(
        &'b self,
        planes: &'b [u8],
        activations: &'b FrameActivations,
        heat_maps: &'b FrameHeatMaps,
    ) -> FrameInput<'b> {
        FrameInput {
            frame: &self.frame,
            planes,
            activations: Some(activations),
            heat_maps: Some(heat_maps),
        }
    }

    fn extractor_of(&self, settings: &ExtractionSettings) -> &FeatureExtractor {
        match settings.batch_norm {
            BatchNormStatistics::Running => &self.extractor,
            BatchNormStatistics::Frame => &self.extractor_by_frame_statistics,
        }
    }

    /// As an extraction does it: with several frames together, a GPU begins with the next ones,
    /// which are left in `ahead`, while the CPU makes features of these. A single frame is waited
    /// for to its end.
    fn extract(
        &self,
        number: usize,
        batch: usize,
        settings: &ExtractionSettings,
        ahead: &mut Option<(usize, ForwardPass)>,
    ) -> Result<Vec<Extracted>> {
        let extractor = self.extractor_of(settings);
        let pass = match ahead.take() {
            Some((begun, pass)) if begun == number => pass,
            _ => extractor.begin_forward_pass(&self.rows(number, batch))?,
        };
        if self.device().is_cuda() && batch > 1 {
            *ahead =
                Some((number + 1, extractor.begin_forward_pass(&self.rows(number + 1, batch))?));
        }
        let _aside = ahead.as_ref().and_then(|_| pass.aside());
        let planes = self.rows(number, batch);
        let activations = extractor.activations_of(&pass);
        let cam = settings
            .regions
            .as_ref()
            .map_or_else(|| self.cam(self.all_classes()), |regions| regions.cam.clone());
        let heat_maps = extractor.heat_maps_of_batch(&activations.iter().collect::<Vec<_>>(), &cam);
        let frames = planes.iter().zip(&activations).zip(&heat_maps);
        let inputs: Vec<FrameInput> = frames
            .map(|((planes, activations), heat_maps)| self.input(planes, activations, heat_maps))
            .collect();
        if batch == 1 {
            return extractor.extract(&inputs, settings);
        }
        extractor.fetch(&inputs, settings)?;
        let (frame, space) = (&self.frame, extractor.space());
        let mut work: Vec<(FrameActivations, FrameHeatMaps)> =
            activations.into_iter().zip(heat_maps).collect();
        let read = work.par_iter_mut().zip(&planes).map(|((activations, heat_maps), planes)| {
            let input = FrameInput {
                frame,
                planes,
                activations: Some(&*activations),
                heat_maps: Some(&*heat_maps),
            };
            ReadRegions::of(&input, space, settings)
        });
        let read = read.collect::<Result<Vec<_>>>()?;
        extractor.complete(&planes, read, settings)
    }

    /// The boxes that are set.
    fn boxes(&self) -> Arc<FoundRegions> {
        self.heat_maps_with_boxes()
            .boxes(self.extractor.space(), &self.region_settings(self.all_classes()))
    }

    /// A hot cell for each of some classes, at the size of layer 4: each becomes one box.
    fn heat_maps_with_boxes(&self) -> FrameHeatMaps {
        let [height, width] = self.parameters.image_size.map(|side| side as usize / 32);
        let of_class = |class: usize| {
            let mut values = vec![0.0; height * width];
            values[(class * width + class) % (height * width)] = 1.0;
            HeatMap { height, width, values }
        };
        FrameHeatMaps::new(
            (0..BOXES).collect(),
            [height, width],
            (0..BOXES).map(of_class).collect(),
        )
    }
}
