//! Weights files: safetensors of our own or torchvision's names, `.pth`, and the authors'
//! `.pth.tar`.

use std::io::{Read, Seek};
use std::path::Path;

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::regular_file;
use surgcam_pipeline::settings::Architecture;
use tch::{Kind, Tensor};

use super::pytorch_file::{self, ZIP_MAGIC};
use super::safetensors_file::SafetensorsFile;
use super::wanted::Wanted;
use super::weights::Weights;

/// Reads a network's tensors from any supported weights file, and only those that the network
/// needs. Nothing in a PyTorch file is executed. Without `needs_head`, a head is neither needed nor
/// kept.
pub fn read(path: &Path, architecture: Architecture, needs_head: bool) -> Result<Weights> {
    let tensors = read_wanted(path, &Wanted::of(architecture, needs_head))?;
    Weights::new(tensors).checked(architecture, needs_head).map_err(|error| error.at_path(path))
}

fn read_wanted(path: &Path, wanted: &Wanted) -> Result<Vec<(String, Tensor)>> {
    let file = regular_file::open(path)?;
    let length = file.metadata().at_path("read the weights", path)?.len();
    wanted_tensors(file, length, wanted).map_err(|error| error.at_path(path))
}

/// From the content of a file of any form, which has `length` bytes.
pub(super) fn wanted_tensors(
    mut source: impl Read + Seek,
    length: u64,
    wanted: &Wanted,
) -> Result<Vec<(String, Tensor)>> {
    let mut start = [0; 9];
    source
        .read_exact(&mut start)
        .map_err(|_| Error::failure("the weights file is empty or cut short"))?;
    source.rewind().map_err(|error| Error::failure(format!("cannot read the weights: {error}")))?;
    if start[8] == b'{' {
        SafetensorsFile::open(source, length)?.wanted(wanted)
    } else if start.starts_with(&ZIP_MAGIC) {
        pytorch_file::from_zip(source, length, wanted)
    } else {
        pytorch_file::from_legacy(source, length, wanted)
    }
}

/// Every tensor of our own checkpoints and of heads.
pub fn read_safetensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let file = regular_file::open(path)?;
    let length = file.metadata().at_path("read the weights", path)?.len();
    SafetensorsFile::open(file, length)
        .and_then(SafetensorsFile::all)
        .map_err(|error| error.at_path(path))
}

pub fn write(weights: &Weights, path: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Tensor)> = weights
        .iter()
        .map(|(name, tensor)| {
            (name.clone(), tensor.detach().to_device(tch::Device::Cpu).contiguous())
        })
        .collect();
    // What torchvision's load_state_dict wants to find beside each running mean.
    let counters: Vec<String> = tensors
        .iter()
        .filter_map(|(name, _)| {
            Some(format!("{}.num_batches_tracked", name.strip_suffix(".running_mean")?))
        })
        .collect();
    for name in counters {
        tensors.push((name, Tensor::zeros([0i64; 0], (Kind::Int64, tch::Device::Cpu))));
    }
    Tensor::write_safetensors(&tensors, path).at_path("write the checkpoint", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/weights has the same two tensors in both forms, one a transposed view, one in half
    /// precision, with the authors' names.
    #[test]
    fn both_forms_of_pytorchs_files_are_read() {
        let wanted = Wanted::new(&[("layer1.0.conv1.weight", &[3, 2]), ("fc.bias", &[2])]);
        for name in ["zip.pth", "legacy.pth.tar"] {
            let path =
                Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/weights")).join(name);
            let weights = Weights::new(read_wanted(&path, &wanted).unwrap());
            let convolution =
                Vec::<Vec<f32>>::try_from(weights.get("layer1.0.conv1.weight").unwrap()).unwrap();
            assert_eq!(convolution, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]], "{name}");
            let bias =
                Vec::<f32>::try_from(weights.get("fc.bias").unwrap().to_kind(Kind::Float)).unwrap();
            assert_eq!(bias, [0.5, -2.0], "{name}");
        }
    }

    #[test]
    fn an_empty_or_strange_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(&[("fc.bias", &[2])]);
        for content in [
            &b""[..],
            b"12345",
            b"neither of them, but long enough to be looked at",
            b"PK\x03\x04 but no archive",
        ] {
            let path = folder.path().join("weights.pth");
            std::fs::write(&path, content).unwrap();
            assert!(read_wanted(&path, &wanted).unwrap_err().to_string().contains("weights.pth"));
        }
        assert!(
            read_wanted(Path::new("/dev/zero"), &wanted)
                .unwrap_err()
                .to_string()
                .contains("not a regular file")
        );
    }

    #[test]
    fn our_own_checkpoints_are_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let weights =
            Weights::new([("bn1.running_mean".to_string(), Tensor::from_slice(&[1f32, 2.0]))]);
        write(&weights, &path).unwrap();
        let names: Vec<String> =
            read_safetensors(&path).unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(
            names.contains(&"bn1.running_mean".into())
                && names.contains(&"bn1.num_batches_tracked".into()),
            "{names:?}"
        );
    }
}
