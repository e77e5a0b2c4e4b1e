//! The logits, present classes and heat maps of all frames: a safetensors file for each sequence.
//!
//! A file of n frames with P present classes in all has the tensors `rows` i64 `[n]` (the frames'
//! rows in the index), `logits` f32 `[n, classes]`, `offsets` i64 `[n + 1]`, `present` i64 `[P]`
//! and `heat_maps` f32 `[P, h, w]`. Frame `i` has the entries of `present` and `heat_maps` from
//! `offsets[i]` to before `offsets[i + 1]`. Heat maps have the size of the layer that they come
//! from (docs/method.md, section 4).

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::vision::heat_map::HeatMap;

/// What a classifier says of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameHeat {
    /// The frame's row in the index.
    pub row: usize,
    /// One for each class of the label space.
    pub logits: Vec<f32>,
    /// The indices of the present classes.
    pub present: Vec<usize>,
    /// `[height, width]` of the layer that the maps come from.
    pub map_size: [usize; 2],
    /// One for each present class, in the order of `present`.
    pub maps: Vec<HeatMap>,
}

fn file_of(folder: &Path, sequence: &str) -> PathBuf {
    folder.join(format!("{sequence}.safetensors"))
}

fn bytes<T: Copy, const N: usize>(values: &[T], to_bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| to_bytes(value)).collect()
}

/// Writes the file of a sequence. All frames must have the same number of logits, and maps of one
/// size.
pub fn write_sequence(folder: &Path, sequence: &str, frames: &[FrameHeat]) -> Result<()> {
    let classes = frames.first().map_or(0, |frame| frame.logits.len());
    let [height, width] = frames.first().map_or([0, 0], |frame| frame.map_size);
    let rows: Vec<i64> = frames.iter().map(|frame| frame.row as i64).collect();
    let logits: Vec<f32> = frames.iter().flat_map(|frame| frame.logits.iter().copied()).collect();
    let present: Vec<i64> =
        frames.iter().flat_map(|frame| frame.present.iter().map(|&class| class as i64)).collect();
    let maps: Vec<f32> = frames
        .iter()
        .flat_map(|frame| &frame.maps)
        .flat_map(|map| map.values.iter().copied())
        .collect();
    let mut offsets = vec![0i64];
    for frame in frames {
        offsets.push(offsets[offsets.len() - 1] + frame.present.len() as i64);
    }
    let parts = [
        ("rows", Dtype::I64, vec![rows.len()], bytes(&rows, i64::to_le_bytes)),
        ("logits", Dtype::F32, vec![frames.len(), classes], bytes(&logits, f32::to_le_bytes)),
        ("offsets", Dtype::I64, vec![offsets.len()], bytes(&offsets, i64::to_le_bytes)),
        ("present", Dtype::I64, vec![present.len()], bytes(&present, i64::to_le_bytes)),
        (
            "heat_maps",
            Dtype::F32,
            vec![present.len(), height, width],
            bytes(&maps, f32::to_le_bytes),
        ),
    ];
    let path = file_of(folder, sequence);
    let mut views = Vec::new();
    for (name, dtype, shape, data) in &parts {
        views.push((*name, TensorView::new(*dtype, shape.clone(), data).at_path("write", &path)?));
    }
    safetensors::serialize_to_file(views, None, &path).at_path("write", &path)
}

