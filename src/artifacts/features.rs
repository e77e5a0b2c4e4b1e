//! Features of all regions: one `.npy` [regions, 512] a sequence, and a Parquet index of the regions.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

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

pub fn write_sequence(folder: &Path, sequence: &str, features: &SequenceFeatures) -> Result<()> {
    let path = folder.join(format!("{sequence}.npy"));
    let writer = BufWriter::new(File::create(&path).at_path("create", &path)?);
    write_npy(writer, &[features.regions.len() as u64, WIDTH as u64], &features.values).at_path("write", &path)
}

/// The index over all sequences, written last. `sequences` in the order in which they were written.
pub fn write_index(folder: &Path, sequences: &[(String, Vec<RegionRow>)]) -> Result<()> {
    let regions = || sequences.iter().flat_map(|(_, regions)| regions);
    let integers = |name: &str, value: fn(&RegionRow) -> i64| Column::new(name.into(), regions().map(value).collect::<Vec<i64>>());
    let names: Vec<&str> = sequences.iter().flat_map(|(name, regions)| std::iter::repeat_n(name.as_str(), regions.len())).collect();
    let mut frame = parquet::frame(vec![
        Column::new("sequence".into(), names),
        integers("row", |r| r.row as i64),
        integers("class", |r| r.class as i64),
        integers("index", |r| r.index as i64),
        integers("x1", |r| r.bounds.x1),
        integers("y1", |r| r.bounds.y1),
        integers("x2", |r| r.bounds.x2),
        integers("y2", |r| r.bounds.y2),
    ])?;
    parquet::write(&mut frame, &folder.join(INDEX_FILE))
}

/// Every sequence that has regions, one after the other: `use_sequence` sees one at a time, so memory stays bounded.
pub fn for_each_sequence(folder: &Path, mut use_sequence: impl FnMut(&str, &SequenceFeatures) -> Result<()>) -> Result<()> {
    let path = folder.join(INDEX_FILE);
    let frame = parquet::read(&path)?;
    let column = |name: &str| parquet::integers(&frame, name, &path);
    let names = frame.column("sequence").at_path("read", &path)?.str().at_path("read", &path)?.clone();
    let (rows, classes, indices) = (column("row")?, column("class")?, column("index")?);
    let (x1, y1, x2, y2) = (column("x1")?, column("y1")?, column("x2")?, column("y2")?);
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
        let region = |row, class| RegionRow { row, class, index: 0, bounds: Box2::from([0, 1, 2, 3]) };
        let mut written = Vec::new();
        for (name, regions) in [("seq_1", vec![region(0, 0), region(1, 4)]), ("seq_10", vec![region(2, 3)])] {
            let features = SequenceFeatures { values: vec![regions.len() as f32; regions.len() * WIDTH], regions };
            write_sequence(folder.path(), name, &features).unwrap();
            written.push((name.to_string(), features.regions));
        }
        write_index(folder.path(), &written).unwrap();
        let mut read = Vec::new();
        for_each_sequence(folder.path(), |name, features| {
            assert_eq!(features.of_region(0)[0], features.regions.len() as f32);
            read.push((name.to_string(), features.regions.clone()));
            Ok(())
        })
        .unwrap();
        assert_eq!(read, written);
    }
}
