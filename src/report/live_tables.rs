//! Writes the tables now and then while an experiment runs, with the results so far.

use std::time::{Duration, Instant};

use super::table_files::{FolderLock, TableSource};
use surgcam_engine::error::Result;
use surgcam_engine::plan::Plan;
use surgcam_engine::plan::status::Known;
use surgcam_engine::runner::events::{Event, Reporter};

pub struct LiveTables<'a> {
    source: TableSource<'a>,
    last: Instant,
    cost: Duration,
    /// Whether a stage was finished since the tables were written.
    has_news: bool,
}

const INTERVAL: Duration = Duration::from_secs(5);
/// Writing tables may take at most one part in this many of the time.
const SHARE: u32 = 20;

impl<'a> LiveTables<'a> {
    pub fn new(source: TableSource<'a>) -> Self {
        LiveTables { source, last: Instant::now(), cost: Duration::ZERO, has_news: false }
    }

    /// Writes the tables, unless another process is writing to the folder. Returns whether they
    /// were written.
    fn write(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let Some(_lock) = FolderLock::at_once(self.source.folder)? else { return Ok(false) };
        let known = Known::of(&self.source.built.plan, self.source.store)?;
        self.source.write_unfinished(&self.source.tables(&known)?)?;
        self.cost = begun.elapsed();
        Ok(true)
    }
}

impl Reporter for LiveTables<'_> {
    fn event(&mut self, _plan: &Plan, event: &Event) {
        self.has_news |= matches!(event, Event::Finished { .. } | Event::Cached { .. });
        if !self.has_news || self.last.elapsed() < INTERVAL.max(self.cost * SHARE) {
            return;
        }
        self.has_news = match self.write() {
            Ok(is_written) => !is_written,
            Err(error) => {
                // The tables at the end will say it aloud.
                tracing::warn!("cannot write the tables so far: {error}");
                false
            }
        };
        self.last = Instant::now();
    }
}
