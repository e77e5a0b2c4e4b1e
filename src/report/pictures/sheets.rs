//! Which pictures a sheet has.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::legend::Legend;
use super::name_tags::ColouredName;
use super::overlay::{Overlay, overlaid};
use super::panel::{HotCells, NamedBox, Panel, Sheet};
use super::scene::{
    Frames, Scene, boxes_of, class_name, colour_of, detected_boxes, predicted_boxes, true_boxes,
};
use crate::report::results::Results;
use surgcam_artifacts::boxes::BoxRow;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::labels::LabelSpace;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_pipeline::planned::PlannedCell;
use surgcam_values::Mode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SheetKind {
    /// The heat map of every class, whether the class is present or not
    Classes,
    /// The boxes at each T_ROI
    Thresholds,
    /// What each mode of extraction looks at
    Modes,
    /// Several validation frames
    Frames,
}

/// Pictures of the sheet of frames.
const FRAMES: usize = 9;
/// More cannot be seen on one sheet.
const MOST_PANELS: usize = 36;
/// The width of a sheet's pictures where none is asked for.
pub const SHEET_WIDTH: u32 = 420;

/// The cells of one model, and what to show of them.
pub struct View<'a> {
    /// The first one localises.
    pub cells: &'a [&'a PlannedCell],
    pub results: &'a Results<'a>,
    pub frames: &'a Frames<'a>,
    pub overlay: Overlay,
}

