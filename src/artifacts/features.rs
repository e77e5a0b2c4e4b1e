//! The features of all regions: a `.npy` file for each sequence with 512 numbers for each region,
//! and a Parquet file that lists the regions. Both are written and read frame by frame, so the
//! memory that is needed does not depend on the number of frames.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyz::WriterBuilder;
use polars::prelude::*;

use super::parquet;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::vision::geometry::Box2;

/// How many numbers the features of a region have (docs/method.md, section 6).
pub const WIDTH: usize = 512;

const INDEX_FILE: &str = "regions.parquet";

/// A region of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegionRow {
    /// The frame's row in the index of frames.
    pub row: usize,
    pub class: usize,
    /// The place of the region among those of its class in the frame, from 0.
    pub index: usize,
    pub bounds: Box2,
    /// The probability of the class in the frame: the sigmoid of its logit.
    pub probability: f32,
    /// The mean heat inside the box. It is 1 in modes whose boxes do not come from a heat map.
    pub confidence: f32,
}

/// The regions of a frame with their features, sorted by class and box.
#[derive(Debug, Clone, Copy)]
pub struct FrameFeatures<'a> {
    pub sequence: &'a str,
    /// The frame's row in the index of frames.
    pub row: usize,
    pub regions: &'a [RegionRow],
    /// `[regions, 512]`, region after region.
    pub values: &'a [f32],
}

impl FrameFeatures<'_> {
    /// The 512 features of one region.
    pub fn of_region(&self, region: usize) -> &[f32] {
        &self.values[region * WIDTH..][..WIDTH]
    }
}

/// Writes an array of any shape as `.npy`, little-endian and in C order.
pub fn write_npy<T: npyz::AutoSerialize + npyz::Serialize + Copy>(
    writer: impl std::io::Write,
    shape: &[u64],
    values: &[T],
) -> std::io::Result<()> {
    let mut file =
        npyz::WriteOptions::new().default_dtype().shape(shape).writer(writer).begin_nd()?;
    file.extend(values.iter().copied())?;
    file.finish()
}

/// How many rows of the list of regions are gathered before they are written.
const INDEX_BATCH: usize = 8192;

/// Writes the features of frames, which must come in the order of the index, sequence by sequence.
pub struct FeatureWriter {
    folder: PathBuf,
    index_path: PathBuf,
    index: parquet::RowWriter,
    /// Regions that are not written yet, each with its sequence.
    rows: Vec<(Arc<str>, RegionRow)>,
    sequence: Option<OpenSequence>,
}

/// The file of the sequence whose frames are being written.
struct OpenSequence {
    name: Arc<str>,
    path: PathBuf,
    values: npyz::NpyWriter<f32, BufWriter<File>>,
}

impl FeatureWriter {
    pub fn create(folder: &Path) -> Result<Self> {
        let index_path = folder.join(INDEX_FILE);
        let index = parquet::RowWriter::create(&index_path, &index_of(&[])?)?;
        Ok(FeatureWriter {
            folder: folder.to_path_buf(),
            index_path,
            index,
            rows: Vec::with_capacity(INDEX_BATCH),
            sequence: None,
        })
    }

    /// Adds the regions of a frame. `values` are their features, `[regions, 512]`.
    pub fn add(
        &mut self,
        sequence: &str,
        regions: impl IntoIterator<Item = RegionRow>,
        values: &[f32],
    ) -> Result<()> {
        if self.sequence.as_ref().is_none_or(|open| &*open.name != sequence) {
            self.close_sequence()?;
            self.sequence = Some(OpenSequence::create(&self.folder, sequence)?);
        }
        if let Some(open) = &mut self.sequence {
            open.values.extend(values.iter().copied()).at_path("write", &open.path)?;
            self.rows.extend(regions.into_iter().map(|region| (open.name.clone(), region)));
        }
        if self.rows.len() >= INDEX_BATCH { self.write_rows() } else { Ok(()) }
    }

    fn write_rows(&mut self) -> Result<()> {
        self.index.write(&index_of(&self.rows)?, &self.index_path)?;
        self.rows.clear();
        Ok(())
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
        let values = npyz::WriteOptions::new()
            .default_dtype()
            .writer(writer)
            .begin_1d()
            .at_path("write", &path)?;
        Ok(OpenSequence { name: name.into(), path, values })
    }
}

