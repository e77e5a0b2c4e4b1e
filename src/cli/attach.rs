//! `surgcam attach`: shows the progress of a submitted run until it ends.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use clap_complete::ArgValueCompleter;

use super::candidates;
use super::ending;
use super::opened_run::OpenedRun;
use crate::cluster::states;
use crate::cluster::submission::{self, run_of_job};
use crate::report::progress::TimeLeft;
use crate::report::{printer, progress};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::events::{Event, Reporter};
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::journal::{self, Entry};
use surgcam_engine::store::Store;
use surgcam_engine::store::runs::{EVENTS_FILE, Run, RunState};

#[derive(clap::Args)]
pub struct Arguments {
    /// A run's id, a part of it, or `latest`
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    run: String,
}

/// How often the store is looked at.
const TURN: Duration = Duration::from_secs(1);
/// How often Slurm is asked whether any job is left.
const QUESTION_INTERVAL: Duration = Duration::from_secs(15);

pub fn execute(arguments: &Arguments) -> Result<()> {
    let opened = OpenedRun::open(&arguments.run)?;
    let mut planned = opened.plan(opened.speed_device())?;
    let known = std::mem::take(&mut planned.known);
    let folder = opened.context.results_folder(&opened.run.experiment);
    let interrupt = Interrupt::listen()?;
    tell_jobs(&opened);
    let mut watch = Watch::new(&opened, &planned.built.plan, known);
    let plan = &planned.built.plan;
    let open = plan.ids().filter(|id| !watch.known.is_made(*id)).map(|id| (id, None));
    // Nobody knows how many jobs Slurm will run at once.
    let mut progress = progress::for_stderr(TimeLeft::new(plan, open, None));
    let ended = watch.until_the_end(&interrupt, &mut *progress);
    // The progress bars are removed before the end is reported.
    drop(progress);
    match ended? {
        End::Left => {
            printer::message(&format!(
                "the run goes on without this command; see it again with: surgcam attach {}",
                opened.run.id
            ));
            Err(Error::interrupted("interrupted"))
        }
        End::OfRun(run) => tell_end(&run, &folder.display().to_string()),
        End::OfJobs => {
            let id = &opened.run.id;
            printer::message(&format!(
                "the cluster has no job of the run {id} any more; its tables are written here"
            ));
            // An error because stages failed is passed over, since they are told with the run. An
            // error because the run could not be ended is returned.
            let ended = ending::end_run(&opened);
            let run = opened.store.read_run(id)?;
            if run.state == RunState::Submitted {
                ended?;
            }
            tell_end(&run, &folder.display().to_string())
        }
    }
}

/// Why no more progress is shown.
enum End {
    /// The user interrupted this command.
    Left,
    /// The run has ended.
    OfRun(Box<Run>),
    /// The cluster has no job of the run any more, and the run has not ended.
    OfJobs,
}

/// A run that is watched, and what was shown of it so far.
struct Watch<'a> {
    opened: &'a OpenedRun,
    plan: &'a Plan,
    known: Known,
    /// The stages by their names, because events contain names.
    by_name: HashMap<&'a str, StageId>,
    /// For each job the length of its events' file and the number of events that were shown.
    seen: Vec<(u64, usize)>,
    /// Stages that a job has started. A second start means that the first job was lost.
    started: BTreeSet<StageId>,
}

impl<'a> Watch<'a> {
    fn new(opened: &'a OpenedRun, plan: &'a Plan, known: Known) -> Self {
        let by_name = plan.ids().map(|id| (plan.stage(id).name.as_str(), id)).collect();
        let seen = vec![(0, 0); opened.submission.jobs.len()];
        Watch { opened, plan, known, by_name, seen, started: BTreeSet::new() }
    }

    fn until_the_end(&mut self, interrupt: &Interrupt, reporter: &mut dyn Reporter) -> Result<End> {
        let opened = self.opened;
        let (store, id) = (&opened.store, &opened.run.id);
        let mut last_question = Instant::now();
        let mut was_empty = false;
        loop {
            self.show_events(reporter)?;
            self.look_into_store(reporter)?;
            let run = store.read_run(id)?;
            if run.state != RunState::Submitted {
                return Ok(End::OfRun(Box::new(run)));
            }
            if interrupt.is_requested() {
                return Ok(End::Left);
            }
            if last_question.elapsed() > QUESTION_INTERVAL {
                last_question = Instant::now();
                let is_empty = match any_is_open(store, id) {
                    Ok(is_open) => !is_open,
                    Err(error) => {
                        tracing::warn!("Slurm does not answer: {error}");
                        false
                    }
                };
                // The last job may have ended the run between the two looks.
                if is_empty && was_empty {
                    return Ok(End::OfJobs);
                }
                was_empty = is_empty;
            }
            std::thread::sleep(TURN);
        }
    }

