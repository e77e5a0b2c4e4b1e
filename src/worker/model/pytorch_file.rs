//! PyTorch's own files: the zip form, and the older form of several pickles with the numbers behind
//! them.
//!
//! Sizes in them are claims. The shapes of the wanted tensors are compared first; then only their
//! storages are read, and no more bytes than the file has.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Display;
use std::io::{self, BufReader, Read, Seek};

use surgcam_engine::error::{Error, Result};
use tch::Tensor;
use zip::ZipArchive;

use super::pickle::{self, Pickle, StorageView, TensorId, TensorView, Value};
use super::wanted::Wanted;

/// How a file in the zip form starts.
pub const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";

const CUT_SHORT: &str = "the file is cut short";
const STRANGE_KIND: &str = "a storage has numbers of a kind that no weights have";

type Outcome<T> = std::result::Result<T, String>;

/// The wanted tensors of a file in the zip form. `source`: at its start, with `length` bytes.
pub fn from_zip(
    source: impl Read + Seek,
    length: u64,
    wanted: &Wanted,
) -> Result<Vec<(String, Tensor)>> {
    let mut archive = Archive::open(source, length).map_err(unreadable)?;
    let pickle = archive.pickle().map_err(unreadable)?;
    let chosen = choose(&pickle, wanted)?;
    archive.tensors(&pickle, chosen).map_err(unreadable)
}

/// The wanted tensors of a file in the older form. `source`: at its start, with `length` bytes.
pub fn from_legacy(
    source: impl Read + Seek,
    length: u64,
    wanted: &Wanted,
) -> Result<Vec<(String, Tensor)>> {
    let mut stream = BufReader::new(source);
    let (pickle, keys) = legacy_pickles(&mut stream).map_err(unreadable)?;
    let chosen = choose(&pickle, wanted)?;
    let needed: HashSet<&str> =
        chosen.iter().map(|(_, tensor)| pickle.view(*tensor).storage.key).collect();
    let storages =
        legacy_storages(&mut stream, length, &pickle, &keys, &needed).map_err(unreadable)?;
    let tensor = |(name, tensor): (String, TensorId)| -> Outcome<(String, Tensor)> {
        let view = pickle.view(tensor);
        let storage = storages.get(view.storage.key).ok_or("a tensor without numbers")?;
        Ok((name, strided(storage, &view)?))
    };
    chosen.into_iter().map(tensor).collect::<Outcome<Vec<_>>>().map_err(unreadable)
}

fn unreadable(problem: String) -> Error {
    Error::failure(format!("cannot read it as weights: {problem}"))
        .hint("a safetensors file, a torchvision .pth, or the authors' .pth.tar is expected")
}

fn in_words(error: impl Display) -> String {
    error.to_string()
}

fn choose(pickle: &Pickle, wanted: &Wanted) -> Result<Vec<(String, TensorId)>> {
    let tensors = state_dict(pickle).map_err(unreadable)?;
    wanted.choose(tensors, |tensor| pickle.view(*tensor).size)
}

/// The tensors of the dict itself, or of the one below `state_dict`, `model`, `net` (training
/// scripts save more beside it).
fn state_dict(pickle: &Pickle) -> Outcome<Vec<(&str, TensorId)>> {
    let tensors =
        |value: Value| -> Vec<(&str, TensorId)> {
            let entries = pickle.entries(value);
            entries
                .filter_map(|(name, value)| {
                    if let Value::Tensor(tensor) = value { Some((name, tensor)) } else { None }
                })
                .collect()
        };
    let direct = tensors(pickle.root());
    if !direct.is_empty() {
        return Ok(direct);
    }
    ["state_dict", "model", "model_state_dict", "net"]
        .into_iter()
        .filter_map(|name| pickle.entries(pickle.root()).find(|(key, _)| *key == name))
        .map(|(_, inner)| tensors(inner))
        .find(|found| !found.is_empty())
        .ok_or_else(|| {
            "it holds no dict of tensors (a whole pickled model cannot be read; save its \
             state_dict)"
                .to_string()
        })
}

/// The zip form: `NAME/data.pkl`, and a file `NAME/data/KEY` for each storage.
struct Archive<R> {
    zip: ZipArchive<BufReader<R>>,
    pickle_name: String,
    length: u64,
}

impl<R: Read + Seek> Archive<R> {
    fn open(source: R, length: u64) -> Outcome<Self> {
        let zip = ZipArchive::new(BufReader::new(source)).map_err(in_words)?;
        let pickle_name = zip
            .file_names()
            .flatten()
            .find(|name| name.ends_with("/data.pkl"))
            .map(|name| name.into_owned());
        let pickle_name = pickle_name.ok_or("the archive has no data.pkl")?;
        Ok(Archive { zip, pickle_name, length })
    }

