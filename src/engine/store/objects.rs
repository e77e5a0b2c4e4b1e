//! Objects: where they lie, whether they are what their names say, how new ones come in and broken ones go out.
//!
//! A broken object of this store is put aside. A broken copy in the common store cannot be, for nothing is written there: it is
//! noted here, and from then on it counts as absent, so that the next run makes the object again and keeps it in this store.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::digest::Digest;
use super::file::{Durability, create_synced_folder, remove_whole, sync_folder, walked, write_with};
use super::name::PlainName;
use super::record::{Form, Output, Outputs};
use super::{Store, tree};
use crate::error::{AtPath, Error, Result};
use crate::regular_file;

/// What is read into memory as a whole is no longer than so many bytes, whoever made it.
const LONGEST_SMALL_OBJECT: u64 = 256 << 20;

impl Store {
    /// Where the object lies: in this store, or in the common one; where it would be if it is in neither.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let own = object_path_in(&self.root, digest);
        if self.shared.is_none() || own.exists() { own } else { self.common_object(digest).unwrap_or(own) }
    }

    /// The common store's copy, unless it is known to be broken.
    fn common_object(&self, digest: &Digest) -> Option<PathBuf> {
        let path = object_path_in(self.shared.as_ref()?, digest);
        (path.exists() && !self.note_of_broken(digest).exists()).then_some(path)
    }

    /// Where it is noted that the common store's copy is broken.
    fn note_of_broken(&self, digest: &Digest) -> PathBuf {
        self.root.join("distrusted").join(digest.hex())
    }

    /// Where an object of this store is put aside.
    fn quarantine_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(digest.hex())
    }

    /// Whether the object is there and, as far as a glance tells, as it was stored: a file that was written to since is read.
    pub(super) fn has_object(&self, digest: &Digest) -> bool {
        let own = object_path_in(&self.root, digest);
        match own.metadata() {
            Ok(metadata) if metadata.is_dir() || tree::is_untouched(&metadata) => true,
            Ok(_) => self.use_object(digest).is_ok_and(|path| {
                // Copied here by other means, perhaps. The next glance shall be enough.
                let _ = tree::mark_untouched(&path);
                true
            }),
            Err(_) => self.common_object(digest).is_some(),
        }
    }

    /// Whether an object that is here has the form and the size that a record tells. Its bytes are
    /// not read.
    pub fn is_as_told(&self, output: &Output) -> Result<bool> {
        let path = self.object_path(&output.digest);
        let metadata = path.metadata().at_path("read", &path)?;
        Ok(match output.form {
            Form::File => metadata.is_file() && metadata.len() == output.bytes,
            Form::Tree => metadata.is_dir() && tree::size_of(&path)? == output.bytes,
        })
    }

    /// Moves everything in a workspace into the store: each file or folder at its top is one output, by name.
    pub fn store_outputs(&self, workspace: &Path) -> Result<Outputs> {
        let mut outputs = Outputs::new();
        for entry in fs::read_dir(workspace).at_path("list", workspace)? {
            let entry = entry.at_path("list", workspace)?;
            let name = PlainName::try_from(entry.file_name().to_string_lossy().into_owned())?;
            outputs.insert(name, self.store_object(&entry.path())?);
        }
        Ok(outputs)
    }

    fn store_object(&self, path: &Path) -> Result<Output> {
        let (digest, bytes, form) = tree::digest_of(path)?;
        // A copy that is there is read before this one is thrown away for it: it may be what a bad disk left of an object.
        if self.use_object(&digest).is_err() {
            self.take_in(path, &digest)?;
        }
        Ok(Output { digest, form, bytes })
    }

    /// Moves a file or folder of this digest to the place that is an object's.
    pub fn take_in(&self, path: &Path, digest: &Digest) -> Result<()> {
        tree::settle(path, &self.root)?;
        let target = object_path_in(&self.root, digest);
        let folder = target.parent().unwrap_or(&self.root);
        create_synced_folder(folder)?;
        if let Err(error) = fs::rename(path, &target)
            // Another process may have stored the same content in the meantime.
            && self.use_object(digest).is_err()
        {
            return Err(error).at_path("move an object to", &target);
        }
        sync_folder(folder)
    }

    /// The path of an object that is about to be read, its bytes compared with its name once in a process. One that is not
    /// what its name says is taken out of use, so that the next run makes it again.
    pub fn use_object(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.object_path(digest);
        if !path.exists() {
            return Err(self.why_absent(digest, &path));
        }
        if self.verified_set().contains(digest) {
            return Ok(path);
        }
        let (found, _, _) = tree::digest_of(&path)?;
        self.check(digest, &found, path)
    }

    fn why_absent(&self, digest: &Digest, path: &Path) -> Error {
        let aside = self.quarantine_path(digest);
        if aside.exists() {
            return changed(digest, &aside);
        }
        if let Some(shared) = self.shared.as_ref().filter(|_| self.note_of_broken(digest).exists()) {
            return changed_elsewhere(digest, &object_path_in(shared, digest));
        }
        Error::failure(format!("the object {} is not in the store any more", digest.short()))
            .at_path(path)
            .hint("run the experiment again: it is made anew")
    }

    /// The bytes of an object that is a small file, checked like [`Store::use_object`].
    pub fn read_object(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.object_path(digest);
        match regular_file::try_read(&path, LONGEST_SMALL_OBJECT).at_path("read", &path) {
            Ok(bytes) => self.check(digest, &tree::digest_of_bytes(&bytes), path).map(|_| bytes),
            // Of an object that is not there, or not what its name says, this one tells more.
            Err(error) => self.use_object(digest).and(Err(error)),
        }
    }

    fn check(&self, digest: &Digest, found: &Digest, path: PathBuf) -> Result<PathBuf> {
        if found == digest {
            self.verified_set().insert(*digest);
            return Ok(path);
        }
        if path.starts_with(&self.root) {
            return Err(changed(digest, &self.quarantine(digest)?));
        }
        write_with(&self.note_of_broken(digest), path.to_string_lossy().as_bytes(), Durability::Synced)?;
        Err(changed_elsewhere(digest, &path))
    }

    /// Takes an object out of use, so that it is made again, and keeps it for whoever wants to know what happened.
    pub(super) fn quarantine(&self, digest: &Digest) -> Result<PathBuf> {
        let target = self.quarantine_path(digest);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
        }
        remove_whole(&target, &self.tmp())?;
        let path = object_path_in(&self.root, digest);
        match fs::rename(&path, &target) {
            // Another process was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(target),
            Err(error) => Err(error).at_path("put aside", &path),
            Ok(()) => Ok(target),
        }
    }

    fn verified_set(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.verified.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Every object of this store, the common one not included.
    pub fn objects(&self) -> Result<Vec<(Digest, PathBuf)>> {
        let mut objects = Vec::new();
        for entry in walked(WalkDir::new(self.root.join("objects")).min_depth(2).max_depth(2).sort_by_file_name()) {
            let entry = entry?;
            if let Ok(digest) = format!("sha256:{}", entry.file_name().to_string_lossy()).parse() {
                objects.push((digest, entry.into_path()));
            }
        }
        Ok(objects)
    }
}

fn changed(digest: &Digest, place: &Path) -> Error {
    not_what_its_name_says(digest, place)
        .hint("it is put aside; run the same command again, and it is made anew (`surgcam store verify` looks for more)")
}

fn changed_elsewhere(digest: &Digest, place: &Path) -> Error {
    not_what_its_name_says(digest, place)
        .hint("the common store's copy is not used any more; run the same command again, and it is made anew in your own store")
}

fn not_what_its_name_says(digest: &Digest, place: &Path) -> Error {
    Error::failure(format!("the object {} has changed since it was written: its bytes are not what its name says", digest.short()))
        .at_path(place)
}

fn object_path_in(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    let mut path = root.join("objects");
    path.push(&hex[..2]);
    path.push(hex);
    path
}