    /// Shows the events that jobs have noted since the last look.
    fn show_events(&mut self, reporter: &mut dyn Reporter) -> Result<()> {
        for number in 0..self.seen.len() {
            let id = run_of_job(&self.opened.run.id, number);
            let of_job = self.opened.store.run_folder(&id);
            let length = fs::metadata(of_job.join(EVENTS_FILE)).map_or(0, |file| file.len());
            let (seen_length, shown) = self.seen[number];
            if length == seen_length {
                continue;
            }
            let entries = journal::read(&of_job)?;
            for entry in entries.iter().skip(shown) {
                self.show(entry, reporter);
            }
            self.seen[number] = (length, entries.len());
        }
        Ok(())
    }

    /// Shows an event of a job. That a stage is finished is not taken from here, because only a
    /// record in the store says so.
    fn show(&mut self, entry: &Entry, reporter: &mut dyn Reporter) {
        let Some(&id) = self.by_name.get(entry.stage.as_str()) else { return };
        if self.known.is_made(id) {
            return;
        }
        let text = entry.text.clone().unwrap_or_default();
        let event = match (entry.event.as_str(), entry.key) {
            ("started", Some(key)) => {
                if !self.started.insert(id) {
                    let error = Error::failure("its job ended before it");
                    reporter.event(self.plan, &Event::Retrying { id, attempt: 2, error });
                }
                // Each stage may be in a job of its own.
                Event::Started { id, key, slot: id.0 }
            }
            ("waiting", _) => {
                Event::Waiting { id, holder: text.trim_start_matches("for ").to_string() }
            }
            ("retrying", _) => {
                // The same job starts it again, so that start does not mean that a job was lost.
                self.started.remove(&id);
                let (attempt, why) = retried(&text);
                Event::Retrying { id, attempt, error: Error::failure(why) }
            }
            ("note", _) => Event::Note { id, text },
            ("failed", _) => Event::Failed { id, error: Error::failure(text) },
            _ => return,
        };
        reporter.event(self.plan, &event);
    }

    /// Asks the store for the stages that could be made by now, and shows those that are.
    fn look_into_store(&mut self, reporter: &mut dyn Reporter) -> Result<()> {
        for id in self.plan.ids() {
            let is_due = !self.known.is_made(id)
                && self.plan.dependencies(id).all(|needed| self.known.is_made(needed));
            if !is_due || !self.known.ask_again(self.plan, &self.opened.store, id)? {
                continue;
            }
            if let (Some(key), Some(record)) = (self.known.key(id), self.known.record(id)) {
                let seconds = record.seconds;
                let event = Event::Finished { id, key, seconds, executed: true };
                reporter.event(self.plan, &event);
            }
        }
        Ok(())
    }
}

/// Reads the text of an event such as `attempt 2, after: an error`: which attempt follows, and why.
fn retried(text: &str) -> (u32, &str) {
    let parts = text.strip_prefix("attempt ").and_then(|rest| rest.split_once(", after: "));
    let read = parts.and_then(|(attempt, why)| Some((attempt.parse::<u32>().ok()?, why)));
    read.unwrap_or((2, text))
}

/// Tells the state of the run's jobs, or nothing if Slurm does not answer.
fn tell_jobs(opened: &OpenedRun) {
    let id = &opened.run.id;
    if let Ok(statuses) = states::of_run_in(&opened.store, id) {
        printer::message(&format!("run {id}: {}", states::in_short(&statuses)));
    }
}

/// Whether the run has a job that may still make something, or may get such a job because somebody
/// is submitting.
fn any_is_open(store: &Store, run: &str) -> Result<bool> {
    if submission::is_under_way(store) {
        return Ok(true);
    }
    let statuses = states::of_run_in(store, run)?;
    Ok(statuses.values().any(|status| status.standing.is_open()))
}

fn tell_end(run: &Run, results: &str) -> Result<()> {
    for failed in &run.failed {
        let word = if failed.blocked { "skipped" } else { "FAILED " };
        printer::messages(&format!("{word} {}: {}", escape::line(&failed.stage), failed.problem));
    }
    // A run that was cancelled, or whose jobs were refused, has no job that writes tables.
    if !run.executed.is_empty() || !run.failed.is_empty() || run.state == RunState::Done {
        printer::message(&format!(
            "{} stages run, {} from the store, {} failed; tables, report.html and run.json are in \
             {results}",
            run.executed.len(),
            run.cached,
            run.failures()
        ));
    }
    match run.state {
        RunState::Done => Ok(()),
        state => Err(Error::failure(format!("the run {} is {}", run.id, state.name()))
            .hint("submit the experiment again; finished stages are kept")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_back_from_a_journal() {
        assert_eq!(retried("attempt 3, after: it failed"), (3, "it failed"));
        assert_eq!(retried("something else"), (2, "something else"));
    }
}
