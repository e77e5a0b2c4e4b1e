//! Names of kinds of stages, as users and other stores give them.

use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_pipeline::kinds::kind_names;

/// An error unless experiments have stages of this kind.
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