/// The names of the sequences in a folder of heat maps, in the order of the index.
pub fn sequences(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).at_path("list", folder)? {
        let path = entry.at_path("list", folder)?.path();
        if let Some(name) = path.file_stem() {
            let name = name.to_string_lossy().into_owned();
            found.push((first_row(&path)?, name));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// The row of the first frame in a file, of which nothing else is read. `None`: it has no frame.
fn first_row(path: &Path) -> Result<Option<i64>> {
    let file = File::open(path).at_path("open", path)?;
    // SAFETY: objects of the store are read-only and never rewritten in place.
    let content = unsafe { Mmap::map(&file) }.at_path("map", path)?;
    let tensors = SafeTensors::deserialize(&content).at_path("understand", path)?;
    let rows = tensors.tensor("rows").at_path("find a tensor in", path)?;
    Ok(rows.data().first_chunk().map(|bytes| i64::from_le_bytes(*bytes)))
}

/// Reads the file of a sequence. A file whose tensors do not fit together is an error.
pub fn read_sequence(folder: &Path, sequence: &str) -> Result<Vec<FrameHeat>> {
    let path = file_of(folder, sequence);
    let content = std::fs::read(&path).at_path("read", &path)?;
    let file = SafeTensors::deserialize(&content).at_path("understand", &path)?;
    let tensor = |name: &str| file.tensor(name).at_path("find a tensor in", &path);
    let integers = |name: &str| -> Result<Vec<i64>> {
        Ok(tensor(name)?
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| i64::from_le_bytes(*bytes))
            .collect())
    };
    let floats = |name: &str| -> Result<Vec<f32>> {
        Ok(tensor(name)?
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect())
    };
    let (rows, offsets, present) = (integers("rows")?, integers("offsets")?, integers("present")?);
    let (logits, maps) = (floats("logits")?, floats("heat_maps")?);
    let malformed = || Error::failure("the heat maps are malformed").at_path(&path);
    let (logit_shape, map_shape) =
        (tensor("logits")?.shape().to_vec(), tensor("heat_maps")?.shape().to_vec());
    let (&[of_frames, classes], &[of_maps, height, width]) =
        (logit_shape.as_slice(), map_shape.as_slice())
    else {
        return Err(malformed());
    };
    let well_formed = offsets.len() == rows.len() + 1
        && offsets.first() == Some(&0)
        && offsets.is_sorted()
        && offsets.last() == Some(&(present.len() as i64))
        && (of_frames, of_maps) == (rows.len(), present.len())
        && logits.len() == of_frames * classes
        && maps.len() == of_maps * height * width;
    if !well_formed {
        return Err(malformed());
    }
    Ok(rows
        .iter()
        .enumerate()
        .map(|(i, &row)| {
            let entries = offsets[i] as usize..offsets[i + 1] as usize;
            let map = |entry: usize| HeatMap {
                height,
                width,
                values: maps[entry * height * width..][..height * width].to_vec(),
            };
            FrameHeat {
                row: row as usize,
                logits: logits[i * classes..][..classes].to_vec(),
                map_size: [height, width],
                present: present[entries.clone()].iter().map(|&class| class as usize).collect(),
                maps: entries.map(map).collect(),
            }
        })
        .collect())
}

/// Reads every frame of every sequence, by its row in the index.
pub fn read_all(folder: &Path) -> Result<HashMap<usize, FrameHeat>> {
    let mut frames = HashMap::new();
    for sequence in sequences(folder)? {
        frames
            .extend(read_sequence(folder, &sequence)?.into_iter().map(|frame| (frame.row, frame)));
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let map = |value: f32| HeatMap { height: 1, width: 2, values: vec![value, 1.0] };
        let frames = vec![
            FrameHeat {
                row: 4,
                logits: vec![0.5, -1.0],
                present: vec![0, 1],
                map_size: [1, 2],
                maps: vec![map(0.1), map(0.2)],
            },
            FrameHeat {
                row: 5,
                logits: vec![1.5, 2.0],
                present: vec![],
                map_size: [1, 2],
                maps: vec![],
            },
        ];
        write_sequence(folder.path(), "seq_2", &frames).unwrap();
        assert_eq!(sequences(folder.path()).unwrap(), ["seq_2"]);
        write_sequence(folder.path(), "seq_10", &[FrameHeat { row: 9, ..frames[0].clone() }])
            .unwrap();
        assert_eq!(
            sequences(folder.path()).unwrap(),
            ["seq_2", "seq_10"],
            "the order is that of the index, not of the alphabet"
        );
        assert_eq!(read_sequence(folder.path(), "seq_2").unwrap(), frames);
    }
}
