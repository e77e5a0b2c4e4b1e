//! Plans the stages that show where a model sees the instruments: heat maps, the boxes that come
//! from them, and the scores of both.

use super::goal::Goal;
use super::kinds::*;
use super::models::ModelStages;
use super::naming::{Keys, read};
use super::planned::CellStages;
use super::planner::Planner;
use super::settings::CamSettings;
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::schema::{ExtractionRecipe, Section};

impl Planner<'_> {
    fn heat_maps(
        &mut self,
        model: &ModelStages,
        cam: CamSettings,
        axes: &str,
    ) -> Handle<HeatMapsStage> {
        if let Some((_, known)) = model.heat_maps.borrow().iter().find(|(known, _)| *known == cam) {
            return *known;
        }
        let parameters = HeatMapsStage {
            architecture: model.architecture,
            normalization: model.frames.normalization,
            cam: cam.clone(),
        };
        let name = format!("heat-maps {}{axes}", model.recipe.name);
        let heat_maps =
            self.plan.add(NewStage::new(name, &parameters, model.inputs(), Resource::Device));
        model.heat_maps.borrow_mut().push((cam, heat_maps));
        heat_maps
    }

    /// Plans the scores of heat maps. They do not depend on T_ROI, so heat maps are scored only
    /// once.
    fn heat_score(
        &mut self,
        model: &ModelStages,
        heat_maps: Handle<HeatMapsStage>,
        axes: &str,
    ) -> Handle<HeatScoreStage> {
        let parameters = HeatScoreStage {
            image_size: model.frames.image_size,
            classes: model.architecture.classes,
        };
        let inputs = HeatScoreInputs {
            heat_maps: heat_maps.output(HeatMapsStage::HEAT_MAPS),
            index: model.frames.index.output(IndexStage::INDEX),
            pack: model.frames.pack.output(PackStage::PACK),
        };
        let name = format!("heat-score {}{axes}", model.recipe.name);
        self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Processor))
    }

    pub(super) fn localization(
        &mut self,
        cell: &Cell,
        model: &ModelStages,
        recipe: &ExtractionRecipe,
        stages: &mut CellStages,
    ) {
        let mut keys = Keys::all_up_to(Section::Model);
        let cam = cam_settings(recipe, &mut keys);
        let axes = keys.swept(cell);
        let heat_maps = self.heat_maps(model, cam, &axes);
        let parameters = LocalizeStage {
            roi_threshold: recipe.roi_threshold.value(),
            minimum_area: *read!(keys, recipe.minimum_area),
            image_size: model.frames.image_size,
        };
        // T_ROI is in the name whether it is swept or not.
        let place =
            format!("{} at {}{}", model.recipe.name, recipe.roi_threshold, keys.swept(cell));
        let inputs = LocalizeInputs { heat_maps: heat_maps.output(HeatMapsStage::HEAT_MAPS) };
        let localize = self.plan.add(NewStage::new(
            format!("localize {place}"),
            &parameters,
            inputs,
            Resource::Processor,
        ));
        stages.heat_maps = Some(heat_maps);
        stages.localize = Some(localize);
        if self.wants(&[Goal::Localization]) {
            let boxes = localize.output(LocalizeStage::BOXES);
            stages.score = Some(self.score(model, boxes, &place));
            stages.heat_score = Some(self.heat_score(model, heat_maps, &axes));
            stages.deletion_insertion = self.deletion_insertion(model, heat_maps, &axes);
        }
    }

    /// Plans the scores of boxes, whether they come from heat maps or from a detector. `place`
    /// tells the boxes apart from others.
    pub(super) fn score(
        &mut self,
        model: &ModelStages,
        boxes: Source,
        place: &str,
    ) -> Handle<ScoreStage> {
        let parameters =
            ScoreStage { image_size: model.frames.image_size, classes: model.architecture.classes };
        let inputs = ScoreInputs {
            boxes,
            index: model.frames.index.output(IndexStage::INDEX),
            pack: model.frames.pack.output(PackStage::PACK),
        };
        let name = format!("score {place}");
        self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Processor))
    }

    /// Plans the deletion and insertion of heat maps, if the experiment asks for them. They do not
    /// depend on T_ROI either.
    fn deletion_insertion(
        &mut self,
        model: &ModelStages,
        heat_maps: Handle<HeatMapsStage>,
        axes: &str,
    ) -> Option<Handle<DeletionInsertionStage>> {
        let recipe = &self.experiment.recipe;
        let frames = recipe.deletion_insertion_frames.get();
        if frames == 0 {
            return None;
        }
        let parameters = DeletionInsertionStage {
            architecture: model.architecture,
            normalization: model.frames.normalization,
            frames,
            steps: recipe.deletion_insertion_steps.get(),
        };
        let FrameInputs { checkpoint, pack, index, .. } = model.inputs();
        let heat_maps = heat_maps.output(HeatMapsStage::HEAT_MAPS);
        let inputs = DeletionInsertionInputs { checkpoint, pack, index, heat_maps };
        let name = format!("deletion-insertion {}{axes}", model.recipe.name);
        Some(self.plan.add(NewStage::new(name, &parameters, inputs, Resource::Device)))
    }
}

pub(super) fn cam_settings(recipe: &ExtractionRecipe, keys: &mut Keys) -> CamSettings {
    CamSettings {
        method: *read!(keys, recipe.cam),
        layer: *read!(keys, recipe.cam_layer),
        present: read!(keys, recipe.present).clone(),
    }
}