    fn pickle(&mut self) -> Outcome<Pickle> {
        let entry = self.zip.by_name(&self.pickle_name).map_err(in_words)?;
        let mut stream = BufReader::new(entry.take(self.length));
        let pickle = pickle::read(&mut stream)?;
        // To the end, where the checksum is compared.
        io::copy(&mut stream, &mut io::sink()).map_err(in_words)?;
        Ok(pickle)
    }

    fn tensors(
        &mut self,
        pickle: &Pickle,
        chosen: Vec<(String, TensorId)>,
    ) -> Outcome<Vec<(String, Tensor)>> {
        // Entries may lie over each other; all together have no more bytes than the file.
        let mut left = self.length;
        let mut storages: HashMap<&str, Tensor> = HashMap::new();
        let mut tensors = Vec::new();
        for (name, tensor) in chosen {
            let view = pickle.view(tensor);
            let storage = match storages.entry(view.storage.key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let bytes = self.storage(view.storage.key, left)?;
                    left -= bytes.len() as u64;
                    unknown.insert(storage_tensor(&view.storage, &bytes)?)
                }
            };
            tensors.push((name, strided(storage, &view)?));
        }
        Ok(tensors)
    }

    /// At most `left` bytes.
    fn storage(&mut self, key: &str, left: u64) -> Outcome<Vec<u8>> {
        let folder = self.pickle_name.trim_end_matches("data.pkl");
        let entry = self.zip.by_name(&format!("{folder}data/{key}")).map_err(in_words)?;
        let claimed = entry.size();
        if claimed > left {
            return Err("its storages claim more bytes than the file has".into());
        }
        let mut bytes = Vec::with_capacity(claimed as usize);
        entry.take(left).read_to_end(&mut bytes).map_err(in_words)?;
        Ok(bytes)
    }
}

/// The older form: the object, and the keys of its storages in the order in which their numbers
/// follow.
fn legacy_pickles(stream: &mut impl Read) -> Outcome<(Pickle, Pickle)> {
    // Magic number, protocol version, system information.
    for _ in 0..3 {
        pickle::read(stream)?;
    }
    Ok((pickle::read(stream)?, pickle::read(stream)?))
}

/// The storages whose keys are needed; others are passed over.
fn legacy_storages<'a>(
    stream: &mut BufReader<impl Read + Seek>,
    length: u64,
    pickle: &'a Pickle,
    keys: &'a Pickle,
    needed: &HashSet<&str>,
) -> Outcome<HashMap<&'a str, Tensor>> {
    let mentioned: HashMap<&str, StorageView> =
        pickle.storages().map(|storage| (storage.key, storage)).collect();
    let mut storages = HashMap::new();
    for &key in keys.list(keys.root()).ok_or("the list of storages is missing")? {
        let key = keys.text(key).ok_or("a storage without a key")?;
        let storage = mentioned.get(key).ok_or("a storage that no tensor uses")?;
        let kind = storage.kind.ok_or(STRANGE_KIND)?;
        let mut count = [0; 8];
        stream.read_exact(&mut count).map_err(|_| CUT_SHORT)?;
        let bytes = u64::from_le_bytes(count).checked_mul(kind.elt_size_in_bytes() as u64);
        let bytes = bytes
            .filter(|bytes| *bytes <= length)
            .ok_or("a storage claims more bytes than the file has")?;
        if needed.contains(key) {
            let mut numbers = vec![0; bytes as usize];
            stream.read_exact(&mut numbers).map_err(|_| CUT_SHORT)?;
            storages.insert(key, storage_tensor(storage, &numbers)?);
        } else {
            stream.seek_relative(bytes as i64).map_err(in_words)?;
        }
    }
    Ok(storages)
}

fn storage_tensor(storage: &StorageView, bytes: &[u8]) -> Outcome<Tensor> {
    let kind = storage.kind.ok_or(STRANGE_KIND)?;
    let size = kind.elt_size_in_bytes();
    if !bytes.len().is_multiple_of(size) || ((bytes.len() / size) as i64) < storage.length {
        return Err(CUT_SHORT.into());
    }
    Tensor::f_from_data_size(bytes, &[(bytes.len() / size) as i64], kind).map_err(in_words)
}

