//! The files of an experiment's tables in its results folder. They are written again only if what
//! they are made from has changed.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::comparison::yardsticks;
use super::details::{self, DIFFERENCES, Details};
use super::result_table::ResultTable;
use super::results::Results;
use super::table_formats;
use super::tables::{self, Made};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::file::remove_if_there;
use surgcam_engine::store::{Store, read_json, write_json};
use surgcam_pipeline::planned::Built;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;
use surgcam_values::Table;

/// What tables are made from and where they go.
pub struct TableSource<'a> {
    pub experiment: &'a Experiment,
    pub built: &'a Built,
    pub store: &'a Store,
    pub machine: Option<MeasuredMachine>,
    /// The experiment's results folder.
    pub folder: &'a Path,
}

/// What the tables in a folder were written from. While it stays the same, the tables do, too.
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
    /// The names of the tables beside them.
    details: Vec<String>,
}

/// The right to write into an experiment's results folder, which one process at a time has. Tables
/// are computed while it is held, so that older tables are never written over newer ones.
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

    /// Fails if the folder cannot be written to. This is checked before hours of work.
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

    /// `None` if another process is writing there.
    pub fn at_once(folder: &Path) -> Result<Option<Self>> {
        let (file, path) = Self::open(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at_path("lock", &path),
        }
    }
}

/// The main tables, and those beside them.
pub type AllTables = (Vec<ResultTable>, Details);

/// The most rows of a table that are printed. The files have all rows.
const SHOWN_ROWS: usize = 60;

impl TableSource<'_> {
    /// Makes all tables of what is known.
    pub fn tables(&self, known: &Known) -> Result<Vec<ResultTable>> {
        let made = self.made(&Results::new(self.store, known))?;
        Ok(made.into_iter().map(|made| made.table).collect())
    }

    /// As [`TableSource::tables`], with the tables beside them.
    pub fn with_details(&self, known: &Known) -> Result<AllTables> {
        let results = Results::new(self.store, known);
        let made = self.made(&results)?;
        let details = details::of(&made, &results, &yardsticks(self.built))?;
        Ok((made.into_iter().map(|made| made.table).collect(), details))
    }

    fn made(&self, results: &Results) -> Result<Vec<Made<'_>>> {
        tables::all(self.experiment, self.built, results, self.machine.as_ref())
    }

    fn tables_folder(&self) -> PathBuf {
        self.folder.join("tables")
    }

    fn note(&self) -> PathBuf {
        self.tables_folder().join(".written-from.json")
    }

    /// Writes the tables of a plan with its results, unless they are already there. Returns the
    /// part of them that is printed, and all of them if they were made now.
    pub fn write_final(
        &self,
        known: &Known,
        plan: Digest,
    ) -> Result<(Vec<ResultTable>, Option<AllTables>)> {
        let from = WrittenFrom {
            plan,
            surgcam: env!("CARGO_PKG_VERSION").into(),
            machine: self.machine.clone(),
        };
        let has_files = |name: &String| table_formats::has_files(name, &self.tables_folder());
        if let Ok(note) = read_json::<Note>(&self.note())
            && note.from == from
            && note.heads.iter().map(|table| &table.name).chain(&note.details).all(has_files)
        {
            return Ok((note.heads, None));
        }
        let results = Results::new(self.store, known);
        let made = self.made(&results)?;
        let tables: Vec<ResultTable> = made.iter().map(|made| made.table.clone()).collect();
        // The main tables are there even if the others cannot be made.
        self.write_unfinished(&tables)?;
        let details = details::of(&made, &results, &yardsticks(self.built))?;
        self.write_details(&details.tables)?;
        let note = Note {
            from,
            heads: tables.iter().map(|table| table.clone().head(SHOWN_ROWS)).collect(),
            details: details.tables.iter().map(|table| table.name.clone()).collect(),
        };
        write_json(&self.note(), &note)?;
        Ok((note.heads, Some((tables, details))))
    }

    /// Writes the tables beside the main ones, and removes what an earlier run wrote and this one
    /// does not.
    fn write_details(&self, details: &[ResultTable]) -> Result<()> {
        let folder = self.tables_folder();
        let known = Table::ALL.into_iter().flat_map(|table| details::names(table.name()));
        for name in known.chain([DIFFERENCES.to_string()]) {
            match details.iter().find(|table| table.name == name) {
                Some(table) => table_formats::write_files(table, &folder)?,
                None => table_formats::remove_files(&name, &folder)?,
            }
        }
        Ok(())
    }

    /// Writes tables that will change again.
    pub fn write_unfinished(&self, tables: &[ResultTable]) -> Result<()> {
        remove_if_there(&self.note())?;
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
