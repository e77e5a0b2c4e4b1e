//! `sample`, `index` and `pack`: make packed frames with labels, from folders or from drawn scenes.

use surgcam_engine::error::Result;
use surgcam_engine::store::{stat, write_json};
use surgcam_frames::dataset::index::{self, FRAMES_FILE, Picture, SUMMARY_FILE};
use surgcam_frames::dataset::pack::Packing;
use surgcam_frames::dataset::sample as drawn;
use surgcam_frames::metrics::LeftOut;
use surgcam_pipeline::kinds::{IndexInputs, IndexStage, PackStage, SampleStage};

use super::{KindRun, Make};

impl Make for SampleStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let total =
            parameters.sample.sequences.len() * parameters.sample.frames_per_sequence as usize;
        stage.progress(0, total, "scenes")?;
        drawn::write(&parameters.sample, &stage.output(Self::SAMPLE), || {})?;
        stage.progress(total, total, "scenes")
    }
}

impl Make for IndexStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let root = match stage.inputs {
            IndexInputs::Sample(sample) => stage.path_of(sample)?,
            IndexInputs::Source(_) => stage.place(Self::ROOT)?,
        };
        let built =
            index::build(&parameters.source, &root, &parameters.classes, parameters.on_bad_frame)?;
        let digests = stat::digests(stage.worker.store, &root, &built.pictures)?;
        let pictures: Vec<Picture> = built
            .pictures
            .into_iter()
            .zip(digests)
            .map(|(path, digest)| Picture { path, digest })
            .collect();
        let folder = stage.output_folder(Self::INDEX)?;
        index::write_lines(&folder.join(FRAMES_FILE), &built.frames)?;
        write_json(&folder.join(SUMMARY_FILE), &built.summary)?;
        index::write_lines(&stage.output(Self::PICTURES), &pictures)?;
        index::write_lines(&stage.output(Self::ANNOTATIONS), &built.annotations)?;
        let (skipped, skipped_annotations, corrected_boxes) =
            (built.summary.skipped, built.skipped_annotations, built.corrected_boxes);
        for (found, what) in [
            (&skipped, "frames skipped"),
            (&skipped_annotations, "captions and interactions skipped"),
            (&corrected_boxes, "boxes cut or taken once"),
        ] {
            if let Some(first) = found.first() {
                stage.note(format!("{} {what}, the first: {}", found.len(), first.problem));
            }
        }
        stage.write_metrics(&LeftOut { skipped, skipped_annotations, corrected_boxes })
    }
}

impl Make for PackStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let pictures: Vec<Picture> = index::read_lines(&stage.path_of(stage.inputs.pictures)?)?;
        let paths: Vec<_> = pictures.into_iter().map(|picture| picture.path).collect();
        let folder = stage.output_folder(Self::PACK)?;
        let root = match stage.inputs.sample {
            Some(sample) => stage.path_of(sample)?,
            None => stage.place(Self::ROOT)?,
        };
        let packing = Packing {
            root: &root,
            pictures: &paths,
            image_size: parameters.image_size,
            on_bad_frame: parameters.on_bad_frame,
        };
        let manifest = packing.write(&stage.partial_folder(), &folder, |done| {
            stage.progress(done, paths.len(), "frames")
        })?;
        let skipped = manifest.skipped.iter().map(|skipped| skipped.frame.clone()).collect();
        stage.write_metrics(&LeftOut { skipped, ..LeftOut::default() })?;
        if !manifest.skipped.is_empty() {
            let first = &manifest.skipped[0].frame;
            stage.note(format!(
                "{} pictures skipped, the first: {}: {}",
                manifest.skipped.len(),
                first.place,
                first.problem
            ));
        }
        Ok(())
    }
}
