//! `describe`: captions and graphs of pictures that nobody annotated, one after the other, with an
//! exported captioner.

use std::path::{Path, PathBuf};
use std::time::Instant;

use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::index::{Frame, write_lines};
use surgcam_frames::description::{DescribedPicture, Description};
use surgcam_frames::vision::picture;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::head_settings::{captioner_file, head_file};
use surgcam_pipeline::kinds::DescribeStage;

use super::{KindRun, Make};
use crate::feature_extractor::FeatureExtractor;
use crate::heads::describe::Heads;
use crate::model::checkpoint;

impl Make for DescribeStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let folder = stage.place(Self::CAPTIONER)?;
        let captioner = &stage.parameters.captioner;
        let device = stage.worker.device;
        let part = |name: &str| Some(folder.join(name)).filter(|folder| folder.is_dir());
        let (caption, interact) = (part(captioner_file::CAPTION), part(captioner_file::INTERACT));
        for head in [&caption, &interact].into_iter().flatten() {
            if ![head_file::SETTINGS, head_file::NOTHING_ANNOTATED]
                .iter()
                .any(|name| head.join(name).is_file())
            {
                return Err(Error::failure("this head is not complete")
                    .at_path(head)
                    .hint("export it again: surgcam export captioners"));
            }
        }
        let settings = &captioner.extraction;
        let classes = settings.architecture.classes;
        let heads =
            Heads::read(caption.as_deref(), interact.as_deref(), classes, captioner.heads, device)?;
        if heads.captioner.is_none() && heads.graph.is_none() {
            return Err(Error::failure(
                "there is no head here that was trained: neither a captioner nor a graph",
            )
            .at_path(&folder)
            .hint(
                "heads need captions or interactions in the train and in the validation frames",
            ));
        }
        let weights =
            checkpoint::read(&folder.join(captioner_file::BACKBONE), settings.architecture, true)?;
        let extractor =
            FeatureExtractor::of_settings(settings, &weights, captioner.image_size, device)?;
        let describe = |picture: &Path| -> Result<(f64, Description)> {
            let decoded = picture::read(picture)?;
            let begun = Instant::now();
            let [height, width] = captioner.image_size;
            let mut planes = vec![0; 3 * (height * width) as usize];
            picture::to_planes(&resize(&decoded, height, width), &mut planes);
            let frame = nobodys_frame();
            // Whether the pictures follow each other is not known: each is by itself.
            let mut memory = extractor.clip_memory();
            let (activations, extracted) =
                extractor.extract_from_pixels(&frame, &planes, settings, &mut memory)?;
            let description = heads.describe(activations.as_ref(), &extracted);
            Ok((begun.elapsed().as_secs_f64() * 1e3, description))
        };
        let pictures = pictures(&stage.place(Self::ROOT)?)?;
        // The first forward pass also packs the weights, so it is not timed. A broken picture has
        // no forward pass.
        let _ = pictures.iter().find(|picture| describe(picture).is_ok());
        let mut described = Vec::new();
        for picture in &pictures {
            let name = picture.display().to_string();
            described.push(match describe(picture) {
                Ok((milliseconds, description)) => {
                    DescribedPicture { picture: name, milliseconds, problem: None, description }
                }
                Err(error) => DescribedPicture {
                    picture: name,
                    milliseconds: 0.0,
                    problem: Some(error.to_string()),
                    description: Description::default(),
                },
            });
            stage.progress(described.len(), pictures.len(), "pictures")?;
        }
        write_lines(&stage.output(Self::DESCRIPTIONS), &described)
    }
}

/// A frame of which nothing is known.
fn nobodys_frame() -> Frame {
    Frame {
        sequence: String::new(),
        name: String::new(),
        train: false,
        validation: false,
        labels: Vec::new(),
        boxes: None,
        box_space: [0, 0],
        detected: Vec::new(),
    }
}

/// A picture, or those of a folder by name.
fn pictures(place: &Path) -> Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(vec![place.to_path_buf()]);
    }
    let is_picture = |path: &PathBuf| {
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        extension.is_some_and(|extension| ["png", "jpg", "jpeg"].contains(&extension.as_str()))
    };
    let found = walkdir::WalkDir::new(place).min_depth(1).max_depth(1).sort_by_file_name();
    let pictures: Vec<PathBuf> =
        found.into_iter().flatten().map(|entry| entry.into_path()).filter(is_picture).collect();
    if pictures.is_empty() {
        return Err(Error::failure("the folder has no PNG or JPEG file").at_path(place));
    }
    Ok(pictures)
}
