//! What earlier runs tell about stages of the same names: the reasons in a plan, and how long
//! stages may take.
//!
//! Nothing is read before the first question, and a plan whose stages are all in the store asks
//! none. The head of a run's file is enough: it names the experiment and the plan. The plan's
//! snapshot lists the stages that were there, so a run that executed nothing tells about them too.
//! Files that cannot be read or that a newer program wrote are passed over, because reasons and
//! estimates are not results.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Store;
use super::digest::Digest;
use super::key::StageKey;
use super::name::PlainName;
use super::record::Record;
use super::runs::{FORMAT, RUN_FILE};
use crate::regular_file;

/// How many different plans of the experiment are searched, newest first, and then of other
/// experiments.
const LOOK_BACK: usize = 40;
/// The part before the list of executed stages is shorter than this, except for very long command
/// lines.
const HEAD_BYTES: u64 = 4096;

pub struct EarlierRuns<'a> {
    store: &'a Store,
    experiment: &'a str,
    /// In the order in which they are searched.
    plans: OnceCell<Vec<PastPlan>>,
}

struct PastPlan {
    digest: Digest,
    stages: OnceCell<PastStages>,
}

#[derive(Default)]
struct PastStages {
    /// Kind and key of each stage whose key was known.
    by_name: HashMap<String, (PlainName, StageKey)>,
    /// Keys of the stages that were made when the run ended.
    made: HashSet<StageKey>,
}

impl<'a> EarlierRuns<'a> {
    pub fn of(store: &'a Store, experiment: &'a str) -> Self {
        EarlierRuns { store, experiment, plans: OnceCell::new() }
    }

    /// The record that a stage of this name had when it was last made. Its outputs may be gone by
    /// now.
    pub fn last_made(&self, name: &str) -> Option<Record> {
        self.stages().find_map(|stages| {
            let (kind, key) = stages.by_name.get(name)?;
            self.store.record_even_without_objects(kind, key).ok().flatten()
        })
    }

    /// Whether a stage of this key was in the store once.
    pub fn was_made(&self, key: &StageKey) -> bool {
        self.stages().any(|stages| stages.made.contains(key))
    }

    fn stages(&self) -> impl Iterator<Item = &PastStages> {
        let plans = self.plans.get_or_init(|| past_plans(self.store, self.experiment));
        plans.iter().map(|plan| plan.stages.get_or_init(|| past_stages(self.store, &plan.digest)))
    }
}

fn past_plans(store: &Store, experiment: &str) -> Vec<PastPlan> {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for id in store.run_ids() {
        if own.len() == LOOK_BACK && others.len() == LOOK_BACK {
            break;
        }
        let Some(head) = read_head(&store.run_folder(&id).join(RUN_FILE)) else { continue };
        let plans = if head.experiment == experiment { &mut own } else { &mut others };
        // Runs that did nothing new share a plan, which is looked at once.
        if plans.len() < LOOK_BACK && seen.insert(head.plan) {
            plans.push(PastPlan { digest: head.plan, stages: OnceCell::new() });
        }
    }
    own.append(&mut others);
    own
}

/// The part of a run's file that matters here.
#[derive(Debug, PartialEq, Deserialize)]
struct RunHead {
    format: u32,
    experiment: String,
    plan: Digest,
}

