//! `detections`: reads the boxes of the frames from a detector's file.

use std::path::PathBuf;

use surgcam_artifacts::boxes::{BoxRow, BoxWriter};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::detections::{self, DetectionFiles, KnownFrames};
use surgcam_frames::dataset::index::{Picture, read_frames, read_lines};
use surgcam_pipeline::kinds::DetectionsStage;

use super::{KindRun, Make};

impl Make for DetectionsStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let (parameters, inputs) = (&stage.parameters, &stage.inputs);
        let frames = read_frames(&stage.path_of(inputs.index)?)?;
        let pictures: Vec<Picture> = read_lines(&stage.path_of(inputs.pictures)?)?;
        let pictures: Vec<PathBuf> = pictures.into_iter().map(|picture| picture.path).collect();
        if pictures.len() != frames.len() {
            return Err(Error::failure(format!(
                "the index has {} frames and {} pictures",
                frames.len(),
                pictures.len()
            )));
        }
        let root = match inputs.sample {
            Some(sample) => stage.path_of(sample)?,
            None => stage.place(Self::ROOT)?,
        };
        let file = stage.place(Self::FILE)?;
        let annotations = inputs.annotations.map(|_| stage.place(Self::ANNOTATIONS)).transpose()?;
        let files = DetectionFiles {
            boxes: &file,
            format: parameters.format,
            annotations: annotations.as_deref(),
            score_threshold: parameters.score_threshold,
        };
        let known = KnownFrames { frames: &frames, pictures: &pictures, root: &root };
        let found = detections::read(&files, &known, &parameters.classes, parameters.image_size)?;
        let rows: Vec<BoxRow> = found
            .into_iter()
            .map(|(row, found)| BoxRow { row, class: found.class, scored: found.scored })
            .collect();
        let mut writer = BoxWriter::create(&stage.output(Self::DETECTED))?;
        writer.add(&rows)?;
        writer.finish()
    }
}
