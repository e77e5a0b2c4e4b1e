//! How long a plan is expected to take, by the times that such stages took before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use walkdir::WalkDir;

use super::packing::PackedJob;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::regular_file;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::{LONGEST_RECORD, Store};

/// The seconds that each stage is expected to take; `None` where no such stage was ever made.
pub struct Expected(Vec<Option<f64>>);

impl Expected {
    /// For each stage this is the time that a stage of the same name took the last time, or else
    /// the usual time of its kind in this store. Stages that are in the store take no time.
    pub fn of(plan: &Plan, known: &Known, store: &Store, earlier: &EarlierRuns) -> Self {
        let mut usual: BTreeMap<&str, Option<f64>> = BTreeMap::new();
        let seconds = |id: StageId| {
            if known.is_made(id) {
                return Some(0.0);
            }
            let stage = plan.stage(id);
            match earlier.last_made(&stage.name) {
                Some(record) if record.parts.kind == stage.kind => Some(record.seconds),
                _ => *usual.entry(stage.kind).or_insert_with(|| usual_seconds(store, stage.kind)),
            }
        };
        Expected(plan.ids().map(seconds).collect())
    }

    pub fn seconds(&self, id: StageId) -> Option<f64> {
        self.0[id.0]
    }

    /// The seconds of a job's stages, if all of them are known.
    pub fn of_job(&self, job: &PackedJob) -> Option<f64> {
        job.stages.iter().map(|id| self.seconds(*id)).sum()
    }
}

/// The most records of a kind that are read.
const MOST_RECORDS: usize = 64;

/// The median of the seconds in some records of this kind.
fn usual_seconds(store: &Store, kind: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Timed {
        seconds: f64,
    }
    let files = WalkDir::new(store.root().join("records").join(kind)).min_depth(1).max_depth(1);
    let mut found: Vec<f64> = files
        .into_iter()
        .flatten()
        .take(MOST_RECORDS)
        .filter_map(|entry| regular_file::read(entry.path(), LONGEST_RECORD).ok())
        .filter_map(|text| serde_json::from_slice::<Timed>(&text).ok())
        .map(|timed| timed.seconds)
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .collect();
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied()
}

/// How long the jobs of a plan are expected to take on a cluster that can run all of them at once.
#[derive(Debug, PartialEq)]
pub struct Cost {
    pub jobs: usize,
    /// The times of all jobs that need a device, added up.
    pub device_hours: f64,
    /// From the start of the first job to the end of the last one.
    pub wall_hours: f64,
    /// Kinds of stages whose time is not known. They count as taking no time.
    pub unknown: BTreeSet<&'static str>,
}

/// `others` is the number of jobs that are not in the list: one for the tables, and one for speed
/// if it is measured.
pub fn cost(plan: &Plan, jobs: &[PackedJob], others: usize, expected: &Expected) -> Cost {
    let mut ends: Vec<f64> = Vec::with_capacity(jobs.len());
    let mut device_seconds = 0.0;
    for job in jobs {
        let seconds: f64 = job.stages.iter().filter_map(|id| expected.seconds(*id)).sum();
        let begins = job.after.iter().map(|earlier| ends[*earlier]).fold(0.0, f64::max);
        ends.push(begins + seconds);
        if job.needs_device {
            device_seconds += seconds;
        }
    }
    let is_unknown = |id: &&StageId| expected.seconds(**id).is_none();
    let unknown = jobs
        .iter()
        .flat_map(|job| job.stages.iter().filter(is_unknown))
        .map(|id| plan.stage(*id).kind)
        .collect();
    Cost {
        jobs: jobs.len() + others,
        device_hours: device_seconds / 3600.0,
        wall_hours: ends.into_iter().fold(0.0, f64::max) / 3600.0,
        unknown,
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = jobs_in_words(self.jobs);
        let is_known = self.device_hours > 0.0 || self.wall_hours > 0.0;
        if !is_known && !self.unknown.is_empty() {
            return write!(
                f,
                "{jobs} on a cluster; GPU hours and wall time unknown, because no such stages \
                 were made before"
            );
        }
        write!(
            f,
            "{jobs} on a cluster, {} on devices, {} from start to end",
            in_words(self.device_hours),
            in_words(self.wall_hours)
        )?;
        if !self.unknown.is_empty() {
            let kinds: Vec<&str> = self.unknown.iter().copied().collect();
            write!(f, "; unknown, and not counted: {}", kinds.join(", "))?;
        }
        Ok(())
    }
}

/// `1 job`, `2 jobs`.
pub fn jobs_in_words(jobs: usize) -> String {
    if jobs == 1 { "1 job".into() } else { format!("{jobs} jobs") }
}

/// Hours, or minutes or seconds where that is shorter.
fn in_words(hours: f64) -> String {
    let seconds = hours * 3600.0;
    if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else if seconds < 3600.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{hours:.1} h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_said() {
        let cost = |device_hours, wall_hours, unknown: &[&'static str]| {
            Cost { jobs: 3, device_hours, wall_hours, unknown: unknown.iter().copied().collect() }
                .to_string()
        };
        assert_eq!(
            cost(2.5, 0.5, &[]),
            "3 jobs on a cluster, 2.5 h on devices, 30 min from start to end"
        );
        assert!(cost(0.0, 0.0, &["train"]).contains("unknown, because no such stages"));
        assert!(cost(1.0, 1.0, &["caption"]).ends_with("unknown, and not counted: caption"));
    }
}