/// Reads a run's file up to the list of executed stages, which may be long. A file whose fields are
/// in another order is read as a whole.
fn read_head(path: &Path) -> Option<RunHead> {
    let mut bytes = Vec::new();
    let mut file = regular_file::open(path).ok()?;
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    let head = head_in(&bytes).or_else(|| {
        file.read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    // The same fields may mean something else to a newer surgcam.
    head.filter(|head| head.format == FORMAT)
}

fn head_in(bytes: &[u8]) -> Option<RunHead> {
    // No string in the file can contain this text, because its quotes would be escaped.
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once(",\"executed\":")?;
    serde_json::from_str(&format!("{head}}}")).ok()
}

/// Empty where the snapshot cannot be read.
fn past_stages(store: &Store, plan: &Digest) -> PastStages {
    #[derive(Deserialize)]
    struct Stage {
        name: String,
        kind: PlainName,
        key: Option<StageKey>,
        /// Present if it was made.
        seconds: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Snapshot {
        format: u32,
        stages: Vec<Stage>,
    }
    let snapshot =
        store.plan_text(plan).ok().and_then(|text| serde_json::from_slice::<Snapshot>(&text).ok());
    let mut past = PastStages::default();
    for stage in snapshot
        .into_iter()
        .filter(|snapshot| snapshot.format == FORMAT)
        .flat_map(|snapshot| snapshot.stages)
    {
        let Some(key) = stage.key else { continue };
        past.by_name.insert(stage.name, (stage.kind, key));
        if stage.seconds.is_some() {
            past.made.insert(key);
        }
    }
    past
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::super::key::KeyParts;
    use super::super::record::{Environment, PeakMemory, RECORD_FORMAT};
    use super::super::runs::{ExecutedStage, PlanSnapshot, Run, RunState, SnapshotStage};
    use super::*;

    fn parts(batch_size: u32) -> KeyParts {
        KeyParts {
            kind: PlainName::literal("train"),
            version: 1,
            parameters: serde_json::json!({"batch_size": batch_size}),
            inputs: BTreeMap::new(),
        }
    }

    /// Writes a run that found one stage made. Runs with other ids and the same values share its
    /// plan.
    fn note_run(
        store: &Store,
        id: usize,
        experiment: &str,
        stage: &str,
        batch_size: u32,
        executed: usize,
    ) -> Run {
        let key = parts(batch_size).key();
        let planned = SnapshotStage {
            name: stage.into(),
            kind: "train".into(),
            key: Some(key),
            seconds: Some(1.0),
            outputs: BTreeMap::new(),
        };
        let nothing = serde_json::Value::Null;
        let snapshot = PlanSnapshot {
            format: FORMAT,
            experiment: nothing,
            recipes: Vec::new(),
            cells: Vec::new(),
            stages: vec![planned],
        };
        let text = serde_json::to_vec(&snapshot).unwrap();
        let executed = vec![
            ExecutedStage {
                stage: stage.into(),
                kind: "train".into(),
                key,
                seconds: 1.0,
                peak_memory: PeakMemory::default(),
            };
            executed
        ];
        let run = Run {
            format: FORMAT,
            id: format!("{id:06}"),
            experiment: experiment.into(),
            command: vec!["surgcam".into(), ",\"executed\":".into()],
            scope: None,
            started: String::new(),
            seconds: 1.0,
            state: RunState::Done,
            plan: store.write_plan(Digest::of_bytes(&text), || Ok(text)).unwrap(),
            executed,
            cached: 0,
            failed: Vec::new(),
            surgcam: String::new(),
            host: String::new(),
        };
        store.write_run(&run).unwrap();
        run
    }

    fn write_record(store: &Store, batch_size: u32) {
        let parts = parts(batch_size);
        let record = Record {
            format: RECORD_FORMAT,
            key: parts.key(),
            name: "train a".into(),
            parts,
            outputs: BTreeMap::new(),
            started: String::new(),
            seconds: 1.0,
            machine: Environment::default(),
            peak_memory: PeakMemory::default(),
        };
        store.write_record(&record).unwrap();
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        (folder, store)
    }

    #[test]
    fn a_run_that_executed_nothing_still_tells_what_was_made() {
        let (_folder, store) = store();
        note_run(&store, 1, "a", "train a", 32, 1);
        note_run(&store, 2, "a", "train a", 32, 0);
        let earlier = EarlierRuns::of(&store, "a");
        assert!(earlier.was_made(&parts(32).key()) && !earlier.was_made(&parts(64).key()));
        assert!(earlier.last_made("train a").is_none(), "its record is gone");
    }

    #[test]
    fn runs_of_the_experiment_are_asked_however_many_of_others_came_since() {
        let (_folder, store) = store();
        write_record(&store, 32);
        write_record(&store, 64);
        note_run(&store, 1, "a", "train a", 32, 1);
        (2..100).for_each(|id| drop(note_run(&store, id, "b", &format!("train {id}"), 64, 1)));
        note_run(&store, 100, "b", "train a", 64, 1);
        let batch_size = |experiment: &str| {
            EarlierRuns::of(&store, experiment)
                .last_made("train a")
                .unwrap()
                .parts
                .parameters["batch_size"]
                .clone()
        };
        assert_eq!((batch_size("a"), batch_size("b")), (32.into(), 64.into()));
        assert_eq!(batch_size("new"), 64, "others are asked where the experiment tells nothing");
    }

    #[test]
    fn the_head_of_a_run_is_enough_and_a_long_command_is_read_whole() {
        let (_folder, store) = store();
        let run = note_run(&store, 1, "a", "train a", 32, 1000);
        let path = store.run_folder(&run.id).join(RUN_FILE);
        let expected = RunHead { format: FORMAT, experiment: "a".into(), plan: run.plan };
        assert_eq!(read_head(&path), Some(expected));
        // What follows the head is not read.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.trim_end().trim_end_matches('}')).unwrap();
        assert!(read_head(&path).is_some());
        let long = Run { command: vec!["x".repeat(2 * HEAD_BYTES as usize)], ..run };
        store.write_run(&long).unwrap();
        assert!(read_head(&path).is_some());
        fs::write(&path, "{\"format\":1").unwrap();
        assert_eq!(read_head(&path), None);
    }

    #[test]
    fn a_run_or_plan_of_a_newer_format_tells_nothing() {
        let (_folder, store) = store();
        let run = note_run(&store, 1, "a", "train a", 32, 1);
        assert!(EarlierRuns::of(&store, "a").was_made(&parts(32).key()));
        let (run_path, plan_path) = (
            store.run_folder(&run.id).join(RUN_FILE),
            store.root().join(format!("plans/{}.json", run.plan.hex())),
        );
        for path in [run_path, plan_path] {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen("\"format\":1", "\"format\":99", 1)).unwrap();
            assert!(!EarlierRuns::of(&store, "a").was_made(&parts(32).key()));
            fs::write(&path, text).unwrap();
        }
    }
}
