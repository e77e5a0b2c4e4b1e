//! The stage behind the deletion and insertion columns, where an experiment asks for them.

use super::kinds::*;
use super::models::ModelStages;
use super::planner::Planner;
use surgcam_engine::plan::{Handle, NewStage, Resource};

impl Planner<'_> {
    /// `axes`: the swept values that the heat maps are named by. It knows no T_ROI, so heat maps
    /// are judged once.
    pub(super) fn deletion_insertion(
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
