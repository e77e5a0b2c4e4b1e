//! `sample`, `index` and `pack`: from folders, or from nothing, to packed frames with labels.

use surgcam_engine::error::Result;
use surgcam_engine::store::{stat, write_json};
use surgcam_frames::dataset::index::{self, FRAMES_FILE, Picture, SUMMARY_FILE};
use surgcam_frames::dataset::pack::Packing;
use surgcam_frames::dataset::sample as drawn;
use surgcam_frames::metrics::LeftOut;
use surgcam_pipeline::stages::*;

use super::StageRun;

pub fn sample(stage: &StageRun) -> Result<()> {
    let parameters: SampleStage = stage.parameters()?;
    let total = parameters.sample.sequences.len() * parameters.sample.frames_per_sequence as usize;
    stage.progress(0, total, "scenes")?;
    drawn::write(&parameters.sample, &stage.output(output::SAMPLE), || {})?;
    stage.progress(total, total, "scenes")
}

/// Where the data set's folder is: drawn by us, or the user's.
fn root(stage: &StageRun) -> Result<std::path::PathBuf> {
    if stage.has_input(input::SAMPLE) { stage.input(input::SAMPLE) } else { stage.place(place::ROOT) }
}

pub fn index(stage: &StageRun) -> Result<()> {
    let parameters: IndexStage = stage.parameters()?;
    let root = root(stage)?;
    let built = index::build(&parameters.source, &root, &parameters.classes, parameters.on_bad_frame)?;
    let digests = stat::digests(stage.worker.store, &root, &built.pictures)?;
    let pictures: Vec<Picture> = built.pictures.into_iter().zip(digests).map(|(path, digest)| Picture { path, digest }).collect();
    let folder = stage.output_folder(output::INDEX)?;
    index::write_lines(&folder.join(FRAMES_FILE), &built.frames)?;
    write_json(&folder.join(SUMMARY_FILE), &built.summary)?;
    index::write_lines(&stage.output(output::PICTURES), &pictures)?;
    index::write_lines(&stage.output(output::ANNOTATIONS), &built.annotations)?;
    let (skipped, skipped_annotations, mended_boxes) = (built.summary.skipped, built.skipped_annotations, built.mended_boxes);
    for (found, what) in [
        (&skipped, "frames skipped"),
        (&skipped_annotations, "captions and interactions skipped"),
        (&mended_boxes, "boxes cut or taken once"),
    ] {
        if let Some(first) = found.first() {
            stage.note(format!("{} {what}, the first: {}", found.len(), first.problem));
        }
    }
    write_json(&stage.output(output::METRICS), &LeftOut { skipped, skipped_annotations, mended_boxes })
}

pub fn pack(stage: &StageRun) -> Result<()> {
    let parameters: PackStage = stage.parameters()?;
    let pictures: Vec<Picture> = index::read_lines(&stage.input(input::PICTURES)?)?;
    let paths: Vec<_> = pictures.into_iter().map(|picture| picture.path).collect();
    let folder = stage.output_folder(output::PACK)?;
    let root = root(stage)?;
    let packing = Packing { root: &root, pictures: &paths, image_size: parameters.image_size, on_bad_frame: parameters.on_bad_frame };
    let manifest = packing.write(&stage.partial_folder(), &folder, |done| stage.progress(done, paths.len(), "frames"))?;
    let skipped = manifest.skipped.iter().map(|skipped| skipped.frame.clone()).collect();
    write_json(&stage.output(output::METRICS), &LeftOut { skipped, ..LeftOut::default() })?;
    if !manifest.skipped.is_empty() {
        let first = &manifest.skipped[0].frame;
        stage.note(format!("{} pictures skipped, the first: {}: {}", manifest.skipped.len(), first.place, first.problem));
    }
    Ok(())
}