/// The view's numbers in order. Its size is one that was wanted, or there would be no limit to what
/// is made here.
fn strided(storage: &Tensor, view: &TensorView) -> Outcome<Tensor> {
    if view.storage.kind != Some(storage.kind()) {
        return Err("a storage has numbers of two kinds".into());
    }
    let length = storage.size()[0];
    let fits = || -> Option<bool> {
        let mut last = view.offset;
        for (&size, &stride) in view.size.iter().zip(&view.stride) {
            if size < 0 || stride < 0 {
                return Some(false);
            }
            last = last.checked_add((size - 1).max(0).checked_mul(stride)?)?;
        }
        Some(
            view.offset >= 0
                && view.size.len() == view.stride.len()
                && (last < length || view.size.contains(&0)),
        )
    };
    if !fits().unwrap_or(false) {
        return Err("a tensor reaches beyond its numbers".into());
    }
    storage
        .f_as_strided(view.size.as_slice(), view.stride.as_slice(), view.offset)
        .and_then(|tensor| tensor.f_contiguous())
        .map_err(in_words)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tch::Kind;

    use super::*;
    use surgcam_testkit::pytorch::{Described, state_dict, zip_form};

    fn view<'a>(offset: i64, size: &[i64], stride: &[i64]) -> TensorView<'a> {
        let storage = StorageView { key: "0", kind: Some(Kind::Float), length: 6 };
        TensorView { storage, offset, size: size.to_vec(), stride: stride.to_vec() }
    }

    fn read_zip(file: Vec<u8>, wanted: &[(&str, &[i64])]) -> Result<Vec<(String, Tensor)>> {
        let length = file.len() as u64;
        from_zip(Cursor::new(file), length, &Wanted::new(wanted))
    }

    fn problem(file: Vec<u8>, wanted: &[(&str, &[i64])]) -> String {
        read_zip(file, wanted).map(|tensors| tensors.len()).unwrap_err().to_string()
    }

    #[test]
    fn a_transposed_view_is_read_and_one_beyond_its_numbers_refused() {
        let storage = Tensor::from_slice(&[0f32, 1., 2., 3., 4., 5.]);
        let transposed = strided(&storage, &view(0, &[3, 2], &[1, 3])).unwrap();
        assert_eq!(Vec::<Vec<f32>>::try_from(transposed).unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);
        for bad in [
            view(1, &[3, 2], &[1, 3]),
            view(-1, &[1], &[1]),
            view(0, &[2], &[i64::MAX]),
            view(0, &[7], &[1]),
        ] {
            assert!(strided(&storage, &bad).is_err());
        }
        let doubles = Tensor::from_slice(&[0f64; 6]);
        assert!(strided(&doubles, &view(0, &[6], &[1])).unwrap_err().contains("two kinds"));
    }

    /// 16 GB in one number; the name is wanted, the shape is not.
    #[test]
    fn a_vast_view_of_one_number_is_refused_by_its_shape() {
        let vast =
            Described { name: "fc.bias", key: "0", length: 1, size: &[1 << 32], stride: &[0] };
        let file = zip_form(&state_dict(std::slice::from_ref(&vast)), &[("0", &[0; 4])]);
        assert!(problem(file, &[("fc.bias", &[2])]).contains("4294967296 classes"));
        let file =
            zip_form(&state_dict(&[Described { name: "conv1.weight", ..vast }]), &[("0", &[0; 4])]);
        assert!(
            problem(file, &[("conv1.weight", &[2])])
                .contains("`conv1.weight` has the shape [4294967296]")
        );
    }

    #[test]
    fn a_vast_view_that_nobody_wants_is_left_where_it_is_and_a_wanted_one_is_spread_out() {
        let vast =
            Described { name: "module.vast", key: "0", length: 1, size: &[1 << 32], stride: &[0] };
        let spread =
            Described { name: "module.fc.1.bias", key: "0", length: 1, size: &[3], stride: &[0] };
        let file = zip_form(&state_dict(&[vast, spread]), &[("0", &1.5f32.to_le_bytes())]);
        let tensors = read_zip(file, &[("fc.bias", &[3])]).unwrap();
        assert_eq!(Vec::<f32>::try_from(&tensors[0].1).unwrap(), [1.5; 3]);
    }

    #[test]
    fn storages_that_claim_more_than_the_file_has_are_refused() {
        let described =
            |length| Described { name: "fc.bias", key: "0", length, size: &[2], stride: &[1] };
        let file = |length| zip_form(&state_dict(&[described(length)]), &[("0", &[0; 8])]);
        assert_eq!(read_zip(file(2), &[("fc.bias", &[2])]).unwrap().len(), 1);
        assert!(problem(file(1 << 40), &[("fc.bias", &[2])]).contains("cut short"));
        // The archive's own claim, in its directory: the sizes of its last entry.
        let mut bomb = file(2);
        let entry = bomb.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
        bomb[entry + 20..entry + 28].copy_from_slice(&[0xf0; 8]);
        assert!(read_zip(bomb, &[("fc.bias", &[2])]).is_err());
    }
}
