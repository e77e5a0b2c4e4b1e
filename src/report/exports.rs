//! Exports in the layouts of docs/contract.md: what a user's own downstream code reads.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use zip::write::SimpleFileOptions;

use super::results::Results;
use super::{encoded, export_paths};
use surgcam_artifacts::boxes::{self, BoxRow};
use surgcam_artifacts::features::{self, WIDTH, write_npy};
use surgcam_artifacts::heat_maps;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::Handle;
use surgcam_engine::plan::kind::OutputOf;
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::regions::used_regions;
use surgcam_pipeline::kinds::{ExtractStage, HeatMapsStage, IndexStage, LocalizeStage, PackStage};
use surgcam_pipeline::planned::{Built, PlannedCell};

/// How many files were written, and where.
pub struct Exported {
    pub files: usize,
}

/// Cells by the folder that they are exported to, in the order of the matrix. Each T_ROI is there
/// once. Extractions that find different boxes at one T_ROI have folders of their own.
pub(super) fn localized_cells(built: &Built) -> BTreeMap<String, Vec<&PlannedCell>> {
    let mut models: BTreeMap<String, Vec<&PlannedCell>> = BTreeMap::new();
    for cell in built.cells.iter().filter(|cell| cell.stages.localize.is_some()) {
        models.entry(export_paths::model(cell)).or_default().push(cell);
    }
    let mut folders: BTreeMap<String, Vec<&PlannedCell>> = BTreeMap::new();
    for (model, cells) in models {
        let mut by_threshold = BTreeMap::new();
        let differs = |cell: &&PlannedCell| {
            *by_threshold.entry(export_paths::roi_threshold(cell)).or_insert(cell.stages.localize)
                != cell.stages.localize
        };
        let is_ambiguous = cells.iter().any(differs);
        for cell in cells {
            let extraction = cell.extraction.as_ref().filter(|_| is_ambiguous);
            let folder = extraction.map_or_else(
                || model.clone(),
                |extraction| export_paths::model_by_extraction(&model, extraction),
            );
            let kept = folders.entry(folder).or_default();
            if !kept.iter().any(|other| other.stages.localize == cell.stages.localize) {
                kept.push(cell);
            }
        }
    }
    folders
}

pub(super) fn missing(what: &str) -> Error {
    Error::failure(format!("{what} is not in the store"))
        .hint("run the experiment first; its stages that failed are named there")
}

/// An output of a cell's stage, which must be there.
pub fn object<K>(
    results: &Results,
    stage: Option<Handle<K>>,
    output: OutputOf<K>,
) -> Result<PathBuf> {
    let found = stage.map(|stage| results.output(stage, output)).transpose()?;
    found.flatten().ok_or_else(|| missing(output.name()))
}

/// The frames that are exported: all of train and validation whose picture could be read.
pub(super) struct Frames {
    pub frames: Vec<Frame>,
    pack: Pack,
}

impl Frames {
    pub fn of(results: &Results, cell: &PlannedCell) -> Result<Self> {
        Ok(Frames {
            frames: read_frames(&object(results, Some(cell.index), IndexStage::INDEX)?)?,
            pack: Pack::open(&object(results, Some(cell.pack), PackStage::PACK)?)?,
        })
    }

    pub fn rows(&self) -> Vec<usize> {
        (0..self.frames.len()).filter(|&row| !self.pack.is_skipped(row)).collect()
    }
}

/// `DIR/MODEL/seq_X/frameNNN.npz`: logits, present classes, heat maps, and boxes at each T_ROI.
pub fn localization(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    for (name, cells) in localized_cells(built) {
        let first = cells[0];
        let frames = Frames::of(results, first)?;
        let heat = heat_maps::read_all(&object(
            results,
            first.stages.heat_maps,
            HeatMapsStage::HEAT_MAPS,
        )?)?;
        let at_threshold: Vec<(String, HashMap<usize, Vec<BoxRow>>)> = cells
            .iter()
            .map(|cell| Ok((export_paths::roi_threshold(cell), boxes_by_row(results, cell)?)))
            .collect::<Result<_>>()?;
        let rows = frames.rows();
        rows.par_iter().try_for_each(|&row| {
            let frame = &frames.frames[row];
            let heat = heat.get(&row).ok_or_else(|| missing("a frame's heat map"))?;
            let mut archive = Npz::default();
            archive.add("logits", &[heat.logits.len()], &heat.logits)?;
            let present: Vec<i64> = heat.present.iter().map(|&class| class as i64).collect();
            archive.add("present", &[present.len()], &present)?;
            let [height, width] = heat.map_size;
            let maps: Vec<f32> =
                heat.maps.iter().flat_map(|map| map.resized(height, width).values).collect();
            archive.add("heat_maps", &[heat.maps.len(), height, width], &maps)?;
            for (threshold, boxes) in &at_threshold {
                let boxes = boxes.get(&row).map(Vec::as_slice).unwrap_or_default();
                let corners: Vec<i64> = boxes
                    .iter()
                    .flat_map(|found| {
                        std::iter::once(found.class as i64)
                            .chain(<[i64; 4]>::from(found.scored.bounds))
                    })
                    .collect();
                archive.add(&format!("boxes_{threshold}"), &[boxes.len(), 5], &corners)?;
                let confidence: Vec<f32> =
                    boxes.iter().map(|found| found.scored.confidence).collect();
                archive.add(&format!("confidence_{threshold}"), &[boxes.len()], &confidence)?;
            }
            archive.write(&export_paths::localized_frame(&folder.join(&name), frame))
        })?;
        files += rows.len();
    }
    Ok(Exported { files })
}

