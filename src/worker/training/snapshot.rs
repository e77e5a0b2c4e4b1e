//! Snapshots of a training: a JSON file and the tensors that belong to it. They are written into
//! the stage's partial folder after an epoch, and are always complete.
//!
//! Syncing to the disk after each epoch would take longer than quick epochs do. So it is done from
//! time to time, and a power failure loses what was trained since. The last snapshot that was
//! synced is kept beside the newest one.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::file::{Durability, WORTH_SYNCING, sync_folder, write_with};
use surgcam_engine::store::read_json;
use tch::{Device, Tensor};

const FORMAT: u32 = 2;
/// The snapshot that is on the disk.
const SYNCED_FILE: &str = "state.json";
/// A newer one that may be on its way there.
const NEWEST_FILE: &str = "newest.json";

#[derive(Debug, Serialize, Deserialize)]
struct StateFile<S> {
    format: u32,
    /// Absent if an earlier version wrote the file.
    #[serde(default)]
    epochs: usize,
    /// Names the file of tensors: each epoch has its own, so that the one in use is never written
    /// to.
    tensors: String,
    digest: Digest,
    state: S,
}

/// Named groups of tensors: `weights`, `best`, and the state of the optimizer.
#[derive(Debug, Default)]
pub struct Groups(Vec<(String, Tensor)>);

impl Groups {
    pub fn add<'a>(
        &mut self,
        group: &str,
        tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    ) {
        let cpu = |(name, tensor): (&String, &Tensor)| {
            (format!("{group}/{name}"), tensor.detach().to_device(Device::Cpu).contiguous())
        };
        self.0.extend(tensors.into_iter().map(cpu));
    }

    /// One group's tensors, on the CPU.
    pub fn group(&self, group: &str) -> BTreeMap<String, Tensor> {
        let of_group = self.0.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(group)?.strip_prefix('/')?.to_string(), tensor.shallow_clone()))
        });
        of_group.collect()
    }
}

/// The snapshots of one training.
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    /// Everything that was trained before this moment is on the disk.
    synced: Instant,
}

impl Snapshots {
    /// This is made when the training begins or continues.
    pub fn new(folder: PathBuf) -> Self {
        Snapshots { folder, synced: Instant::now() }
    }

    /// Writes the state after this number of epochs, in place of the one before.
    pub fn write<S: Serialize>(&mut self, epochs: usize, state: &S, groups: &Groups) -> Result<()> {
        if self.synced.elapsed() < WORTH_SYNCING {
            return self.write_with(epochs, state, groups, Durability::Remade);
        }
        self.write_with(epochs, state, groups, Durability::Synced)?;
        self.synced = Instant::now();
        Ok(())
    }

    fn write_with<S: Serialize>(
        &self,
        epochs: usize,
        state: &S,
        groups: &Groups,
        durability: Durability,
    ) -> Result<()> {
        fs::create_dir_all(&self.folder).at_path("create the folder", &self.folder)?;
        let tensors = format!("epoch-{epochs}.safetensors");
        let path = self.folder.join(&tensors);
        Tensor::write_safetensors(&groups.0, &path).at_path("write", &path)?;
        let state_file = match durability {
            Durability::Remade => NEWEST_FILE,
            Durability::Synced => {
                File::open(&path).and_then(|file| file.sync_all()).at_path("write", &path)?;
                // The name of the folder itself.
                self.folder.parent().map_or(Ok(()), sync_folder)?;
                SYNCED_FILE
            }
        };
        let state =
            StateFile { format: FORMAT, epochs, digest: Digest::of_file(&path)?, tensors, state };
        let state_path = self.folder.join(state_file);
        write_with(
            &state_path,
            &serde_json::to_vec(&state).at_path("write", &state_path)?,
            durability,
        )?;
        if durability == Durability::Synced {
            forget(&self.folder.join(NEWEST_FILE));
        }
        self.forget_unnamed();
        Ok(())
    }

