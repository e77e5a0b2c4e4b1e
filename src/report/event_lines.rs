//! The events of a run as JSON lines on stdout, for programs, in the form of the run's journal.

use std::cell::OnceCell;

use super::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::Plan;
use surgcam_engine::runner::events::{Event, Reporter};
use surgcam_engine::runner::journal::{self, Entry};

/// It is a reporter by reference, so that its outcome can be asked for when the run is over.
#[derive(Default)]
pub struct EventLines {
    /// The first problem, if a line could not be printed. No line is printed after it.
    problem: OnceCell<Error>,
}

impl EventLines {
    /// Whether all lines were printed.
    pub fn outcome(self) -> Result<()> {
        self.problem.into_inner().map_or(Ok(()), Err)
    }
}

impl Reporter for &EventLines {
    fn event(&mut self, plan: &Plan, event: &Event) {
        if self.problem.get().is_none()
            && let Some(entry) = journal::entry(plan, event)
            && let Err(problem) = print(&entry)
        {
            // It is empty, as was found above.
            let _ = self.problem.set(problem);
        }
    }
}

fn print(entry: &Entry) -> Result<()> {
    let text = serde_json::to_string(entry)
        .map_err(|error| Error::failure(format!("cannot print an event: {error}")))?;
    printer::line(&text)
}
