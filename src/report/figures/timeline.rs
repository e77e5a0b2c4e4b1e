//! Which stages a run made when, from its journal.

use std::collections::HashMap;

use chrono::DateTime;

use super::bars::{Bar, Bars, draw};
use super::{Figure, FigureKind};
use surgcam_engine::error::Result;
use surgcam_engine::runner::journal::Entry;
use surgcam_engine::store::runs::Run;

/// More bars than this are narrower than a pixel.
const MOST_BARS: usize = 2000;
const FAILED: &str = "failed";

/// `None` where the run made nothing.
pub fn timeline(run: &Run, journal: &[Entry]) -> Result<Option<Figure>> {
    let (bars, left_out) = bars(run, journal);
    if bars.bars.is_empty() {
        return Ok(None);
    }
    let left_out = if left_out > 0 {
        format!(" The {left_out} shortest stages are left out.")
    } else {
        String::new()
    };
    let caption = format!(
        "Run {}. Stages that were made at the same time lie one below the other.{left_out}",
        run.id
    );
    Ok(Some(Figure { kind: FigureKind::Timeline, caption, drawing: draw(&bars)? }))
}

/// The bars, and how many have no room.
fn bars(run: &Run, journal: &[Entry]) -> (Bars, usize) {
    let kind_of: HashMap<&str, &str> =
        run.executed.iter().map(|stage| (stage.stage.as_str(), stage.kind.as_str())).collect();
    let mut spans = spans(journal);
    spans.sort_by(|a, b| (b.to - b.from).total_cmp(&(a.to - a.from)));
    let left_out = spans.len().saturating_sub(MOST_BARS);
    spans.truncate(MOST_BARS);
    spans.sort_by(|a, b| a.from.total_cmp(&b.from));
    let (mut kinds, mut lanes): (Vec<String>, Vec<f64>) = (Vec::new(), Vec::new());
    let bars = spans.into_iter().map(|span| {
        let kind = if span.has_failed {
            FAILED
        } else {
            kind_of.get(span.stage).copied().unwrap_or("other")
        };
        let lane = lanes.iter().position(|end| *end <= span.from).unwrap_or(lanes.len());
        if lane == lanes.len() {
            lanes.push(span.to);
        } else {
            lanes[lane] = span.to;
        }
        let kind = kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
            kinds.push(kind.to_string());
            kinds.len() - 1
        });
        Bar { from: span.from, to: span.to, lane, kind, label: span.stage.to_string() }
    });
    let bars = bars.collect();
    (Bars { title: "Stages over time".into(), kinds, bars }, left_out)
}

/// When a stage was made, in seconds since the journal's first line.
struct Span<'a> {
    stage: &'a str,
    from: f64,
    to: f64,
    has_failed: bool,
}

fn spans(journal: &[Entry]) -> Vec<Span<'_>> {
    let time =
        |entry: &Entry| Some(DateTime::parse_from_rfc3339(&entry.time).ok()?.timestamp_millis());
    let Some(begin) = journal.iter().find_map(time) else { return Vec::new() };
    let mut started: HashMap<&str, f64> = HashMap::new();
    let mut spans = Vec::new();
    for entry in journal {
        let Some(now) = time(entry).map(|now| now.saturating_sub(begin) as f64 / 1000.0) else {
            continue;
        };
        match entry.event.as_str() {
            "started" => {
                started.insert(&entry.stage, now);
            }
            "finished" | "found" | "retrying" | "failed" => {
                let Some(from) = started.remove(entry.stage.as_str()) else { continue };
                let has_failed = matches!(entry.event.as_str(), "retrying" | "failed");
                spans.push(Span { stage: &entry.stage, from, to: now.max(from), has_failed });
            }
            _ => {}
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: u32, stage: &str, event: &str) -> Entry {
        let time = format!("2026-01-31T10:00:{second:02}.000Z");
        Entry {
            time,
            stage: stage.into(),
            event: event.into(),
            key: None,
            text: None,
            seconds: None,
        }
    }

    #[test]
    fn stages_at_the_same_time_lie_in_lanes_of_their_own_and_a_failure_is_a_kind() {
        let journal = [
            entry(0, "pack", "started"),
            entry(1, "train a", "started"),
            entry(3, "pack", "finished"),
            entry(4, "train b", "started"),
            entry(5, "train a", "failed"),
            entry(6, "train b", "finished"),
        ];
        let found: Vec<(&str, f64, f64, bool)> = spans(&journal)
            .iter()
            .map(|span| (span.stage, span.from, span.to, span.has_failed))
            .collect();
        assert_eq!(
            found,
            [("pack", 0.0, 3.0, false), ("train a", 1.0, 5.0, true), ("train b", 4.0, 6.0, false)]
        );
        let run: Run = serde_json::from_value(serde_json::json!({
            "format": 1, "id": "one", "experiment": "a", "command": [], "started": "",
            "seconds": 0.0, "state": "done",
            "plan": surgcam_engine::store::digest::Digest::of_bytes(b""),
            "executed": [], "cached": 0, "failed": [], "surgcam": "", "host": "",
        }))
        .unwrap();
        let (bars, left_out) = bars(&run, &journal);
        assert_eq!(bars.bars.iter().map(|bar| bar.lane).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!((bars.kinds, left_out), (vec!["other".to_string(), "failed".to_string()], 0));
        assert!(timeline(&run, &[]).unwrap().is_none());
    }
}
