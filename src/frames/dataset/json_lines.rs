//! Files with one JSON value on each line. The frames, pictures and annotations of an index are
//! such files.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::regular_file;

/// Writes one row on each line.
pub fn write_lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let mut writer = BufWriter::new(File::create(path).at_path("create", path)?);
    for row in rows {
        serde_json::to_writer(&mut writer, row).at_path("write", path)?;
        writer.write_all(b"\n").at_path("write", path)?;
    }
    writer.flush().at_path("write", path)
}

/// Reads all rows. A line that cannot be understood is an error that names the file.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let reader = BufReader::new(regular_file::open(path)?);
    reader
        .lines()
        .map(|line| serde_json::from_str(&line.at_path("read", path)?).at_path("understand", path))
        .collect()
}
