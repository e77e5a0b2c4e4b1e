//! What is seen while stages run: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;
mod time_left;

use super::printer;
use surgcam_engine::escape;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::events::{Event, Reporter};

pub use time_left::{Slots, TimeLeft};

/// The reporter that fits where stderr goes.
pub fn for_stderr(time_left: TimeLeft) -> Box<dyn Reporter> {
    if printer::is_watched() {
        Box::new(bars::Bars::new(time_left))
    } else {
        Box::new(lines::Lines::new(time_left))
    }
}

/// The outcome of an event in words; `None` for what only moves a bar. Only an error's hint has a
/// line of its own.
fn in_words(plan: &Plan, event: &Event) -> Option<String> {
    let name = |id: &StageId| escape::line(&plan.stage(*id).name);
    match event {
        Event::Started { .. } | Event::Cached { .. } | Event::Progress { .. } => None,
        Event::Waiting { id, holder } => {
            Some(format!("{}: waits for {}", name(id), escape::line(holder)))
        }
        Event::Note { id, text } => Some(format!("{}: {}", name(id), escape::line(text))),
        Event::Finished { id, seconds, executed: true, .. } => {
            Some(format!("done    {} ({seconds:.1} s)", name(id)))
        }
        Event::Finished { id, .. } => {
            Some(format!("found   {} (made by another process)", name(id)))
        }
        Event::Retrying { id, attempt, error } => Some(format!(
            "again   {} (attempt {attempt}) after: {}",
            name(id),
            printer::described(error)
        )),
        Event::Failed { id, error } => {
            Some(format!("FAILED  {}: {}", name(id), printer::described(error)))
        }
        Event::Blocked { id, by } => Some(format!("skipped {} (needs {})", name(id), name(by))),
        Event::Stopping => Some(
            "stopping: finished stages are kept, the same command goes on from here (Ctrl-C \
             again: at once)"
                .into(),
        ),
    }
}

/// For commands whose answer is all that is asked for: says only that a stage waits, for that may
/// take long.
pub struct OnlyWaiting;

impl Reporter for OnlyWaiting {
    fn event(&mut self, plan: &Plan, event: &Event) {
        if let (Event::Waiting { .. }, Some(text)) = (event, in_words(plan, event)) {
            printer::messages(&text);
        }
    }
}
