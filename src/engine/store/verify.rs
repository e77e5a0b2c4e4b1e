//! Checks whether every object matches its digest, and every record its key.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::digest::Digest;
use super::file::remove_whole;
use super::format::Misread;
use super::{Store, tree};
use crate::error::Result;

#[derive(Debug, Default)]
pub struct Verified {
    pub objects: usize,
    pub bytes: u64,
    pub records: usize,
    /// Objects that were moved to quarantine/, with their paths there.
    pub corrupt: Vec<(Digest, PathBuf)>,
    /// Records that were removed: they could not be read, or their key does not match their parts
    /// or their file name.
    pub bad_records: Vec<PathBuf>,
    /// Records that were left as they are: a newer program made them, and this one cannot check
    /// them.
    pub newer_records: Vec<PathBuf>,
    /// Stages whose record is good but whose outputs are not all there: the next run makes them
    /// again.
    pub incomplete: Vec<String>,
}

impl Verified {
    pub fn is_clean(&self) -> bool {
        self.corrupt.is_empty() && self.bad_records.is_empty() && self.newer_records.is_empty()
    }
}

/// Reads everything, on all cores. `progress` is told the bytes read so far.
pub fn verify(store: &Store, progress: impl Fn(u64) + Sync) -> Result<Verified> {
    let objects = store.objects()?;
    let read = AtomicU64::new(0);
    let found: Vec<(Digest, u64, bool)> = objects
        .par_iter()
        .map(|(digest, path)| {
            // A file that cannot be read is as useless as one that was changed.
            let (same, bytes) = tree::digest_of(path)
                .map_or((false, 0), |(found, bytes, _)| (found == *digest, bytes));
            progress(read.fetch_add(bytes, Ordering::Relaxed) + bytes);
            (*digest, bytes, same)
        })
        .collect();
    let mut verified = Verified {
        objects: objects.len(),
        bytes: found.iter().map(|(_, bytes, _)| bytes).sum(),
        ..Verified::default()
    };
    for (digest, _, _) in found.iter().filter(|(_, _, same)| !same) {
        verified.corrupt.push((*digest, store.quarantine(digest)?));
    }
    for stored in store.records()? {
        verified.records += 1;
        match stored.record {
            Ok(record) => {
                if record.outputs.values().any(|output| !store.object_path(&output.digest).exists())
                {
                    verified.incomplete.push(record.name);
                }
            }
            Err(Misread::Newer(_)) => verified.newer_records.push(stored.path),
            Err(Misread::Broken(_)) => {
                remove_whole(&stored.path, &store.tmp())?;
                verified.bad_records.push(stored.path);
            }
        }
    }
    Ok(verified)
}
