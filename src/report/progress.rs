//! Shows how far a run is while stages run: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printer;
use surgcam_engine::escape;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::events::{Event, Reporter};

/// Bars if stderr is a terminal, otherwise lines. At most `to_run` stages will run.
pub fn for_stderr(to_run: usize) -> Box<dyn Reporter> {
    if printer::is_watched() { Box::new(Bars::new(to_run)) } else { Box::new(Lines::default()) }
}

/// The outcome of an event in words. `None` for an event that only moves a bar. The text is one
/// line, and the hint of an error is a second one.
fn in_words(plan: &Plan, event: &Event) -> Option<String> {
    let name = |id: &StageId| escape::line(&plan.stage(*id).name);
    let words = match event {
        Event::Started { .. } | Event::Cached { .. } | Event::Progress { .. } => return None,
        Event::Waiting { id, holder } => {
            format!("{}: waits for {}", name(id), escape::line(holder))
        }
        Event::Note { id, text } => format!("{}: {}", name(id), escape::line(text)),
        Event::Finished { id, seconds, executed: true, .. } => {
            format!("done    {} ({seconds:.1} s)", name(id))
        }
        Event::Finished { id, .. } => format!("found   {} (made by another process)", name(id)),
        Event::Retrying { id, attempt, error } => {
            let error = printer::described(error);
            format!("again   {} (attempt {attempt}) after: {error}", name(id))
        }
        Event::Failed { id, error } => {
            format!("FAILED  {}: {}", name(id), printer::described(error))
        }
        Event::Blocked { id, by } => format!("skipped {} (needs {})", name(id), name(by)),
        Event::Stopping => "stopping: finished stages are kept, \
                            the same command goes on from here (Ctrl-C again: at once)"
            .into(),
    };
    Some(words)
}

struct Bars {
    bars: MultiProgress,
    overall: ProgressBar,
    running: HashMap<StageId, ProgressBar>,
}

impl Bars {
    fn new(to_run: usize) -> Self {
        let bars = MultiProgress::new();
        let overall = bars.add(ProgressBar::new(to_run as u64));
        overall.set_style(style("stages {bar:24} {pos}/{len} {elapsed_precise}"));
        overall.enable_steady_tick(Duration::from_millis(500));
        Bars { bars, overall, running: HashMap::new() }
    }

    fn start(&mut self, plan: &Plan, id: StageId) {
        let bar = self.bars.insert_before(&self.overall, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(escape::line(&plan.stage(id).name).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running.insert(id, bar);
    }

    fn advance(&mut self, id: StageId, done: u64, total: u64, unit: &str) {
        let Some(bar) = self.running.get(&id) else { return };
        if bar.length() != Some(total) {
            bar.set_length(total);
            bar.set_style(style(&format!(
                "{{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}}"
            )));
        }
        bar.set_position(done);
    }

    fn forget(&mut self, id: StageId) {
        if let Some(bar) = self.running.remove(&id) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    fn end(&mut self, id: StageId) {
        self.forget(id);
        self.overall.inc(1);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Reporter for Bars {
    fn event(&mut self, plan: &Plan, event: &Event) {
        match event {
            Event::Started { id, .. } => self.start(plan, *id),
            Event::Progress { id, done, total, unit } => self.advance(*id, *done, *total, unit),
            Event::Finished { id, .. } | Event::Failed { id, .. } => self.end(*id),
            Event::Cached { .. } | Event::Blocked { .. } => self.overall.inc(1),
            Event::Retrying { id, .. } => self.forget(*id),
            Event::Waiting { .. } | Event::Note { .. } | Event::Stopping => {}
        }
        if let Some(text) = in_words(plan, event) {
            let _ = self.bars.println(text);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}

/// For logs and pipes: prints a line when a stage ends, and sometimes one while it runs.
#[derive(Default)]
struct Lines {
    last: HashMap<StageId, Instant>,
}

const LINE_INTERVAL: Duration = Duration::from_secs(20);

impl Reporter for Lines {
    fn event(&mut self, plan: &Plan, event: &Event) {
        match event {
            Event::Started { id, .. } => {
                self.last.insert(*id, Instant::now());
                printer::message(&format!("start   {}", plan.stage(*id).name));
            }
            Event::Progress { id, done, total, unit } => {
                let now = Instant::now();
                if self.last.get(id).is_some_and(|last| now - *last > LINE_INTERVAL) {
                    self.last.insert(*id, now);
                    printer::message(&format!(
                        "        {}: {done} of {total} {unit}",
                        plan.stage(*id).name
                    ));
                }
            }
            _ => {}
        }
        if let Some(text) = in_words(plan, event) {
            printer::messages(&text);
        }
    }
}

/// For commands that only print an answer. It says nothing except that a stage waits, because that
/// may take long.
pub struct OnlyWaiting;

impl Reporter for OnlyWaiting {
    fn event(&mut self, plan: &Plan, event: &Event) {
        if let (Event::Waiting { .. }, Some(text)) = (event, in_words(plan, event)) {
            printer::messages(&text);
        }
    }
}
