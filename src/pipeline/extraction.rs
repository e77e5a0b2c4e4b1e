//! The features of a cell, and what its extraction recipe must satisfy.

use super::detections::Detections;
use super::goal::Goal;
use super::heads::Found;
use super::kinds::*;
use super::localization::cam_settings;
use super::models::ModelStages;
use super::naming::{Keys, swept};
use super::planned::CellStages;
use super::planner::Planner;
use super::settings::{ExtractionSettings, RegionSettings};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{NewStage, Resource};
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, Section};
use surgcam_values::*;

impl Planner<'_> {
    /// Plans what a cell with an extraction needs: the features, and the localization and the heads
    /// where they are wanted.
    pub(super) fn extraction(
        &mut self,
        cell: &Cell,
        model: &ModelStages,
        extraction: &Resolved<ExtractionRecipe>,
        stages: &mut CellStages,
    ) -> Result<()> {
        let recipe = &extraction.value;
        check_present(&recipe.present, model, &extraction.name)?;
        check_batch_norm(extraction)?;
        let makes_features = self.wants(&[Goal::Extraction, Goal::Features, Goal::Heads]);
        let detections = if makes_features || self.wants(&[Goal::Localization, Goal::Boxes]) {
            self.detections(cell, model, extraction)?
        } else {
            None
        };
        if let Some(detections) = &detections {
            stages.detections = Some(detections.stage);
            if self.wants(&[Goal::Localization]) {
                stages.score = Some(self.score(model, detections.boxes(), &detections.place));
            }
        }
        if recipe.mode.is_localised() && self.wants(&[Goal::Localization, Goal::Boxes]) {
            self.localization(cell, model, recipe, stages);
        }
        if !makes_features {
            return Ok(());
        }
        let settings = extraction_settings(recipe, model);
        let name = format!(
            "extract {} {}{}",
            model.recipe.name,
            extraction.name,
            swept(cell, Section::Extraction)
        );
        let parameters = ExtractStage { extraction: settings.clone() };
        let detections = detections.as_ref().map(Detections::boxes);
        let inputs = FrameInputs { detections, ..model.inputs() };
        let extract =
            self.plan.add(NewStage::new(name, &parameters, inputs.clone(), Resource::Device));
        stages.extract = Some(extract);
        if self.wants(&[Goal::Extraction, Goal::Heads]) {
            let found = Found { cell, model, extraction, settings: &settings, extract, inputs };
            self.heads(&found, stages)?;
            if self.wants(&[Goal::Extraction]) {
                self.speed(&found, stages);
            }
        }
        Ok(())
    }
}

fn check_present(present: &Present, model: &ModelStages, extraction: &str) -> Result<()> {
    if let Present::Classes(classes) = present
        && let Some(class) = classes.iter().find(|&&class| class >= model.architecture.classes)
    {
        return Err(Error::usage(format!(
            "extraction.{extraction}.present names class {class}, but model.{} has {} classes (0 \
             to {})",
            model.recipe.name,
            model.architecture.classes,
            model.architecture.classes - 1
        )));
    }
    Ok(())
}

/// Fails if the recipe names batch statistics that its mode does not use.
pub(super) fn check_batch_norm(extraction: &Resolved<ExtractionRecipe>) -> Result<()> {
    let ExtractionRecipe { mode, batch_norm, .. } = extraction.value;
    if batch_norm.is_default() || mode.takes_cells() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "extraction.{} has `batch_norm = \"{}\"`, which its mode `{}` does not use: it is for \
         `l-fe` and `sl-fe`",
        extraction.name,
        batch_norm.name(),
        mode.name()
    ))
    .hint(
        "set extraction.batch_norm = \"running\"; a sweep over batch_norm can name the modes in \
         [matrix.cases]",
    ))
}

/// The settings that the mode uses. Others are left out, so that they do not change the key.
fn extraction_settings(recipe: &ExtractionRecipe, model: &ModelStages) -> ExtractionSettings {
    let regions = recipe.mode.is_localised().then(|| RegionSettings {
        cam: cam_settings(recipe, &mut Keys::default()),
        roi_threshold: recipe.roi_threshold.value(),
        minimum_area: (recipe.mode != Mode::SlFe).then_some(recipe.minimum_area),
        feature_layer: (recipe.mode == Mode::SlFe).then_some(recipe.feature_layer),
    });
    ExtractionSettings {
        mode: recipe.mode,
        regions,
        architecture: model.architecture,
        normalization: model.frames.normalization,
        pool: recipe.pool,
        precision: recipe.precision,
        batch_norm: recipe.batch_norm,
        crop_size: recipe.mode.cuts_out().then(|| recipe.crop_size.height_width()),
        crop_layer: Some(recipe.feature_layer)
            .filter(|&layer| recipe.mode.cuts_out() && layer != FeatureLayer::Layer4),
    }
}
