//! The clips of a temporal model, and whether batches and sequences are long enough for them.

use super::sources::DataStages;
use surgcam_engine::error::{Error, Result};
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::ModelRecipe;
use surgcam_values::Whole;

/// How many frames a clip has. `None` for a classifier of single frames.
pub(super) fn clip_length(recipe: Whole<1, 64>) -> Option<usize> {
    Some(recipe.get()).filter(|&length| length > 1)
}

/// Fails if a clip is longer than a training step or than every drawn sequence. The lengths of the
/// sequences of other data are not known before their index is made.
pub(super) fn check_clips(recipe: &Resolved<ModelRecipe>, training: &[DataStages]) -> Result<()> {
    let Some(length) = clip_length(recipe.value.clip_length) else { return Ok(()) };
    let batch_size = recipe.value.batch_size.get();
    if batch_size < length {
        return Err(Error::usage(format!(
            "model.{} has clips of {length} frames and a batch_size of {batch_size}, which counts \
             frames",
            recipe.name
        ))
        .hint(format!("set model.{}.batch_size to {length} or more", recipe.name)));
    }
    let drawn = training.iter().map(|part| part.drawn_frames_per_sequence);
    // Where the length of one part is not known, a clip may fit there.
    let longest = drawn.collect::<Option<Vec<usize>>>().and_then(|drawn| drawn.into_iter().max());
    if let Some(longest) = longest.filter(|&longest| longest < length) {
        return Err(Error::usage(format!(
            "model.{} has clips of {length} frames, and the sequences of data.{} have {longest}",
            recipe.name, training[0].name
        ))
        .hint(format!(
            "set model.{}.clip_length to {longest} or less, or draw more frames_per_sequence",
            recipe.name
        )));
    }
    Ok(())
}
