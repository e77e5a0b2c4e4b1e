//! The boxes of all frames at one T_ROI: a Parquet file, sorted by the frame's row, by class, and
//! by box. Coordinates are pixels of the resized picture (docs/method.md, section 5).

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::parquet;
use surgcam_engine::error::{AtPath, Result};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::regions::ScoredBox;

/// A box of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxRow {
    /// The frame's row in the index.
    pub row: usize,
    pub class: usize,
    pub scored: ScoredBox,
}

/// Writes boxes part by part, so that a sweep of many frames needs little memory. They must come in
/// the order of the file.
pub struct BoxWriter {
    path: PathBuf,
    rows: parquet::RowWriter,
}

impl BoxWriter {
    pub fn create(path: &Path) -> Result<Self> {
        Ok(BoxWriter {
            rows: parquet::RowWriter::create(path, &table_of(&[])?)?,
            path: path.to_path_buf(),
        })
    }

    pub fn add(&mut self, boxes: &[BoxRow]) -> Result<()> {
        self.rows.write(&table_of(boxes)?, &self.path)
    }

    pub fn finish(self) -> Result<()> {
        self.rows.finish(&self.path)
    }
}

fn table_of(boxes: &[BoxRow]) -> Result<DataFrame> {
    let integers = |name: &str, value: fn(&BoxRow) -> i64| {
        Column::new(name.into(), boxes.iter().map(value).collect::<Vec<i64>>())
    };
    parquet::frame(vec![
        integers("row", |b| b.row as i64),
        integers("class", |b| b.class as i64),
        integers("x1", |b| b.scored.bounds.x1),
        integers("y1", |b| b.scored.bounds.y1),
        integers("x2", |b| b.scored.bounds.x2),
        integers("y2", |b| b.scored.bounds.y2),
        Column::new(
            "confidence".into(),
            boxes.iter().map(|b| b.scored.confidence).collect::<Vec<f32>>(),
        ),
    ])
}

/// Reads all boxes of a file.
pub fn read(path: &Path) -> Result<Vec<BoxRow>> {
    let frame = parquet::read(path)?;
    let column = |name: &str| parquet::integers(&frame, name, path);
    let (rows, classes) = (column("row")?, column("class")?);
    let (x1, y1, x2, y2) = (column("x1")?, column("y1")?, column("x2")?, column("y2")?);
    let confidence =
        frame.column("confidence").at_path("read", path)?.f32().at_path("read", path)?.clone();
    Ok((0..rows.len())
        .map(|i| BoxRow {
            row: rows[i] as usize,
            class: classes[i] as usize,
            scored: ScoredBox {
                bounds: Box2::from([x1[i], y1[i], x2[i], y2[i]]),
                confidence: confidence.get(i).unwrap_or_default(),
            },
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.parquet");
        let boxes = vec![BoxRow {
            row: 3,
            class: 1,
            scored: ScoredBox { bounds: Box2::from([1, 2, 3, 4]), confidence: 0.25 },
        }];
        let write = |parts: &[&[BoxRow]]| {
            let mut writer = BoxWriter::create(&path).unwrap();
            parts.iter().for_each(|part| writer.add(part).unwrap());
            writer.finish().unwrap();
        };
        write(&[&boxes, &[], &boxes]);
        assert_eq!(read(&path).unwrap(), [boxes.clone(), boxes].concat());
        write(&[]);
        assert_eq!(read(&path).unwrap(), []);
    }
}
