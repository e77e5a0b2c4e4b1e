//! Exported captioners: a folder for each cell with its backbone and heads, for `surgcam caption` and for other programs.

use std::path::{Path, PathBuf};

use super::export_paths;
use super::exports::{Exported, object};
use super::results::Results;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::Plan;
use surgcam_pipeline::build::{Built, PlannedCell};
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_stages::{CaptionStage, CaptionerSettings, HeadUse, InteractStage, captioner_file, head_file};
use surgcam_pipeline::stages::{ExtractStage, output};
use surgcam_values::Mode;

/// For each cell with a head `DIR/MODEL/EXTRACTION_roi{T}_pool{P}/`: `captioner.json`, `backbone.safetensors`, and the folders `caption`
/// and `interact` (the latter not beside a captioner that learnt with its backbone). Ground-truth boxes and the control have none:
/// new pictures have no annotations.
pub fn captioners(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    let mut cells = 0;
    for cell in built.cells.iter().filter(|cell| cell.stages.caption.is_some() || cell.stages.interact.is_some()) {
        let Some(extraction) = &cell.extraction else { continue };
        if extraction.value.mode == Mode::GroundTruthBoxes || extraction.value.shuffled {
            continue;
        }
        let folder = folder.join(export_paths::model(cell)).join(export_paths::captioner(cell, extraction));
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
    let mut backbone = object(results, Some(cell.checkpoint), output::CHECKPOINT)?;
    let mut is_joint = false;
    for (stage, part) in [(cell.stages.caption, captioner_file::CAPTION), (cell.stages.interact, captioner_file::INTERACT)] {
        copied.forget(part)?;
        // A graph that was trained on another backbone's features would read these wrong.
        let Some(id) = stage.filter(|_| !is_joint) else { continue };
        if part == captioner_file::CAPTION {
            let parameters: CaptionStage = plan.stage(id).parameters_as()?;
            (heads.search, heads.caption_regions) = (parameters.search, parameters.training.maximum_regions);
        } else {
            heads.interaction_regions = plan.stage(id).parameters_as::<InteractStage>()?.training.maximum_regions;
        }
        let head = object(results, stage, output::HEAD)?;
        for file in HEAD_FILES {
            copied.add(&head.join(file), &format!("{part}/{file}"))?;
        }
        // A captioner that learnt with its backbone looks through that one.
        let own = head.join(head_file::BACKBONE);
        if own.is_file() {
            backbone = own;
            is_joint = true;
        }
    }
    copied.add(&backbone, captioner_file::BACKBONE)?;
    let extract = cell.stages.extract.ok_or_else(|| Error::failure("the cell has no extraction"))?;
    let settings = CaptionerSettings {
        extraction: plan.stage(extract).parameters_as::<ExtractStage>()?.extraction,
        image_size: cell.image_size,
        classes: cell.label_space.classes.clone(),
        heads,
    };
    let settings = Checked::new(settings).map_err(|problem| Error::failure(format!("the captioner could not be used: {problem}")))?;
    surgcam_engine::store::write_json(&folder.join(captioner_file::SETTINGS), &settings)?;
    Ok(copied.files + 1)
}

const HEAD_FILES: [&str; 4] = [head_file::TENSORS, head_file::SETTINGS, head_file::VOCABULARY, head_file::NOTHING_ANNOTATED];

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

    /// Where there is such a file.
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
