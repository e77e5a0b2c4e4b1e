//! Exported captioners: a folder for each cell with its backbone and heads, for `surgcam caption`
//! and for other programs.

use std::path::{Path, PathBuf};

use super::export_paths;
use super::exports::{Exported, object};
use super::results::Results;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::Plan;
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_settings::{CaptionerSettings, HeadUse, captioner_file, head_file};
use surgcam_pipeline::kinds::{CaptionStage, ImportStage, InteractStage, TrainStage};
use surgcam_pipeline::planned::{Built, Checkpoint, PlannedCell};
use surgcam_values::Mode;

/// Writes a folder `DIR/MODEL/EXTRACTION_roi{T}_pool{P}/` for each cell with a head. It has
/// `captioner.json`, `backbone.safetensors`, and the folders `caption` and `interact`. A captioner
/// that learnt with its backbone has no `interact`. Ground-truth boxes, a detector's boxes and the
/// control are left out, because new pictures come without boxes.
pub fn captioners(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    let mut cells = 0;
    for cell in built
        .cells
        .iter()
        .filter(|cell| cell.stages.caption.is_some() || cell.stages.interact.is_some())
    {
        let Some(extraction) = &cell.extraction else { continue };
        let mode = extraction.value.mode;
        if matches!(mode, Mode::GroundTruthBoxes | Mode::DetectorBoxes) || extraction.value.shuffled
        {
            continue;
        }
        let folder =
            folder.join(export_paths::model(cell)).join(export_paths::captioner(cell, extraction));
        files += captioner(&built.plan, results, cell, &folder)?;
        cells += 1;
    }
    if cells == 0 {
        return Err(Error::usage("no cell of the experiment has a head that describes a frame")
            .hint("add `heads = [\"caption\", \"interaction\"]` under [experiment]"));
    }
    Ok(Exported { files })
}

fn captioner(plan: &Plan, results: &Results, cell: &PlannedCell, folder: &Path) -> Result<usize> {
    let mut copied = Copies { folder: folder.to_path_buf(), files: 0 };
    let mut heads = HeadUse::default();
    let mut backbone = match cell.checkpoint {
        Checkpoint::Trained(train) => object(results, Some(train), TrainStage::CHECKPOINT)?,
        Checkpoint::Imported(import) => object(results, Some(import), ImportStage::CHECKPOINT)?,
    };
    let mut is_joint = false;
    copied.forget(captioner_file::CAPTION)?;
    if let Some(caption) = cell.stages.caption {
        let parameters = plan.parameters(caption)?;
        (heads.search, heads.caption_regions) =
            (parameters.search, parameters.training.maximum_regions);
        let own = copied
            .head(&object(results, Some(caption), CaptionStage::HEAD)?, captioner_file::CAPTION)?;
        // A captioner that learnt with its backbone looks through that one.
        is_joint = own.is_some();
        backbone = own.unwrap_or(backbone);
    }
    copied.forget(captioner_file::INTERACT)?;
    // A graph that was trained on another backbone's features would read these wrong.
    if let Some(interact) = cell.stages.interact.filter(|_| !is_joint) {
        heads.interaction_regions = plan.parameters(interact)?.training.maximum_regions;
        copied.head(
            &object(results, Some(interact), InteractStage::HEAD)?,
            captioner_file::INTERACT,
        )?;
    }
    copied.add(&backbone, captioner_file::BACKBONE)?;
    let extract =
        cell.stages.extract.ok_or_else(|| Error::failure("the cell has no extraction"))?;
    let settings = CaptionerSettings {
        extraction: plan.parameters(extract)?.extraction,
        image_size: cell.image_size,
        classes: cell.label_space.classes.clone(),
        heads,
    };
    let settings = Checked::new(settings)
        .map_err(|problem| Error::failure(format!("the captioner could not be used: {problem}")))?;
    surgcam_engine::store::write_json(&folder.join(captioner_file::SETTINGS), &settings)?;
    Ok(copied.files + 1)
}

const HEAD_FILES: [&str; 4] =
    [head_file::TENSORS, head_file::SETTINGS, head_file::VOCABULARY, head_file::NOTHING_ANNOTATED];

/// Files that are copied into a folder.
struct Copies {
    folder: PathBuf,
    files: usize,
}

impl Copies {
    /// Removes an earlier export's head, which may be one that this cell no longer has.
    fn forget(&self, part: &str) -> Result<()> {
        for file in HEAD_FILES {
            let path = self.folder.join(part).join(file);
            if path.is_file() {
                std::fs::remove_file(&path).at_path("replace", &path)?;
            }
        }
        Ok(())
    }

    /// Copies the files of a head into the folder `part`. Returns the head's own backbone, if one
    /// learnt together with it.
    fn head(&mut self, head: &Path, part: &str) -> Result<Option<PathBuf>> {
        for file in HEAD_FILES {
            self.add(&head.join(file), &format!("{part}/{file}"))?;
        }
        Ok(Some(head.join(head_file::BACKBONE)).filter(|own| own.is_file()))
    }

    /// Copies a file, if it exists.
    fn add(&mut self, from: &Path, name: &str) -> Result<()> {
        if !from.is_file() {
            return Ok(());
        }
        let to = self.folder.join(name);
        let parent = to.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).at_path("create the folder", parent)?;
        let part = to.with_extension("part");
        let mut content = std::fs::File::open(from).at_path("read", from)?;
        let mut copy = std::fs::File::create(&part).at_path("create", &part)?;
        std::io::copy(&mut content, &mut copy).at_path("write", &part)?;
        std::fs::rename(&part, &to).at_path("write", &to)?;
        self.files += 1;
        Ok(())
    }
}
