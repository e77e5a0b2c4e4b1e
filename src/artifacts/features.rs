//! Features of all regions: one `.npy` a sequence with 512 numbers for each region, and a Parquet index of the regions. Both are
//! written as the frames come, so memory does not grow with them.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;
use polars::prelude::*;

use super::parquet;
use crate::error::{AtPath, Error, Result};
use crate::vision::geometry::Box2;

/// Numbers of a region.
pub const WIDTH: usize = 512;

const INDEX_FILE: &str = "regions.parquet";

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegionRow {
    /// The frame's row in the index of frames.
    pub row: usize,
    pub class: usize,
    /// Among the regions of its class in the frame.
    pub index: usize,
    pub bounds: Box2,
    /// Sigmoid of the class's logit in the frame.
    pub probability: f32,
    /// Mean heat inside the box; 1 where the mode takes no box from heat.
    pub confidence: f32,
}

/// One sequence's regions with their features, in the order of the frames, classes and boxes.
#[derive(Debug, Default)]
pub struct SequenceFeatures {
    pub regions: Vec<RegionRow>,
    /// [regions, 512]
    pub values: Vec<f32>,
}

impl SequenceFeatures {
    pub fn of_region(&self, region: usize) -> &[f32] {
        &self.values[region * WIDTH..][..WIDTH]
    }
}

/// Writes `.npy` with any shape: little-endian, C order.
pub fn write_npy<T: npyz::AutoSerialize + npyz::Serialize + Copy>(
    writer: impl std::io::Write,
    shape: &[u64],
    values: &[T],
) -> std::io::Result<()> {
    let mut file = npyz::WriteOptions::new().default_dtype().shape(shape).writer(writer).begin_nd()?;
    file.extend(values.iter().copied())?;
    file.finish()
}

/// Rows of the index that are gathered before they are written.
const INDEX_BATCH: usize = 8192;

/// Takes the frames in their order, sequence by sequence.
pub struct FeatureWriter {
    folder: PathBuf,
    index_path: PathBuf,
    index: parquet::RowWriter,
    /// Sequence and region, not written yet.
    rows: Vec<(String, RegionRow)>,
    sequence: Option<OpenSequence>,
}

/// The sequence whose frames are coming.
struct OpenSequence {
    name: String,
    path: PathBuf,
    values: npyz::NpyWriter<f32, BufWriter<File>>,
}

impl FeatureWriter {
    pub fn create(folder: &Path) -> Result<Self> {
        let index_path = folder.join(INDEX_FILE);
        let index = parquet::RowWriter::create(&index_path, &index_of(&[])?)?;
        Ok(FeatureWriter { folder: folder.to_path_buf(), index_path, index, rows: Vec::new(), sequence: None })
    }

    /// A frame's regions, and [regions, 512] of them.
    pub fn add(&mut self, sequence: &str, regions: impl IntoIterator<Item = RegionRow>, values: &[f32]) -> Result<()> {
        if self.sequence.as_ref().is_none_or(|open| open.name != sequence) {
            self.close_sequence()?;
            self.sequence = Some(OpenSequence::create(&self.folder, sequence)?);
        }
        if let Some(open) = &mut self.sequence {
            open.values.extend(values.iter().copied()).at_path("write", &open.path)?;
        }
        self.rows.extend(regions.into_iter().map(|region| (sequence.to_string(), region)));
        if self.rows.len() >= INDEX_BATCH { self.write_rows() } else { Ok(()) }
    }

    fn write_rows(&mut self) -> Result<()> {
        self.index.write(&index_of(&std::mem::take(&mut self.rows))?, &self.index_path)
    }

    fn close_sequence(&mut self) -> Result<()> {
        match self.sequence.take() {
            Some(open) => open.values.finish().at_path("write", &open.path),
            None => Ok(()),
        }
    }

    pub fn finish(mut self) -> Result<()> {
        self.close_sequence()?;
        self.write_rows()?;
        self.index.finish(&self.index_path)
    }
}

impl OpenSequence {
    fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.npy"));
        let writer = BufWriter::new(File::create(&path).at_path("create", &path)?);
        let values = npyz::WriteOptions::new().default_dtype().writer(writer).begin_1d().at_path("write", &path)?;
        Ok(OpenSequence { name: name.into(), path, values })
    }
}