impl View<'_> {
    fn cell(&self) -> &PlannedCell {
        self.cells[0]
    }

    /// A frame's heat map of a class, and its boxes beside the true ones.
    pub fn frame(&self, scene: &Scene, class: Option<usize>) -> Result<Sheet> {
        let found = boxes_of(self.cell(), self.results)?;
        Ok(of_frame(scene, class, self.cell(), &found, self.overlay))
    }

    /// Heat maps of all classes; the plan must have taken all of them as present.
    pub fn classes(&self, scene: &Scene) -> Result<Sheet> {
        let found = boxes_of(self.cell(), self.results)?;
        let panel = |class: usize| {
            let all = predicted_boxes(&found, scene.heat.row, self.cell());
            let truth = true_boxes(&scene.frame, scene.space);
            let labelled = scene.frame.labels.contains(&class);
            let mut panel = heat_panel(scene, Some(class), self.overlay);
            panel.caption = format!(
                "{}, p = {:.2}{}",
                scene.class_name(class),
                scene.probability(class),
                if labelled { ", labelled" } else { "" }
            );
            panel.boxes = of_class(all, class).chain(of_class(truth, class)).collect();
            panel
        };
        let classes = scene.space.len().min(MOST_PANELS);
        // Each caption names the class of its picture.
        let legend = Legend { heat: true, boxes: true, ..Legend::default() };
        Ok(sheet(
            format!("{} by {}: every class", scene.name(), self.cell().model.name),
            (0..classes).map(panel).collect(),
            legend,
        ))
    }

    /// The boxes of the cells that differ in T_ROI alone.
    pub fn thresholds(&self, scene: &Scene, class: Option<usize>) -> Result<Sheet> {
        let mut shown: Vec<&PlannedCell> = Vec::new();
        for &cell in self.cells {
            let is_other = |known: &&PlannedCell| {
                known.stages.localize != cell.stages.localize
                    && threshold_of(known) != threshold_of(cell)
            };
            if cell.stages.localize.is_some() && shown.iter().all(is_other) {
                shown.push(cell);
            }
        }
        shown.sort_by(|a, b| threshold_value(a).total_cmp(&threshold_value(b)));
        let panel = |cell: &&PlannedCell| -> Result<Panel> {
            let mut panel = heat_panel(scene, class, self.overlay);
            panel.boxes = predicted_boxes(&boxes_of(cell, self.results)?, scene.heat.row, cell);
            panel.boxes.retain(|found| class.is_none() || class == found.class);
            panel.caption = format!("boxes: {}{}", panel.boxes.len(), threshold_of(cell));
            Ok(panel)
        };
        let panels = shown.iter().take(MOST_PANELS).map(panel).collect::<Result<Vec<_>>>()?;
        let of_class =
            class.map(|class| format!(", {}", scene.class_name(class))).unwrap_or_default();
        let title = format!("{} by {}{of_class}", scene.name(), self.cell().model.name);
        let classes = classes_in(&panels, scene.space);
        let legend = Legend { heat: class.is_some(), boxes: true, cells: false, classes };
        Ok(sheet(title, panels, legend))
    }

    /// What the modes of the matrix look at, each at its first T_ROI.
    pub fn modes(&self, scene: &Scene) -> Result<Sheet> {
        let (mut panels, mut names): (Vec<Panel>, Vec<&str>) = (Vec::new(), Vec::new());
        for cell in self.cells {
            let Some(extraction) = &cell.extraction else { continue };
            if names.contains(&extraction.name.as_str()) || panels.len() >= MOST_PANELS {
                continue;
            }
            names.push(&extraction.name);
            let (boxes, cells, what) = self.regions(scene, cell)?;
            panels.push(Panel {
                picture: scene.picture.clone(),
                caption: format!("{}: {what}", extraction.name),
                boxes,
                cells,
            });
        }
        if panels.is_empty() {
            return Err(Error::usage("the experiment has no extraction")
                .hint("add a mode to `extraction` in the matrix"));
        }
        let title = format!("{} by {}: modes", scene.name(), self.cell().model.name);
        let classes = classes_in(&panels, scene.space);
        Ok(sheet(title, panels, Legend { heat: false, boxes: true, cells: true, classes }))
    }

    /// The boxes and cells that a mode reads features of, and what they are.
    fn regions(
        &self,
        scene: &Scene,
        cell: &PlannedCell,
    ) -> Result<(Vec<NamedBox>, Vec<HotCells>, String)> {
        let Some(extraction) = &cell.extraction else {
            return Ok((Vec::new(), Vec::new(), String::new()));
        };
        let threshold = threshold_of(cell);
        Ok(match extraction.value.mode {
            Mode::LnFe | Mode::LFe | Mode::DetectorBoxes => {
                let (found, threshold) = if extraction.value.mode.is_localised() {
                    (boxes_of(cell, self.results)?, threshold)
                } else {
                    (detected_boxes(cell, self.results)?, " of a detector".into())
                };
                let boxes = predicted_boxes(&found, scene.heat.row, cell);
                let what = format!("boxes: {}{threshold}", boxes.len());
                (boxes, Vec::new(), what)
            }
            Mode::SlFe => {
                let threshold_value = extraction.value.roi_threshold.value();
                let cells = hot_cells(scene, threshold_value);
                (Vec::new(), cells, format!("hot cells of instruments{threshold}"))
            }
            Mode::GroundTruthBoxes => {
                let truth = true_boxes(&scene.frame, scene.space);
                let what = format!("true boxes: {}", truth.len());
                (truth, Vec::new(), what)
            }
            Mode::WholeFrame => {
                let place = [0.0, 0.0, 1.0, 1.0];
                let (name, colour) = (String::new(), [255; 3]);
                let whole = NamedBox { class: None, place, name, colour, is_true: false };
                (vec![whole], Vec::new(), "the whole frame".into())
            }
        })
    }

    /// Heat maps and boxes of several frames.
    pub fn several(&self, class: Option<usize>) -> Result<Sheet> {
        let found = boxes_of(self.cell(), self.results)?;
        let mut panels = Vec::new();
        for row in self.frames.spread(FRAMES) {
            // A frame that was skipped has nothing to show.
            let Ok(scene) = self.frames.scene(row) else { continue };
            let class = class.or_else(|| scene.most_present());
            let all = predicted_boxes(&found, row, self.cell());
            let truth = true_boxes(&scene.frame, scene.space);
            let is_meant = |found: &NamedBox| class.is_none() || class == found.class;
            let mut panel = heat_panel(&scene, class, self.overlay);
            panel.caption = format!("{}: {}", scene.name(), panel.caption);
            panel.boxes = all.into_iter().chain(truth).filter(is_meant).collect();
            panels.push(panel);
        }
        let title = format!("{}{}", self.cell().model.name, threshold_of(self.cell()));
        let classes = classes_in(&panels, &self.cell().label_space);
        Ok(sheet(title, panels, Legend { heat: true, boxes: true, cells: false, classes }))
    }
}

/// A frame's heat map of a class, and beside it the boxes among `found` and the true ones.
pub fn of_frame(
    scene: &Scene,
    class: Option<usize>,
    cell: &PlannedCell,
    found: &[BoxRow],
    overlay: Overlay,
) -> Sheet {
    let found = predicted_boxes(found, scene.heat.row, cell);
    let truth = true_boxes(&scene.frame, scene.space);
    // The legend tells which lines are which; a longer caption would have no room.
    let caption =
        format!("boxes: {} predicted, {} true{}", found.len(), truth.len(), threshold_of(cell));
    let name = |class: &usize| scene.class_name(*class);
    let listed = |classes: &[usize]| classes.iter().map(name).collect::<Vec<_>>().join(", ");
    let title = format!(
        "{} by {}; present: {}; labelled: {}",
        scene.name(),
        cell.model.name,
        listed(&scene.heat.present),
        listed(&scene.frame.labels)
    );
    let boxes = found.into_iter().chain(truth).collect();
    let beside = Panel { picture: scene.picture.clone(), caption, boxes, cells: Vec::new() };
    Sheet {
        title,
        panels: vec![heat_panel(scene, class, overlay), beside],
        columns: 2,
        // Names lie beside the boxes.
        legend: Legend { heat: true, boxes: true, ..Legend::default() },
    }
}

