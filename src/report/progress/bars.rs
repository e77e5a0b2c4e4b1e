//! Bars on a terminal: one for each slot that works, and one for all stages below them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{TimeLeft, in_words};
use surgcam_engine::escape;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::events::{Event, Reporter};

/// More slots than this are not shown, so that all bars fit on a screen.
const MOST_BARS: usize = 16;
/// The words below the bars are made again at most this often.
const WORDS_INTERVAL: Duration = Duration::from_secs(1);
/// How the notes of a training begin that tell the newest loss and mAP. They stand beside its bar.
/// Heads, whose epochs are quick, tell theirs with their progress.
const OF_AN_EPOCH: &str = "epoch ";

pub struct Bars {
    bars: MultiProgress,
    overall: ProgressBar,
    /// The slots that work.
    slots: HashMap<usize, SlotBar>,
    slot_of: HashMap<StageId, usize>,
    time_left: TimeLeft,
    words_made: Option<Instant>,
}

struct SlotBar {
    bar: ProgressBar,
    /// The stages that are made in one pass.
    stages: Vec<StageId>,
}

impl Bars {
    pub fn new(time_left: TimeLeft) -> Self {
        let bars = MultiProgress::new();
        let overall = bars.add(ProgressBar::new(time_left.to_run() as u64));
        overall.set_style(style("{bar:20} {elapsed_precise} {wide_msg}"));
        overall.enable_steady_tick(Duration::from_millis(500));
        let (slots, slot_of) = (HashMap::new(), HashMap::new());
        Bars { bars, overall, slots, slot_of, time_left, words_made: None }
    }

    fn start(&mut self, plan: &Plan, id: StageId, slot: usize) {
        let is_shown = self.slots.len() < MOST_BARS;
        let of_slot = self.slots.entry(slot).or_insert_with(|| {
            let bar = if is_shown {
                self.bars.insert_before(&self.overall, ProgressBar::new_spinner())
            } else {
                ProgressBar::hidden()
            };
            bar.set_style(style("{spinner} {prefix:36!} {elapsed:>4} {wide_msg}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            SlotBar { bar, stages: Vec::new() }
        });
        of_slot.stages.push(id);
        of_slot.bar.set_prefix(named(plan, &of_slot.stages));
        self.slot_of.insert(id, slot);
    }

    fn advance(
        &mut self,
        id: StageId,
        (done, total): (u64, u64),
        unit: &str,
        newest_epoch: Option<&str>,
    ) {
        let Some(SlotBar { bar, .. }) = self.slot_of.get(&id).and_then(|slot| self.slots.get(slot))
        else {
            return;
        };
        if bar.length() != Some(total) {
            bar.set_length(total);
            // Units are words of ours, and a brace in one would be a placeholder.
            let unit = unit.replace(['{', '}'], "");
            bar.set_style(style(&format!(
                "  {{prefix:36!}} {{bar:12}} {{pos}}/{{len}} {unit}, {{eta}} {{wide_msg}}"
            )));
        }
        bar.set_position(done);
        if let Some(text) = newest_epoch {
            bar.set_message(escape::line(text).into_owned());
        }
    }

    /// A stage that is not made any more. The bar of a slot goes with its last one.
    fn forget(&mut self, plan: &Plan, id: StageId) {
        let Some(slot) = self.slot_of.remove(&id) else { return };
        let Some(of_slot) = self.slots.get_mut(&slot) else { return };
        of_slot.stages.retain(|stage| *stage != id);
        if !of_slot.stages.is_empty() {
            of_slot.bar.set_prefix(named(plan, &of_slot.stages));
        } else if let Some(SlotBar { bar, .. }) = self.slots.remove(&slot) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// Whether a note tells how far a training came, and was put beside its bar.
    fn is_beside_a_bar(&self, event: &Event) -> bool {
        let Event::Note { id, text } = event else { return false };
        let bar = self.slot_of.get(id).and_then(|slot| self.slots.get(slot));
        match bar.filter(|_| text.starts_with(OF_AN_EPOCH)) {
            Some(SlotBar { bar, .. }) => {
                bar.set_message(escape::line(text).into_owned());
                true
            }
            None => false,
        }
    }

    fn tell_time_left(&mut self, plan: &Plan) {
        if self.words_made.is_none_or(|made| made.elapsed() > WORDS_INTERVAL) {
            self.words_made = Some(Instant::now());
            self.overall.set_message(self.time_left.in_words(plan));
        }
    }
}

/// The name of a slot's first stage, and how many more there are.
fn named(plan: &Plan, stages: &[StageId]) -> String {
    let Some(first) = stages.first() else { return String::new() };
    let name = escape::line(&plan.stage(*first).name);
    match stages.len() {
        1 => name.into_owned(),
        all => format!("{} more and {name}", all - 1),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Reporter for Bars {
    fn event(&mut self, plan: &Plan, event: &Event) {
        self.time_left.event(plan, event);
        let is_shown = self.is_beside_a_bar(event);
        match event {
            Event::Started { id, slot, .. } => self.start(plan, *id, *slot),
            Event::Progress { id, done, total, unit, newest_epoch } => {
                self.advance(*id, (*done, *total), unit, newest_epoch.as_deref());
            }
            Event::Finished { id, .. } | Event::Failed { id, .. } => {
                self.forget(plan, *id);
                self.overall.inc(1);
            }
            Event::Cached { .. } | Event::Blocked { .. } => self.overall.inc(1),
            Event::Retrying { id, .. } => self.forget(plan, *id),
            Event::Waiting { .. } | Event::Note { .. } | Event::Stopping => {}
        }
        self.tell_time_left(plan);
        if let Some(text) = in_words(plan, event).filter(|_| !is_shown) {
            let _ = self.bars.println(text);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    use surgcam_engine::store::digest::Digest;
    use surgcam_engine::store::key::StageKey;

    use super::*;
    use crate::report::progress::time_left::tests::plan;

    #[test]
    fn the_newest_epoch_stands_beside_the_bar_of_a_head_as_beside_that_of_a_classifier() {
        let plan = plan(2);
        let mut bars = Bars::new(TimeLeft::new(&plan, std::iter::empty(), None));
        let (head, classifier) = (StageId(0), StageId(1));
        for id in [head, classifier] {
            let key = StageKey(Digest::of_bytes(b"x"));
            bars.event(&plan, &Event::Started { id, key, slot: id.0 });
        }
        let mut progress = |newest_epoch: Option<&str>| {
            let (newest_epoch, unit) = (newest_epoch.map(String::from), "steps".into());
            let event = Event::Progress { id: head, done: 1, total: 9, unit, newest_epoch };
            bars.event(&plan, &event);
            bars.slots[&head.0].bar.message()
        };
        assert_eq!(progress(None), "");
        assert_eq!(
            progress(Some("epoch 1/3: CIDEr 0.5\u{1b}[2J")),
            "epoch 1/3: CIDEr 0.5\\u001b[2J"
        );
        assert!(progress(None).starts_with("epoch 1/3"));
        let text = "epoch 1/3: mAP 0.5".to_string();
        bars.event(&plan, &Event::Note { id: classifier, text: text.clone() });
        assert_eq!(bars.slots[&classifier.0].bar.message(), text);
    }
}