fn index_of(rows: &[(String, RegionRow)]) -> Result<DataFrame> {
    let integers =
        |name: &str, value: fn(&RegionRow) -> i64| Column::new(name.into(), rows.iter().map(|(_, row)| value(row)).collect::<Vec<i64>>());
    let numbers =
        |name: &str, value: fn(&RegionRow) -> f32| Column::new(name.into(), rows.iter().map(|(_, row)| value(row)).collect::<Vec<f32>>());
    parquet::frame(vec![
        Column::new("sequence".into(), rows.iter().map(|(sequence, _)| sequence.as_str()).collect::<Vec<&str>>()),
        integers("row", |r| r.row as i64),
        integers("class", |r| r.class as i64),
        integers("index", |r| r.index as i64),
        integers("x1", |r| r.bounds.x1),
        integers("y1", |r| r.bounds.y1),
        integers("x2", |r| r.bounds.x2),
        integers("y2", |r| r.bounds.y2),
        numbers("probability", |r| r.probability),
        numbers("confidence", |r| r.confidence),
    ])
}

/// Every sequence that has regions, one after the other: `use_sequence` sees one at a time, so memory stays bounded.
pub fn for_each_sequence(folder: &Path, mut use_sequence: impl FnMut(&str, &SequenceFeatures) -> Result<()>) -> Result<()> {
    let path = folder.join(INDEX_FILE);
    let frame = parquet::read(&path)?;
    let column = |name: &str| parquet::integers(&frame, name, &path);
    let names = frame.column("sequence").at_path("read", &path)?.str().at_path("read", &path)?.clone();
    let (rows, classes, indices) = (column("row")?, column("class")?, column("index")?);
    let (x1, y1, x2, y2) = (column("x1")?, column("y1")?, column("x2")?, column("y2")?);
    let (probabilities, confidences) = (parquet::numbers(&frame, "probability", &path)?, parquet::numbers(&frame, "confidence", &path)?);
    let mut start = 0;
    while start < rows.len() {
        let name = names.get(start).unwrap_or_default();
        let end = (start..rows.len()).find(|&i| names.get(i) != Some(name)).unwrap_or(rows.len());
        let regions = (start..end)
            .map(|i| RegionRow {
                row: rows[i] as usize,
                class: classes[i] as usize,
                index: indices[i] as usize,
                bounds: Box2::from([x1[i], y1[i], x2[i], y2[i]]),
                probability: probabilities[i],
                confidence: confidences[i],
            })
            .collect();
        use_sequence(name, &SequenceFeatures { regions, values: read_values(folder, name, end - start)? })?;
        start = end;
    }
    Ok(())
}

fn read_values(folder: &Path, sequence: &str, regions: usize) -> Result<Vec<f32>> {
    let path = folder.join(format!("{sequence}.npy"));
    let bytes = std::fs::read(&path).at_path("read", &path)?;
    let file = npyz::NpyFile::new(bytes.as_slice()).at_path("understand", &path)?;
    let values: Vec<f32> = file.into_vec().at_path("read", &path)?;
    if values.len() != regions * WIDTH {
        return Err(Error::failure(format!("{} numbers for {regions} regions", values.len())).at_path(&path));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let region = |row, class| RegionRow { row, class, index: 0, bounds: Box2::from([0, 1, 2, 3]), probability: 0.75, confidence: 0.5 };
        let frames = [
            ("seq_1", vec![region(0, 0), region(0, 4)], 0.5),
            ("seq_1", vec![], 0.0),
            ("seq_1", vec![region(2, 4)], 1.5),
            ("seq_2", vec![], 0.0),
            ("seq_10", vec![region(4, 3)], 2.5),
        ];
        let mut writer = FeatureWriter::create(folder.path()).unwrap();
        for (sequence, regions, value) in &frames {
            writer.add(sequence, regions.iter().copied(), &vec![*value; regions.len() * WIDTH]).unwrap();
        }
        writer.finish().unwrap();
        let mut read = Vec::new();
        for_each_sequence(folder.path(), |name, features| {
            for (place, region) in features.regions.iter().enumerate() {
                read.push((name.to_string(), *region, features.of_region(place)[511]));
            }
            Ok(())
        })
        .unwrap();
        let written = frames.iter().flat_map(|(name, regions, value)| regions.iter().map(|region| (name.to_string(), *region, *value)));
        assert_eq!(read, written.collect::<Vec<_>>());
        assert!(folder.path().join("seq_2.npy").exists());
    }

    #[test]
    fn without_a_region_anywhere_the_index_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        FeatureWriter::create(folder.path()).unwrap().finish().unwrap();
        for_each_sequence(folder.path(), |name, _| panic!("{name} has no region")).unwrap();
    }
}
