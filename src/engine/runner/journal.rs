//! The journal of a run: what happens to each stage and when, one line for each event.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::events::{Event, Reporter};
use crate::error::{AtPath, Result};
use crate::plan::{Plan, StageId};
use crate::store::key::StageKey;
use crate::store::runs::EVENTS_FILE;

/// The event of a stage that turned out to be in the store. Nothing happened to it, but the run
/// needs it.
pub const CACHED: &str = "cached";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339, UTC.
    pub time: String,
    pub stage: String,
    /// started, note, waiting, finished, found, cached, retrying, failed, blocked.
    pub event: String,
    /// Present for stages that started or are made. They tell which files belong to a killed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StageKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

pub struct Journal {
    path: PathBuf,
    /// Absent before the first event.
    file: Option<File>,
}

impl Journal {
    pub fn new(folder: &Path) -> Self {
        Journal { path: folder.join(EVENTS_FILE), file: None }
    }

    fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::options().create(true).append(true).open(&self.path)?);
        }
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        match &mut self.file {
            Some(file) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

impl Reporter for Journal {
    fn event(&mut self, plan: &Plan, event: &Event) {
        let Some(entry) = entry(plan, event) else { return };
        if let Err(error) = self.write(&entry) {
            tracing::warn!("cannot write {}: {error}", self.path.display());
        }
    }
}

/// The journal's entry for an event. Events that only move a progress bar have none.
pub fn entry(plan: &Plan, event: &Event) -> Option<Entry> {
    let name = |id: &StageId| plan.stage(*id).name.clone();
    let (stage, name_of_event, text, seconds) = match event {
        Event::Started { id, .. } => (name(id), "started", None, None),
        Event::Waiting { id, holder } => (name(id), "waiting", Some(format!("for {holder}")), None),
        Event::Note { id, text } => (name(id), "note", Some(text.clone()), None),
        Event::Finished { id, seconds, executed: true, .. } => {
            (name(id), "finished", None, Some(*seconds))
        }
        Event::Finished { id, .. } => (name(id), "found", None, None),
        Event::Cached { id, .. } => (name(id), CACHED, None, None),
        Event::Retrying { id, attempt, error } => {
            (name(id), "retrying", Some(format!("attempt {attempt}, after: {error}")), None)
        }
        Event::Failed { id, error } => (name(id), "failed", Some(error.to_string()), None),
        Event::Blocked { id, by } => {
            (name(id), "blocked", Some(format!("needs {}", name(by))), None)
        }
        Event::Progress { .. } | Event::Stopping => return None,
    };
    let time = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Some(Entry { time, stage, event: name_of_event.into(), key: key(event), text, seconds })
}

fn key(event: &Event) -> Option<StageKey> {
    match event {
        Event::Started { key, .. } | Event::Cached { key, .. } | Event::Finished { key, .. } => {
            Some(*key)
        }
        _ => None,
    }
}

/// Reads a run's journal. An incomplete line, left by a killed run, is skipped.
pub fn read(folder: &Path) -> Result<Vec<Entry>> {
    let path = folder.join(EVENTS_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = File::open(&path).at_path("open", &path)?;
    Ok(BufReader::new(file)
        .lines()
        .map_while(|line| line.ok())
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect())
}