    /// Tensors that no state names any more.
    fn forget_unnamed(&self) {
        let states = [SYNCED_FILE, NEWEST_FILE];
        let named = states
            .iter()
            .filter_map(|state| read_json::<StateFile<IgnoredAny>>(&self.folder.join(state)).ok());
        let named: HashSet<String> = named.map(|state| state.tensors).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !states.contains(&name.as_str()) && !named.contains(&name) {
                forget(&entry.path());
            }
        }
    }
}

/// If it is left over, it only takes space.
fn forget(path: &Path) {
    let _ = fs::remove_file(path);
}

/// The newest complete state in the folder. `None` if there is none.
pub fn read<S: DeserializeOwned>(folder: &Path) -> Option<(S, Groups)> {
    let states = [NEWEST_FILE, SYNCED_FILE]
        .iter()
        .filter_map(|state| read_json::<StateFile<S>>(&folder.join(state)).ok());
    let mut states: Vec<StateFile<S>> = states.filter(|state| state.format == FORMAT).collect();
    states.sort_by_key(|state| std::cmp::Reverse(state.epochs));
    states.into_iter().find_map(|state| read_tensors(folder, state))
}

fn read_tensors<S>(folder: &Path, file: StateFile<S>) -> Option<(S, Groups)> {
    let path = folder.join(&file.tensors);
    if Digest::of_file(&path).ok()? != file.digest {
        return None;
    }
    Some((file.state, Groups(Tensor::read_safetensors(&path).ok()?)))
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn write(snapshots: &Snapshots, epochs: usize, durability: Durability) {
        let mut groups = Groups::default();
        groups.add(
            "weights",
            [(&"w".to_string(), &Tensor::full([2], epochs as f64, (Kind::Float, Device::Cpu)))],
        );
        snapshots.write_with(epochs, &epochs, &groups, durability).unwrap();
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_on_the_disk_stays_until_something_newer_is() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path().join("partial"));
        let folder = snapshots.folder.as_path();
        write(&snapshots, 1, Durability::Remade);
        assert_eq!(files(folder), ["epoch-1.safetensors", NEWEST_FILE]);
        write(&snapshots, 2, Durability::Synced);
        write(&snapshots, 3, Durability::Remade);
        write(&snapshots, 4, Durability::Remade);
        assert_eq!(
            files(folder),
            ["epoch-2.safetensors", "epoch-4.safetensors", NEWEST_FILE, SYNCED_FILE]
        );
        assert_eq!(read::<usize>(folder).unwrap().0, 4);
        // The state in which a power failure may leave files that were not synced.
        fs::write(folder.join("epoch-4.safetensors"), "").unwrap();
        let (epochs, groups) = read::<usize>(folder).unwrap();
        assert_eq!(
            (epochs, f64::try_from(groups.group("weights")["w"].sum(Kind::Double)).unwrap()),
            (2, 4.0)
        );
        fs::write(folder.join(NEWEST_FILE), "").unwrap();
        assert_eq!(read::<usize>(folder).unwrap().0, 2);
        write(&snapshots, 5, Durability::Synced);
        assert_eq!(files(folder), ["epoch-5.safetensors", SYNCED_FILE]);
        assert_eq!(read::<usize>(folder).unwrap().0, 5);
    }

    #[test]
    fn quick_epochs_are_synced_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(folder.path().join("partial"));
        snapshots.write(1, &(), &Groups::default()).unwrap();
        assert!(!snapshots.folder.join(SYNCED_FILE).exists());
        snapshots.synced = Instant::now().checked_sub(WORTH_SYNCING).unwrap();
        snapshots.write(2, &(), &Groups::default()).unwrap();
        assert!(snapshots.folder.join(SYNCED_FILE).exists());
        snapshots.write(3, &(), &Groups::default()).unwrap();
        assert!(snapshots.folder.join(NEWEST_FILE).exists());
    }
}
