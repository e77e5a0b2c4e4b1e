//! Checks names of kinds of stages that come from users and from other stores.

use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_pipeline::kinds::kind_names;

/// Fails unless this is a kind of stage that experiments have.
pub fn check_kind(kind: &str) -> Result<()> {
    if kind_names().any(|known| known == kind) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "there is no kind of stage called `{kind}`{}",
        did_you_mean(kind, kind_names())
    ))
    .hint(format!("the kinds are {}", kind_names().collect::<Vec<_>>().join(", "))))
}