/// The heat map of a class over the picture.
fn heat_panel(scene: &Scene, class: Option<usize>, overlay: Overlay) -> Panel {
    let map = class.and_then(|class| scene.map(class));
    let caption = match (class, &map) {
        (Some(class), Some(_)) => {
            format!("heat map of {}, p = {:.2}", scene.class_name(class), scene.probability(class))
        }
        (Some(class), None) => format!("no heat map: {} is not present", scene.class_name(class)),
        (None, _) => "no heat map: no class is present".into(),
    };
    let picture =
        map.map_or_else(|| scene.picture.clone(), |map| overlaid(&scene.picture, &map, overlay));
    Panel { picture, caption, boxes: Vec::new(), cells: Vec::new() }
}

/// As many columns as lines, or one more.
fn sheet(title: String, panels: Vec<Panel>, legend: Legend) -> Sheet {
    let columns = (panels.len() as f64).sqrt().ceil() as usize;
    Sheet { title, panels, columns, legend }
}

fn of_class(boxes: Vec<NamedBox>, class: usize) -> impl Iterator<Item = NamedBox> {
    boxes.into_iter().filter(move |found| found.class == Some(class))
}

/// The classes whose boxes or cells the pictures show.
fn classes_in(panels: &[Panel], space: &LabelSpace) -> Vec<ColouredName> {
    let of_boxes = panels.iter().flat_map(|panel| &panel.boxes).filter_map(|found| found.class);
    let cells = panels.iter().flat_map(|panel| &panel.cells);
    let of_cells = cells.filter(|cells| !cells.places.is_empty()).map(|cells| cells.class);
    let classes: BTreeSet<usize> = of_boxes.chain(of_cells).collect();
    let named = |class: usize| ColouredName {
        name: class_name(space, class).to_string(),
        colour: colour_of(class),
    };
    classes.into_iter().map(named).collect()
}

fn threshold_value(cell: &PlannedCell) -> f64 {
    cell.extraction.as_ref().map_or(0.0, |extraction| extraction.value.roi_threshold.value())
}

fn threshold_of(cell: &PlannedCell) -> String {
    cell.extraction
        .as_ref()
        .map(|extraction| format!(", T_ROI {}", extraction.value.roi_threshold.value()))
        .unwrap_or_default()
}

/// The cells of the heat maps that a cell of SL-FE reads features of.
pub fn hot_cells_panel(scene: &Scene, cell: &PlannedCell) -> Panel {
    Panel {
        picture: scene.picture.clone(),
        caption: format!("hot cells of instruments{}", threshold_of(cell)),
        boxes: Vec::new(),
        cells: hot_cells(scene, threshold_value(cell)),
    }
}

/// The cells that SL-FE reads, of each present instrument. Those of the tissue would cover all.
fn hot_cells(scene: &Scene, threshold: f64) -> Vec<HotCells> {
    let instruments = scene.heat.present.iter().zip(&scene.heat.maps);
    instruments
        .filter(|(class, _)| **class != scene.space.tissue())
        .map(|(&class, map)| HotCells {
            class,
            places: map.hot_cells(threshold).into_iter().map(|cell| place_of(map, cell)).collect(),
            colour: colour_of(class),
        })
        .collect()
}

fn place_of(map: &HeatMap, cell: usize) -> [f64; 4] {
    let (width, height) = (map.width.max(1), map.height.max(1));
    let (x, y) = (cell % width, cell / width);
    let share = |value: usize, all: usize| value as f64 / all as f64;
    [share(x, width), share(y, height), share(x + 1, width), share(y + 1, height)]
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    #[test]
    fn the_legend_names_the_classes_that_are_seen() {
        let place = [0.0, 0.0, 0.5, 0.5];
        let found = |class| NamedBox {
            class,
            place,
            name: String::new(),
            colour: [255; 3],
            is_true: false,
        };
        let cells = |class, places| HotCells { class, places, colour: [255; 3] };
        let panels = [
            (vec![found(Some(2)), found(None)], vec![cells(0, vec![place]), cells(1, vec![])]),
            (vec![found(Some(2))], vec![]),
        ];
        let panels = panels.map(|(boxes, cells)| Panel {
            picture: RgbImage::new(1, 1),
            caption: String::new(),
            boxes,
            cells,
        });
        let classes = ["hook", "grasper", "tissue"].map(String::from).into();
        let shown = classes_in(&panels, &LabelSpace { classes });
        let named =
            |class, name: &str| ColouredName { name: name.into(), colour: colour_of(class) };
        assert_eq!(shown, [named(0, "hook"), named(2, "tissue")]);
    }
}
