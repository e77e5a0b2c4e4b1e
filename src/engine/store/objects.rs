//! Objects: their paths, whether they match their digests, how new ones are stored and broken ones
//! are taken out of use.
//!
//! A broken object of this store is moved to quarantine/. A broken copy in the shared store cannot
//! be moved, because nothing is written there. It is noted in this store and counts as absent from
//! then on, so that the next run makes the object again and keeps it in this store.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::digest::Digest;
use super::file::{
    Durability, create_synced_folder, remove_whole, sync_folder, walked, write_with,
};
use super::name::PlainName;
use super::record::{Form, Output, Outputs};
use super::{Store, tree};
use crate::error::{AtPath, Error, Result};
use crate::regular_file;

/// The most bytes that are read into memory at once, whoever made the file.
const LONGEST_SMALL_OBJECT: u64 = 256 << 20;

impl Store {
    /// The object's path: in this store, or else in the shared one. If neither has it, the path
    /// that it would have in this store.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let own = object_path_in(&self.root, digest);
        if self.shared.is_none() || own.exists() {
            own
        } else {
            self.common_object(digest).unwrap_or(own)
        }
    }

    /// The shared store's copy, unless it is known to be broken.
    fn common_object(&self, digest: &Digest) -> Option<PathBuf> {
        let path = object_path_in(self.shared.as_ref()?, digest);
        (path.exists() && !self.note_of_broken(digest).exists()).then_some(path)
    }

    /// The file that notes that the shared store's copy is broken.
    fn note_of_broken(&self, digest: &Digest) -> PathBuf {
        self.root.join("distrusted").join(digest.hex())
    }

    /// The path to which a broken object of this store is moved.
    fn quarantine_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(digest.hex())
    }

    /// Whether the object is there and unchanged. Only a file whose modification time shows that it
    /// was written to is read.
    pub(super) fn has_object(&self, digest: &Digest) -> bool {
        let own = object_path_in(&self.root, digest);
        match own.metadata() {
            Ok(metadata) if metadata.is_dir() || tree::is_untouched(&metadata) => true,
            Ok(_) => self.use_object(digest).is_ok_and(|path| {
                // It may have been copied here by other means. With its time reset, it need not be
                // read again.
                let _ = tree::mark_untouched(&path);
                true
            }),
            Err(_) => self.common_object(digest).is_some(),
        }
    }

    /// Whether an object of the store has the form and the size that a record states. Its bytes are
    /// not read.
    pub fn is_as_told(&self, output: &Output) -> Result<bool> {
        let path = self.object_path(&output.digest);
        let metadata = path.metadata().at_path("read", &path)?;
        Ok(match output.form {
            Form::File => metadata.is_file() && metadata.len() == output.bytes,
            Form::Tree => metadata.is_dir() && tree::size_of(&path)? == output.bytes,
        })
    }

    /// Moves everything in a workspace into the store. Each file or folder at its top is one
    /// output, by its name.
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
        // An existing copy is read before this one is dropped in its favour, because a bad disk may
        // have damaged it.
        if self.use_object(&digest).is_err() {
            self.take_in(path, &digest)?;
        }
        Ok(Output { digest, form, bytes })
    }

    /// Moves a file or folder of this digest to its path among the objects.
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

    /// The path of an object that is about to be read. Its bytes are compared with its digest once
    /// in a process. A broken object is taken out of use, so that the next run makes it again.
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
        if let Some(shared) = self.shared.as_ref().filter(|_| self.note_of_broken(digest).exists())
        {
            return changed_elsewhere(digest, &object_path_in(shared, digest));
        }
        Error::failure(format!("the object {} is not in the store any more", digest.short()))
            .at_path(path)
            .hint("run the experiment again, which makes it again")
    }

    /// The bytes of an object that is a small file, checked like [`Store::use_object`].
    pub fn read_object(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.object_path(digest);
        match regular_file::try_read(&path, LONGEST_SMALL_OBJECT).at_path("read", &path) {
            Ok(bytes) => self.check(digest, &tree::digest_of_bytes(&bytes), path).map(|_| bytes),
            // This error says more about an object that is missing or broken.
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
        write_with(
            &self.note_of_broken(digest),
            path.to_string_lossy().as_bytes(),
            Durability::Synced,
        )?;
        Err(changed_elsewhere(digest, &path))
    }

    /// Takes an object out of use, so that it is made again, and keeps it so that its damage can be
    /// examined.
    pub(super) fn quarantine(&self, digest: &Digest) -> Result<PathBuf> {
        let target = self.quarantine_path(digest);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
        }
        remove_whole(&target, &self.tmp())?;
        let path = object_path_in(&self.root, digest);
        match fs::rename(&path, &target) {
            // Another process has already moved it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(target),
            Err(error) => Err(error).at_path("put aside", &path),
            Ok(()) => Ok(target),
        }
    }

    fn verified_set(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.verified.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Every object of this store, without the shared store.
    pub fn objects(&self) -> Result<Vec<(Digest, PathBuf)>> {
        let mut objects = Vec::new();
        for entry in walked(
            WalkDir::new(self.root.join("objects")).min_depth(2).max_depth(2).sort_by_file_name(),
        ) {
            let entry = entry?;
            if let Ok(digest) = format!("sha256:{}", entry.file_name().to_string_lossy()).parse() {
                objects.push((digest, entry.into_path()));
            }
        }
        Ok(objects)
    }
}

fn changed(digest: &Digest, place: &Path) -> Error {
    not_what_its_name_says(digest, place).hint(
        "it was moved to quarantine/; run the same command again to make it again (`surgcam store \
         verify` looks for more)",
    )
}

fn changed_elsewhere(digest: &Digest, place: &Path) -> Error {
    not_what_its_name_says(digest, place).hint(
        "the shared store's copy is not used any more; run the same command again to make it in \
         your own store",
    )
}

fn not_what_its_name_says(digest: &Digest, place: &Path) -> Error {
    Error::failure(format!(
        "the object {} has changed since it was written: its bytes do not match its digest",
        digest.short()
    ))
    .at_path(place)
}

fn object_path_in(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    let mut path = root.join("objects");
    path.push(&hex[..2]);
    path.push(hex);
    path
}