fn index_of(rows: &[(Arc<str>, RegionRow)]) -> Result<DataFrame> {
    let integers = |name: &str, value: fn(&RegionRow) -> i64| {
        Column::new(name.into(), rows.iter().map(|(_, row)| value(row)).collect::<Vec<i64>>())
    };
    let numbers = |name: &str, value: fn(&RegionRow) -> f32| {
        Column::new(name.into(), rows.iter().map(|(_, row)| value(row)).collect::<Vec<f32>>())
    };
    parquet::frame(vec![
        Column::new(
            "sequence".into(),
            rows.iter().map(|(sequence, _)| &**sequence).collect::<Vec<&str>>(),
        ),
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

/// Calls `use_frame` with every frame that has regions, in the order in which they were written.
/// The features of one frame at a time are in memory.
pub fn for_each_frame(
    folder: &Path,
    mut use_frame: impl FnMut(&FrameFeatures) -> Result<()>,
) -> Result<()> {
    let RegionIndex { sequences, regions } = read_index(&folder.join(INDEX_FILE))?;
    let mut start = 0;
    for (sequence, count) in sequences {
        let mut values = SequenceValues::open(folder, &sequence, count)?;
        for regions in regions[start..start + count].chunk_by(|a, b| a.row == b.row) {
            let values = values.next(regions.len())?;
            use_frame(&FrameFeatures {
                sequence: &sequence,
                row: regions[0].row,
                regions,
                values,
            })?;
        }
        start += count;
    }
    Ok(())
}

struct RegionIndex {
    /// The name of each sequence, with the number of its regions.
    sequences: Vec<(String, usize)>,
    regions: Vec<RegionRow>,
}

fn read_index(path: &Path) -> Result<RegionIndex> {
    let frame = parquet::read(path)?;
    let column = |name: &str| parquet::integers(&frame, name, path);
    let names =
        frame.column("sequence").at_path("read", path)?.str().at_path("read", path)?.clone();
    let (rows, classes, indices) = (column("row")?, column("class")?, column("index")?);
    let (x1, y1, x2, y2) = (column("x1")?, column("y1")?, column("x2")?, column("y2")?);
    let (probabilities, confidences) = (
        parquet::numbers(&frame, "probability", path)?,
        parquet::numbers(&frame, "confidence", path)?,
    );
    let mut sequences: Vec<(String, usize)> = Vec::new();
    let mut regions = Vec::with_capacity(rows.len());
    for i in 0..rows.len() {
        let name = names.get(i).unwrap_or_default();
        match sequences.last_mut().filter(|(last, _)| last == name) {
            Some((_, count)) => *count += 1,
            None => sequences.push((name.to_string(), 1)),
        }
        regions.push(RegionRow {
            row: rows[i] as usize,
            class: classes[i] as usize,
            index: indices[i] as usize,
            bounds: Box2::from([x1[i], y1[i], x2[i], y2[i]]),
            probability: probabilities[i],
            confidence: confidences[i],
        });
    }
    Ok(RegionIndex { sequences, regions })
}

/// The features of a sequence's regions, which are read one after the other.
struct SequenceValues {
    path: PathBuf,
    reader: npyz::NpyReader<f32, BufReader<File>>,
    current: Vec<f32>,
}

impl SequenceValues {
    fn open(folder: &Path, sequence: &str, regions: usize) -> Result<Self> {
        let path = folder.join(format!("{sequence}.npy"));
        let file = BufReader::new(File::open(&path).at_path("open", &path)?);
        let reader = npyz::NpyFile::new(file)
            .at_path("understand", &path)?
            .data()
            .at_path("understand", &path)?;
        if reader.total_len() != (regions * WIDTH) as u64 {
            return Err(Error::failure(format!(
                "the file has {} numbers for {regions} regions",
                reader.total_len()
            ))
            .at_path(&path));
        }
        Ok(SequenceValues { path, reader, current: Vec::new() })
    }

    /// The features of the next regions, `[regions, 512]`.
    fn next(&mut self, regions: usize) -> Result<&[f32]> {
        self.current.clear();
        for value in self.reader.by_ref().take(regions * WIDTH) {
            self.current.push(value.at_path("read", &self.path)?);
        }
        Ok(&self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let region = |row, class| RegionRow {
            row,
            class,
            index: 0,
            bounds: Box2::from([0, 1, 2, 3]),
            probability: 0.75,
            confidence: 0.5,
        };
        let frames = [
            ("seq_1", vec![region(0, 0), region(0, 4)], 0.5),
            ("seq_1", vec![], 0.0),
            ("seq_1", vec![region(2, 4)], 1.5),
            ("seq_2", vec![], 0.0),
            ("seq_10", vec![region(4, 3)], 2.5),
        ];
        let mut writer = FeatureWriter::create(folder.path()).unwrap();
        for (sequence, regions, value) in &frames {
            writer
                .add(sequence, regions.iter().copied(), &vec![*value; regions.len() * WIDTH])
                .unwrap();
        }
        writer.finish().unwrap();
        let mut read = Vec::new();
        for_each_frame(folder.path(), |frame| {
            for (place, region) in frame.regions.iter().enumerate() {
                assert_eq!(frame.row, region.row);
                read.push((frame.sequence.to_string(), *region, frame.of_region(place)[511]));
            }
            Ok(())
        })
        .unwrap();
        let written = frames.iter().flat_map(|(name, regions, value)| {
            regions.iter().map(|region| (name.to_string(), *region, *value))
        });
        assert_eq!(read, written.collect::<Vec<_>>());
        assert!(folder.path().join("seq_2.npy").exists());
    }

    #[test]
    fn without_a_region_anywhere_the_index_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        FeatureWriter::create(folder.path()).unwrap().finish().unwrap();
        for_each_frame(folder.path(), |frame| panic!("{} has no region", frame.sequence)).unwrap();
    }
}
