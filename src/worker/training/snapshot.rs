//! How far a training came: a JSON file and the tensors that belong to it, written after each epoch into the stage's partial folder
//! and never half.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use surgcam::error::{AtPath, Result};
use surgcam::store::digest::Digest;
use surgcam::store::file::{Durability, write_with};
use surgcam::store::read_json;
use tch::{Device, Tensor};

const FORMAT: u32 = 2;
const STATE_FILE: &str = "state.json";

#[derive(Debug, Serialize, Deserialize)]
struct StateFile<S> {
    format: u32,
    /// Names the file of tensors: each epoch has its own, so that the one in use is never written to.
    tensors: String,
    digest: Digest,
    state: S,
}

/// Named groups of tensors: `weights`, `best`, what an optimizer remembers.
#[derive(Debug, Default)]
pub struct Groups(Vec<(String, Tensor)>);

impl Groups {
    pub fn add<'a>(&mut self, group: &str, tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) {
        let cpu = |(name, tensor): (&String, &Tensor)| (format!("{group}/{name}"), tensor.detach().to_device(Device::Cpu).contiguous());
        self.0.extend(tensors.into_iter().map(cpu));
    }

    /// One group's tensors, on the CPU.
    pub fn group(&self, group: &str) -> BTreeMap<String, Tensor> {
        let of_group = self
            .0
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(group)?.strip_prefix('/')?.to_string(), tensor.shallow_clone())));
        of_group.collect()
    }
}

/// An epoch that took so long is worth waiting for the disk.
const WORTH_SYNCING: Duration = Duration::from_secs(30);

/// Writes the state after so many epochs into the folder, in place of the one that is there. `epoch_begun`: when the last one began.
pub fn write<S: Serialize>(folder: &Path, epochs: usize, state: &S, groups: &Groups, epoch_begun: Instant) -> Result<()> {
    std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
    let name = format!("epoch-{epochs}.safetensors");
    let path = folder.join(&name);
    Tensor::write_safetensors(&groups.0, &path).at_path("write", &path)?;
    let durability = if epoch_begun.elapsed() > WORTH_SYNCING { Durability::Synced } else { Durability::Remade };
    if durability == Durability::Synced {
        std::fs::File::open(&path).and_then(|file| file.sync_all()).at_path("write", &path)?;
    }
    let state = StateFile { format: FORMAT, digest: Digest::of_file(&path)?, tensors: name.clone(), state };
    let state_path = folder.join(STATE_FILE);
    write_with(&state_path, &serde_json::to_vec(&state).at_path("write", &state_path)?, durability)?;
    remove_others(folder, &name);
    Ok(())
}

/// Tensors of earlier epochs.
fn remove_others(folder: &Path, current: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name != current && name != STATE_FILE {
            // Left over, it takes room and nothing else.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The state in the folder; `None` if there is none that is whole.
pub fn read<S: DeserializeOwned>(folder: &Path) -> Option<(S, Groups)> {
    let file: StateFile<S> = read_json(&folder.join(STATE_FILE)).ok()?;
    let path = folder.join(&file.tensors);
    if file.format != FORMAT || Digest::of_file(&path).ok()? != file.digest {
        return None;
    }
    Some((file.state, Groups(Tensor::read_safetensors(&path).ok()?)))
}
