//! An experiment's tables as files in its results folder, written again only when what they come
//! from has changed.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::result_table::ResultTable;
use super::results::Results;
use super::{table_formats, tables};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::{Store, read_json, write_json};
use surgcam_pipeline::planned::Built;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;

/// What tables are made from and where they go.
pub struct TableSource<'a> {
    pub experiment: &'a Experiment,
    pub built: &'a Built,
    pub store: &'a Store,
    pub machine: Option<MeasuredMachine>,
    /// The experiment's results folder.
    pub folder: &'a Path,
}

/// What the tables in a folder were written from: as long as that is the same, so are they.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct WrittenFrom {
    plan: Digest,
    surgcam: String,
    machine: Option<MeasuredMachine>,
}

/// A note beside the tables, so that a run that does nothing need not make them again.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    from: WrittenFrom,
    /// What a person is shown of them.
    heads: Vec<ResultTable>,
}

/// The right to write into an experiment's results folder, which one process at a time has. Whoever
/// writes tables computes them under it, so that none are written over later ones.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    fn open(folder: &Path) -> Result<(File, PathBuf)> {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        let path = folder.join(".lock");
        Ok((File::create(&path).at_path("create the lock", &path)?, path))
    }

    /// Whether the folder can be written to at all: asked before hours of work.
    pub fn check(folder: &Path) -> Result<()> {
        let hint = |error: Error| {
            error.hint(
                "results go to the folder that is `results` in surgcam.toml or SURGCAM_RESULTS",
            )
        };
        Self::open(folder).map(|_| ()).map_err(hint)
    }

    pub fn wait(folder: &Path) -> Result<Self> {
        let (file, path) = Self::open(folder)?;
        file.lock().at_path("wait for the lock", &path)?;
        Ok(FolderLock { _file: file })
    }

    /// `None`: another process writes there just now.
    pub fn at_once(folder: &Path) -> Result<Option<Self>> {
        let (file, path) = Self::open(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at_path("lock", &path),
        }
    }
}

/// Longer tables are shown in part: the files have all rows.
const SHOWN_ROWS: usize = 60;

impl TableSource<'_> {
    /// Makes all tables of what is known.
    pub fn tables(&self, known: &Known) -> Result<Vec<ResultTable>> {
        tables::all(
            self.experiment,
            self.built,
            &Results::new(self.store, known),
            self.machine.as_ref(),
        )
    }

    fn tables_folder(&self) -> PathBuf {
        self.folder.join("tables")
    }

    fn note(&self) -> PathBuf {
        self.tables_folder().join(".written-from.json")
    }

    /// Writes the tables of a plan with its results, unless they are there; gives what a person is
    /// shown of them.
    pub fn write_final(&self, known: &Known, plan: Digest) -> Result<Vec<ResultTable>> {
        let from = WrittenFrom {
            plan,
            surgcam: env!("CARGO_PKG_VERSION").into(),
            machine: self.machine.clone(),
        };
        if let Ok(note) = read_json::<Note>(&self.note())
            && note.from == from
            && note.heads.iter().all(|table| table_formats::has_files(table, &self.tables_folder()))
        {
            return Ok(note.heads);
        }
        let tables = self.tables(known)?;
        self.write_unfinished(&tables)?;
        let note =
            Note { from, heads: tables.into_iter().map(|table| table.head(SHOWN_ROWS)).collect() };
        write_json(&self.note(), &note)?;
        Ok(note.heads)
    }

    /// Writes tables that will change again.
    pub fn write_unfinished(&self, tables: &[ResultTable]) -> Result<()> {
        match std::fs::remove_file(self.note()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).at_path("remove", &self.note());
            }
            _ => {}
        }
        tables.iter().try_for_each(|table| table_formats::write_files(table, &self.tables_folder()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_writes_to_a_folder_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("results");
        let lock = FolderLock::wait(&folder).unwrap();
        assert!(FolderLock::at_once(&folder).unwrap().is_none());
        drop(lock);
        assert!(FolderLock::at_once(&folder).unwrap().is_some());
    }
}
