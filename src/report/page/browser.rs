//! Opening a page in a browser.

use std::path::Path;

use surgcam_engine::error::{Error, Result};

/// Opens a page in the browser that the desktop names.
pub fn open(path: &Path) -> Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = std::process::Command::new(program);
    command.arg(path).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let hint = |error: Error| error.hint(format!("open {} in a browser yourself", path.display()));
    let status = command
        .status()
        .map_err(|error| hint(Error::failure(format!("cannot start {program}: {error}"))))?;
    if status.success() {
        Ok(())
    } else {
        Err(hint(Error::failure(format!("{program} could not open the report: {status}"))))
    }
}
