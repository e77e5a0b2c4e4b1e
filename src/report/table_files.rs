//! An experiment's tables as files in its results folder, written again only when what they come from has changed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::ResultTable;
use super::results::Results;
use super::{render, tables};
use crate::error::{AtPath, Result};
use crate::pipeline::build::Built;
use crate::pipeline::stages::MeasuredMachine;
use crate::plan::status::Known;
use crate::recipe::experiment::Experiment;
use crate::store::digest::Digest;
use crate::store::{Store, read_json, write_json};

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

/// Longer tables are shown in part: the files have all rows.
const SHOWN_ROWS: usize = 60;

impl TableSource<'_> {
    /// Makes all tables of what is known.
    pub fn tables(&self, known: &Known) -> Result<Vec<ResultTable>> {
        tables::all(self.experiment, self.built, &Results::new(self.store, known), self.machine.as_ref())
    }

    fn tables_folder(&self) -> PathBuf {
        self.folder.join("tables")
    }

    fn note(&self) -> PathBuf {
        self.tables_folder().join(".written-from.json")
    }

    /// Writes the tables of a plan with its results, unless they are there; gives what a person is shown of them.
    pub fn write_final(&self, known: &Known, plan: Digest) -> Result<Vec<ResultTable>> {
        let from = WrittenFrom { plan, surgcam: env!("CARGO_PKG_VERSION").into(), machine: self.machine.clone() };
        if let Ok(note) = read_json::<Note>(&self.note())
            && note.from == from
            && note.heads.iter().all(|table| render::has_files(table, &self.tables_folder()))
        {
            return Ok(note.heads);
        }
        let tables = self.tables(known)?;
        self.write_unfinished(&tables)?;
        let note = Note { from, heads: tables.into_iter().map(|table| table.head(SHOWN_ROWS)).collect() };
        write_json(&self.note(), &note)?;
        Ok(note.heads)
    }

    /// Writes tables that will change again.
    pub fn write_unfinished(&self, tables: &[ResultTable]) -> Result<()> {
        match std::fs::remove_file(self.note()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).at_path("remove", &self.note()),
            _ => {}
        }
        tables.iter().try_for_each(|table| render::write_files(table, &self.tables_folder()))
    }
}
