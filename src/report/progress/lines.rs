//! For logs and pipes: a line at each end of a stage, and now and then one in between.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{TimeLeft, in_words};
use crate::report::printer;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::events::{Event, Reporter};

const INTERVAL: Duration = Duration::from_secs(20);

pub struct Lines {
    /// When each running stage was last told of.
    last: HashMap<StageId, Instant>,
    time_left: TimeLeft,
    last_time_left: Instant,
}

impl Lines {
    pub fn new(time_left: TimeLeft) -> Self {
        Lines { last: HashMap::new(), time_left, last_time_left: Instant::now() }
    }

    fn tell_time_left(&mut self, plan: &Plan) {
        if self.last_time_left.elapsed() > INTERVAL {
            self.last_time_left = Instant::now();
            printer::message(&format!("        {}", self.time_left.in_words(plan)));
        }
    }
}

impl Reporter for Lines {
    fn event(&mut self, plan: &Plan, event: &Event) {
        self.time_left.event(plan, event);
        match event {
            Event::Started { id, .. } => {
                self.last.insert(*id, Instant::now());
                printer::message(&format!("start   {}", plan.stage(*id).name));
            }
            Event::Progress { id, done, total, unit, newest_epoch } => {
                let now = Instant::now();
                if self.last.get(id).is_some_and(|last| now - *last > INTERVAL) {
                    self.last.insert(*id, now);
                    let epoch = newest_epoch.iter().map(|text| format!("; {text}"));
                    printer::message(&format!(
                        "        {}: {done} of {total} {unit}{}",
                        plan.stage(*id).name,
                        epoch.collect::<String>()
                    ));
                }
            }
            _ => {}
        }
        if let Some(text) = in_words(plan, event) {
            printer::messages(&text);
        }
        if matches!(event, Event::Finished { .. }) {
            self.tell_time_left(plan);
        }
    }
}
