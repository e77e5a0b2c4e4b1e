//! PyTorch's own files: the zip form, and the older form of several pickles with the numbers behind them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use surgcam::error::{AtPath, Error, Result};
use tch::{Kind, Tensor};
use zip::ZipArchive;

use super::pickle::{self, Storage, TensorView, Value};

/// Every tensor of the state dict by name.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let file = File::open(path).at_path("open the weights", path)?;
    let read = match ZipArchive::new(BufReader::new(file)) {
        Ok(archive) => from_zip(archive),
        Err(_) => from_legacy(path),
    };
    read.map_err(|problem| {
        Error::failure(format!("cannot read it as weights: {problem}"))
            .at_path(path)
            .hint("a safetensors file, a torchvision .pth, or the authors' .pth.tar is expected")
    })
}

type Outcome<T> = std::result::Result<T, String>;

fn from_zip(mut archive: ZipArchive<BufReader<File>>) -> Outcome<Vec<(String, Tensor)>> {
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let pickle_name = names.into_iter().find(|name| name.ends_with("/data.pkl")).ok_or("the archive has no data.pkl")?;
    let folder = pickle_name.trim_end_matches("data.pkl").to_string();
    let value = {
        let mut entry = archive.by_name(&pickle_name).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        pickle::read(&mut bytes.as_slice())?
    };
    let mut storages: HashMap<String, Tensor> = HashMap::new();
    state_dict(&value)?
        .into_iter()
        .map(|(name, view)| {
            if !storages.contains_key(&view.storage.key) {
                let mut entry = archive.by_name(&format!("{folder}data/{}", view.storage.key)).map_err(|error| error.to_string())?;
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
                storages.insert(view.storage.key.clone(), storage_tensor(&view.storage, &bytes)?);
            }
            Ok((name, strided(&storages[&view.storage.key], &view)?))
        })
        .collect()
}

fn from_legacy(path: &Path) -> Outcome<Vec<(String, Tensor)>> {
    let mut stream = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    // Magic number, protocol version, system information; then the object and the keys of its storages.
    for _ in 0..3 {
        pickle::read(&mut stream)?;
    }
    let value = pickle::read(&mut stream)?;
    let Value::List(keys) = pickle::read(&mut stream)? else { return Err("the list of storages is missing".into()) };
    let views = state_dict(&value)?;
    let kinds: HashMap<&str, &Storage> = storages_of(&value);
    let mut storages: HashMap<String, Tensor> = HashMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err("a storage without a key".into()) };
        let storage = kinds.get(key.as_str()).ok_or("a storage that no tensor uses")?;
        let mut length = [0; 8];
        stream.read_exact(&mut length).map_err(|_| "the file is cut short")?;
        let length = u64::from_le_bytes(length).checked_mul(element(&storage.kind)?.1 as u64).ok_or("a storage larger than any")?;
        let mut bytes = Vec::new();
        (&mut stream).take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        storages.insert(key, storage_tensor(storage, &bytes)?);
    }
    views
        .into_iter()
        .map(|(name, view)| {
            let storage = storages.get(&view.storage.key).ok_or("a tensor without numbers")?;
            Ok((name, strided(storage, &view)?))
        })
        .collect()
}

/// The tensors of the dict itself, or of the one below `state_dict`, `model`, `net` (training scripts save more beside it).
fn state_dict(value: &Value) -> Outcome<Vec<(String, TensorView)>> {
    let tensors = |value: &Value| -> Vec<(String, TensorView)> {
        value
            .entries()
            .filter_map(|(name, value)| if let Value::Tensor(view) = value { Some((name.to_string(), view.clone())) } else { None })
            .collect()
    };
    let direct = tensors(value);
    if !direct.is_empty() {
        return Ok(direct);
    }
    ["state_dict", "model", "model_state_dict", "net"]
        .into_iter()
        .filter_map(|name| value.entries().find(|(key, _)| *key == name))
        .map(|(_, inner)| tensors(inner))
        .find(|found| !found.is_empty())
        .ok_or_else(|| "it holds no dict of tensors (a whole pickled model cannot be read; save its state_dict)".to_string())
}

fn storages_of(value: &Value) -> HashMap<&str, &Storage> {
    let mut found = HashMap::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Tensor(view) => drop(found.insert(view.storage.key.as_str(), &view.storage)),
            Value::Storage(storage) => drop(found.insert(storage.key.as_str(), storage)),
            Value::Dict(entries) => open.extend(entries.iter().flat_map(|(key, value)| [key, value])),
            Value::List(items) | Value::Tuple(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// The kind of a storage's numbers and the bytes of each.
fn element(kind: &str) -> Outcome<(Kind, usize)> {
    Ok(match kind {
        "FloatStorage" => (Kind::Float, 4),
        "HalfStorage" => (Kind::Half, 2),
        "BFloat16Storage" => (Kind::BFloat16, 2),
        "DoubleStorage" => (Kind::Double, 8),
        "LongStorage" => (Kind::Int64, 8),
        "IntStorage" => (Kind::Int, 4),
        "ShortStorage" => (Kind::Int16, 2),
        "ByteStorage" => (Kind::Uint8, 1),
        "CharStorage" => (Kind::Int8, 1),
        "BoolStorage" => (Kind::Bool, 1),
        other => return Err(format!("numbers of the kind {other}")),
    })
}

fn storage_tensor(storage: &Storage, bytes: &[u8]) -> Outcome<Tensor> {
    let (kind, size) = element(&storage.kind)?;
    if !bytes.len().is_multiple_of(size) || ((bytes.len() / size) as i64) < storage.length {
        return Err("the file is cut short".into());
    }
    Tensor::f_from_data_size(bytes, &[(bytes.len() / size) as i64], kind).map_err(|error| error.to_string())
}

fn strided(storage: &Tensor, view: &TensorView) -> Outcome<Tensor> {
    let length = storage.size()[0];
    let fits = || -> Option<bool> {
        let mut last = view.offset;
        for (&size, &stride) in view.size.iter().zip(&view.stride) {
            if size < 0 || stride < 0 {
                return Some(false);
            }
            last = last.checked_add((size - 1).max(0).checked_mul(stride)?)?;
        }
        Some(view.offset >= 0 && view.size.len() == view.stride.len() && (last < length || view.size.contains(&0)))
    };
    if !fits().unwrap_or(false) {
        return Err("a tensor reaches beyond its numbers".into());
    }
    storage
        .f_as_strided(view.size.as_slice(), view.stride.as_slice(), view.offset)
        .and_then(|tensor| tensor.f_contiguous())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: i64, size: &[i64], stride: &[i64]) -> TensorView {
        let storage = Storage { key: "0".into(), kind: "FloatStorage".into(), length: 6 };
        TensorView { storage, offset, size: size.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn a_transposed_view_is_read_and_one_beyond_its_numbers_refused() {
        let storage = Tensor::from_slice(&[0f32, 1., 2., 3., 4., 5.]);
        let transposed = strided(&storage, &view(0, &[3, 2], &[1, 3])).unwrap();
        assert_eq!(Vec::<Vec<f32>>::try_from(transposed).unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);
        for bad in [view(1, &[3, 2], &[1, 3]), view(-1, &[1], &[1]), view(0, &[2], &[i64::MAX]), view(0, &[7], &[1])] {
            assert!(strided(&storage, &bad).is_err());
        }
    }
}