pub(super) fn boxes_by_row(
    results: &Results,
    cell: &PlannedCell,
) -> Result<HashMap<usize, Vec<BoxRow>>> {
    let mut by_row: HashMap<usize, Vec<BoxRow>> = HashMap::new();
    for found in boxes::read(&object(results, cell.stages.localize, LocalizeStage::BOXES)?)? {
        by_row.entry(found.row).or_default().push(found);
    }
    Ok(by_row)
}

/// `DIR/MODEL/T/seq_X/frameNNN_{class}_{index}_{x1},{y1},{x2},{y2}.png`, cut from the stretched
/// picture.
pub fn crops(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    for (name, cells) in localized_cells(built) {
        let frames = Frames::of(results, cells[0])?;
        for cell in cells {
            let boxes = boxes_by_row(results, cell)?;
            let folder = folder.join(&name).join(export_paths::roi_threshold(cell));
            files += frames
                .rows()
                .par_iter()
                .map(|&row| {
                    frame_crops(
                        &frames,
                        row,
                        boxes.get(&row).map(Vec::as_slice).unwrap_or_default(),
                        cell,
                        &folder,
                    )
                })
                .sum::<Result<usize>>()?;
        }
    }
    Ok(Exported { files })
}

fn frame_crops(
    frames: &Frames,
    row: usize,
    boxes: &[BoxRow],
    cell: &PlannedCell,
    folder: &Path,
) -> Result<usize> {
    let frame = &frames.frames[row];
    let [height, width] = cell.image_size;
    let stretched = picture::from_planes(&picture::stretched(frames.pack.row(row)), height, width);
    let mut written = 0;
    for of_class in boxes.chunk_by(|a, b| a.class == b.class) {
        let class = of_class[0].class;
        let bounds: Vec<Box2> = of_class.iter().map(|found| found.scored.bounds).collect();
        for (index, bounds) in
            used_regions(&bounds, class == cell.label_space.tissue()).iter().enumerate()
        {
            write_png(
                &picture::cut_out(&stretched, bounds),
                &export_paths::crop(folder, frame, class, index, bounds),
            )?;
            written += 1;
        }
    }
    Ok(written)
}

fn write_png(picture: &image::RgbImage, path: &Path) -> Result<()> {
    write_atomically_quick(path, &encoded::png(picture)?)
}

/// For each cell `DIR/MODEL/EXTRACTION_roi{T}_pool{P}/`: `per_region/...npz` (key `feat`) and
/// `per_frame/...npy`.
pub fn features(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    for cell in &built.cells {
        let Some(extraction) = &cell.extraction else { continue };
        let features = object(results, cell.stages.extract, ExtractStage::FEATURES)?;
        let frames = Frames::of(results, cell)?;
        let folder =
            folder.join(export_paths::model(cell)).join(export_paths::extraction(extraction));
        let mut without_region: Vec<bool> =
            (0..frames.frames.len()).map(|row| !frames.pack.is_skipped(row)).collect();
        features::for_each_frame(&features, |found| {
            let frame = &frames.frames[found.row];
            without_region[found.row] = false;
            for (place, region) in found.regions.iter().enumerate() {
                let mut archive = Npz::default();
                archive.add("feat", &[WIDTH], found.of_region(place))?;
                archive.write(&export_paths::region_features(
                    &folder,
                    frame,
                    region.class,
                    region.index,
                    &region.bounds,
                ))?;
                files += 1;
            }
            write_frame(&folder, frame, found.regions.len(), found.values)
        })?;
        for (frame, _) in frames.frames.iter().zip(without_region).filter(|(_, without)| *without) {
            write_frame(&folder, frame, 0, &[])?;
        }
        files += frames.rows().len();
    }
    Ok(Exported { files })
}

fn write_frame(folder: &Path, frame: &Frame, regions: usize, values: &[f32]) -> Result<()> {
    let path = export_paths::frame_features(folder, frame);
    let mut bytes = Vec::new();
    write_npy(&mut bytes, &[regions as u64, WIDTH as u64], values).at_path("write", &path)?;
    write_atomically_quick(&path, &bytes)
}

/// Exports are many small files that can be made again. So each is written completely or not at
/// all, but they are not synced one by one.
pub(super) fn write_atomically_quick(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
    let part = path.with_extension("part");
    let mut writer = BufWriter::new(File::create(&part).at_path("create", &part)?);
    writer.write_all(bytes).and_then(|()| writer.flush()).at_path("write", &part)?;
    std::fs::rename(&part, path).at_path("write", path)
}

/// A `.npz`: a zip of `.npy` files, as numpy writes it.
#[derive(Default)]
struct Npz {
    members: Vec<(String, Vec<u8>)>,
}

impl Npz {
    fn add<T: npyz::AutoSerialize + npyz::Serialize + Copy>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<()> {
        let shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
        let mut bytes = Vec::new();
        write_npy(&mut bytes, &shape, values)
            .map_err(|error| Error::failure(format!("cannot write {name}: {error}")))?;
        self.members.push((format!("{name}.npy"), bytes));
        Ok(())
    }

    fn write(&self, path: &Path) -> Result<()> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, bytes) in &self.members {
            archive.start_file(name.as_str(), options).at_path("write", path)?;
            archive.write_all(bytes).at_path("write", path)?;
        }
        write_atomically_quick(path, archive.finish().at_path("write", path)?.get_ref())
    }
}
