//! `deletion-insertion`: areas under deletion and insertion curves of the heat maps of present
//! classes (METHOD 7), and the control with another frame's heat.

use std::collections::BTreeSet;

use surgcam_artifacts::heat_maps;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::metrics::{CurveAreas, DeletionInsertionMetrics};
use surgcam_frames::vision::average_precision::mean;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::localization_metrics::other_frame;
use surgcam_pipeline::kinds::DeletionInsertionStage;
use tch::Device;

use super::{KindRun, Make};
use crate::deletion_insertion::{ChangedPicture, CurveMaker, Curves, area};
use crate::feature_extractor::frames_in_a_pass;
use crate::frame_set::FrameSet;
use crate::model::checkpoint;
use crate::model::classifier::{self, Classifier};
use crate::model::weights::Weights;

/// The heat maps of one class, each with the row of its frame, in the order of the frames.
type HeatOfClass = Vec<(usize, HeatMap)>;

impl Make for DeletionInsertionStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let (parameters, inputs, device) = (&stage.parameters, &stage.inputs, stage.worker.device);
        let weights =
            Weights::new(checkpoint::read_safetensors(&stage.path_of(inputs.checkpoint)?)?);
        let classifier = classifier::for_evaluation(parameters.architecture, &weights, device)?;
        let frames = stage.frame_set(inputs.pack, inputs.index, None)?;
        let chosen = evenly_chosen(&frames.validation_rows(), parameters.frames);
        let by_class = heat_by_class(stage, &chosen)?;
        let maker = CurveMaker {
            classifier: &*classifier,
            device,
            pictures_in_a_pass: frames_in_a_pass(device),
            steps: parameters.steps,
        };
        let [height, width] = frames.image_size().map(|side| side as usize);
        let (total, mut done) = (by_class.iter().map(Vec::len).sum(), 0);
        let mut own: Vec<Vec<Curves>> = vec![Vec::new(); by_class.len()];
        let mut control = own.clone();
        for (class, of_class) in by_class.iter().enumerate() {
            for (place, (row, heat)) in of_class.iter().enumerate() {
                stage.progress(done, total, "heat maps")?;
                done += 1;
                let picture = picture_of(*row, &frames, &*classifier, parameters, device)?;
                let curves_of =
                    |heat: &HeatMap| maker.curves(&picture, &heat.resized(height, width), class);
                own[class].push(curves_of(heat)?);
                let other = other_frame(place, of_class.len());
                if other != place {
                    control[class].push(curves_of(&of_class[other].1)?);
                }
            }
        }
        stage.progress(total, total, "heat maps")?;
        stage.write_metrics(&DeletionInsertionMetrics {
            frames: chosen.len(),
            heat: areas(&own),
            control: areas(&control),
        })
    }
}

/// At most `most` of the rows, as far apart as they can be.
fn evenly_chosen(rows: &[usize], most: usize) -> Vec<usize> {
    let count = most.min(rows.len());
    (0..count).map(|number| rows[number * rows.len() / count]).collect()
}

/// A frame, which a temporal classifier sees at the end of its clip, as its heat maps were made.
fn picture_of(
    row: usize,
    frames: &FrameSet,
    classifier: &dyn Classifier,
    parameters: &DeletionInsertionStage,
    device: Device,
) -> Result<ChangedPicture> {
    let images = |rows: &[usize]| frames.images(rows, &parameters.normalization, device);
    let picture = ChangedPicture::of(&images(&[row]));
    let earlier_frames = parameters.architecture.frames_in_a_clip().saturating_sub(1);
    if earlier_frames == 0 {
        return Ok(picture);
    }
    let maps = classifier.maps_of(&images(&frames.rows_before(row, earlier_frames)))?;
    Ok(picture.behind(classifier.pooled(&maps.layer4)))
}

/// The heat maps of the classes that are present in the chosen frames.
fn heat_by_class(
    stage: &KindRun<DeletionInsertionStage>,
    chosen: &[usize],
) -> Result<Vec<HeatOfClass>> {
    let chosen: BTreeSet<usize> = chosen.iter().copied().collect();
    let folder = stage.path_of(stage.inputs.heat_maps)?;
    let mut by_class = vec![HeatOfClass::new(); stage.parameters.architecture.classes];
    for sequence in heat_maps::sequences(&folder)? {
        let frames = heat_maps::read_sequence(&folder, &sequence)?;
        for frame in frames.into_iter().filter(|frame| chosen.contains(&frame.row)) {
            for (class, map) in frame.present.into_iter().zip(frame.maps) {
                let of_class = by_class.get_mut(class).ok_or_else(|| {
                    Error::failure(format!(
                        "there is a heat map of class {class}, which the model does not have"
                    ))
                    .at_path(&folder)
                })?;
                of_class.push((frame.row, map));
            }
        }
    }
    Ok(by_class)
}

/// Means of each class's frames, and over the classes that have frames.
fn areas(per_class: &[Vec<Curves>]) -> CurveAreas {
    let of_classes = |curve: fn(&Curves) -> &Vec<f64>| -> Vec<Option<f64>> {
        let of_frames =
            |frames: &Vec<Curves>| mean(frames.iter().filter_map(|curves| area(curve(curves))));
        per_class.iter().map(of_frames).collect()
    };
    let deletion_per_class = of_classes(|curves| &curves.deletion);
    let insertion_per_class = of_classes(|curves| &curves.insertion);
    CurveAreas {
        deletion: mean(deletion_per_class.iter().copied().flatten()),
        insertion: mean(insertion_per_class.iter().copied().flatten()),
        deletion_per_class,
        insertion_per_class,
        frames_per_class: per_class.iter().map(Vec::len).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_chosen_evenly_and_at_most_all_of_them() {
        let rows: Vec<usize> = (10..20).collect();
        assert_eq!(evenly_chosen(&rows, 3), [10, 13, 16]);
        assert_eq!(evenly_chosen(&rows, 100), rows);
        assert!(evenly_chosen(&[], 5).is_empty());
    }

    #[test]
    fn areas_are_means_over_the_classes_that_have_frames() {
        let curves = |deletion: [f64; 3]| Curves {
            deletion: deletion.to_vec(),
            insertion: vec![0.0, 0.5, 1.0],
        };
        let found = areas(&[
            vec![curves([1.0, 0.5, 0.0]), curves([1.0, 0.0, 0.0])],
            vec![],
            vec![curves([1.0, 1.0, 1.0])],
        ]);
        assert_eq!(found.deletion_per_class, [Some(0.375), None, Some(1.0)]);
        assert_eq!((found.deletion, found.insertion), (Some(0.6875), Some(0.5)));
        assert_eq!(found.frames_per_class, [2, 0, 1]);
    }
}
