//! Weights files: safetensors of our own or torchvision's names, `.pth`, and the authors' `.pth.tar`.

use std::path::Path;

use surgcam::error::{AtPath, Error, Result};
use tch::{Kind, Tensor};

use super::parameters::Parameters;
use super::pytorch_file;

/// Reads any weights file that is supported; a PyTorch file is read without executing anything in it.
pub fn read(path: &Path) -> Result<Parameters> {
    let mut start = [0u8; 9];
    let mut file = std::fs::File::open(path).at_path("open the weights", path)?;
    let is_long_enough = std::io::Read::read_exact(&mut file, &mut start).is_ok();
    if !is_long_enough {
        return Err(Error::failure("the weights file is empty or cut short").at_path(path));
    }
    let tensors = if start[8] == b'{' { read_safetensors(path)? } else { pytorch_file::read(path)? };
    let named = tensors.into_iter().filter_map(|(name, tensor)| Some((torchvision_name(&name)?, tensor)));
    Ok(Parameters::new(named))
}

/// Our own checkpoints.
pub fn read_safetensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    Tensor::read_safetensors(path).at_path("read the weights", path)
}

pub fn write(parameters: &Parameters, path: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Tensor)> =
        parameters.iter().map(|(name, tensor)| (name.clone(), tensor.detach().to_device(tch::Device::Cpu).contiguous())).collect();
    // What torchvision's load_state_dict wants to find beside each running mean.
    let counters: Vec<String> =
        tensors.iter().filter_map(|(name, _)| Some(format!("{}.num_batches_tracked", name.strip_suffix(".running_mean")?))).collect();
    for name in counters {
        tensors.push((name, Tensor::zeros([0i64; 0], (Kind::Int64, tch::Device::Cpu))));
    }
    Tensor::write_safetensors(&tensors, path).at_path("write the checkpoint", path)
}

/// The authors' names to torchvision's: `module.layer1...`, `fc.1.weight` (a dropout stands before it). `None`: of no use here.
fn torchvision_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("module.").unwrap_or(name);
    if name.ends_with("num_batches_tracked") {
        return None;
    }
    Some(match name.strip_prefix("fc.1.") {
        Some(part) => format!("fc.{part}"),
        None => name.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_names_become_torchvisions() {
        assert_eq!(torchvision_name("module.fc.1.weight").as_deref(), Some("fc.weight"));
        assert_eq!(torchvision_name("module.layer1.0.conv1.weight").as_deref(), Some("layer1.0.conv1.weight"));
        assert_eq!(torchvision_name("bn1.num_batches_tracked"), None);
    }

    /// tests/weights has the same two tensors in both forms, one a transposed view, one in half precision, with the authors' names.
    #[test]
    fn both_forms_of_pytorchs_files_are_read() {
        for name in ["zip.pth", "legacy.pth.tar"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name);
            let weights = read(&path).unwrap();
            let convolution = Vec::<Vec<f32>>::try_from(weights.get("layer1.0.conv1.weight").unwrap()).unwrap();
            assert_eq!(convolution, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]], "{name}");
            let bias = Vec::<f32>::try_from(weights.get("fc.bias").unwrap().to_kind(Kind::Float)).unwrap();
            assert_eq!(bias, [0.5, -2.0], "{name}");
        }
    }

    #[test]
    fn an_empty_or_strange_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"12345", b"neither of them, but long enough to be looked at"] {
            let path = folder.path().join("weights.pth");
            std::fs::write(&path, content).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("weights.pth"));
        }
    }
}
