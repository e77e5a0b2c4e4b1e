//! The stages' code: each reads its inputs from the store and writes its outputs into its own folder, nothing else.

mod benchmark;
mod caption;
mod describe;
mod evaluate;
mod frames_pass;
mod import;
mod interact;
mod localize;
mod measure;
mod measure_tasks;
mod prepare;
mod probe;
mod score;
mod train;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::machine::lock::{MachineHold, MachineLock};
use surgcam_engine::protocol::{FromWorker, StageJob};
use surgcam_engine::store::Store;
use surgcam_engine::store::record::Record;
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::skipped_rows;
use surgcam_pipeline::head_stages::{CaptionStage, DescribeStage, InteractStage, MeasureTasksStage};
use surgcam_pipeline::stages::*;
use tch::Device;

use crate::self_test;

/// What a worker has: the same for all of its stages.
pub struct Worker<'a> {
    pub store: &'a Store,
    pub device: Device,
    /// Set when the runner wants no more.
    pub stopping: &'a AtomicBool,
    pub say: &'a dyn Fn(&FromWorker),
    pub machine: MachineLock,
}

/// One stage to make.
pub struct StageRun<'a> {
    pub worker: &'a Worker<'a>,
    pub job: &'a StageJob,
    /// Each file or folder at its top becomes an output of that name.
    pub workspace: &'a Path,
    /// What it has of the machine.
    pub machine: &'a MachineHold,
    last_progress: Cell<Option<Instant>>,
}

/// More often than this a progress bar shows nothing new.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

impl<'a> StageRun<'a> {
    pub fn new(worker: &'a Worker<'a>, job: &'a StageJob, workspace: &'a Path, machine: &'a MachineHold) -> Self {
        StageRun { worker, job, workspace, machine, last_progress: Cell::new(None) }
    }

    pub fn parameters<P: StageParameters>(&self) -> Result<P> {
        let ours = (P::KIND, P::VERSION);
        let asked = (self.job.parts.kind.as_str(), self.job.parts.version);
        if ours != asked {
            return Err(Error::failure(format!("asked for stage {asked:?}, this worker makes {ours:?}"))
                .hint("build both programs anew: `make build`"));
        }
        serde_json::from_value(self.job.parts.parameters.clone())
            .map_err(|error| Error::failure(format!("the stage's parameters are malformed: {error}")))
    }

    pub fn has_input(&self, name: &str) -> bool {
        self.job.parts.inputs.contains_key(name)
    }

    pub fn input(&self, name: &str) -> Result<PathBuf> {
        let digest = self.job.parts.inputs.get(name).ok_or_else(|| Error::failure(format!("the stage has no input `{name}`")))?;
        self.worker.store.use_object(digest)
    }

    /// The frames of its index. One whose picture could not be read is in no split.
    pub fn frames(&self) -> Result<Vec<Frame>> {
        let mut frames = read_frames(&self.input(input::INDEX)?)?;
        for row in skipped_rows(&self.input(input::PACK)?)? {
            if let Some(frame) = frames.get_mut(row) {
                (frame.train, frame.validation) = (false, false);
            }
        }
        Ok(frames)
    }

    pub fn place(&self, name: &str) -> Result<PathBuf> {
        self.job.places.get(name).cloned().ok_or_else(|| Error::failure(format!("the stage has no place `{name}`")))
    }

    pub fn output(&self, name: &str) -> PathBuf {
        self.workspace.join(name)
    }

    /// Where it may keep how far it came, to go on from there after an interruption.
    pub fn partial_folder(&self) -> PathBuf {
        self.worker.store.partial_folder(&self.job.key)
    }

    /// The stage is finished: nothing is gone on from.
    pub fn forget_partial(&self) {
        let folder = self.partial_folder();
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", folder.display());
        }
    }

    /// The first record of a key wins, as long as its outputs are there. Where they are lost, and the stage is made again with
    /// other bytes, the user is told. To be called before the new record is written.
    pub fn tell_difference(&self, record: &Record) {
        let Ok(Some(first)) = self.worker.store.record_even_without_objects(&record.parts.kind, &record.key) else { return };
        let differing = record.outputs_unlike(&first);
        if !differing.is_empty() {
            self.note(format!(
                "made again, for outputs of it were lost; not as they were on {}: {}. What is made now counts from here on",
                first.started,
                differing.join(", ")
            ));
        }
    }

    pub fn output_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.output(name);
        std::fs::create_dir(&folder).at_path("create", &folder)?;
        Ok(folder)
    }

    /// Tells how far it is, and with it all stages that are made in the same pass; an error if the runner wants no more.
    pub fn progress(&self, done: usize, total: usize, unit: &str) -> Result<()> {
        if self.worker.stopping.load(Ordering::Relaxed) {
            return Err(Error::interrupted("interrupted"));
        }
        let now = Instant::now();
        let is_due = self.last_progress.get().is_none_or(|last| now - last > PROGRESS_INTERVAL);
        if is_due || done == total {
            self.last_progress.set(Some(now));
            (self.worker.say)(&FromWorker::Progress { done: done as u64, total: total as u64, unit: unit.into() });
        }
        Ok(())
    }

    pub fn note(&self, text: String) {
        (self.worker.say)(&FromWorker::Note { key: self.job.key, text });
    }
}

/// Makes stages that were sent together: siblings of a pass, or a single one.
pub fn make(stages: &[StageRun]) -> Result<()> {
    let in_pass = |stage: &StageRun| Kind::named(stage.job.parts.kind.as_str()).is_some_and(|kind| kind.pass == Some(FRAMES_PASS));
    if stages.iter().all(in_pass) {
        return frames_pass::make(stages);
    }
    stages.iter().try_for_each(make_one)
}

fn make_one(stage: &StageRun) -> Result<()> {
    match stage.job.parts.kind.as_str() {
        SampleStage::KIND => prepare::sample(stage),
        IndexStage::KIND => prepare::index(stage),
        PackStage::KIND => prepare::pack(stage),
        ImportStage::KIND => import::make(stage),
        TrainStage::KIND => train::make(stage),
        EvaluateStage::KIND => evaluate::make(stage),
        LocalizeStage::KIND => localize::make(stage),
        ScoreStage::KIND => score::make(stage),
        ProbeStage::KIND => probe::make(stage),
        CaptionStage::KIND => caption::make(stage),
        InteractStage::KIND => interact::make(stage),
        MeasureStage::KIND => measure::make(stage),
        MeasureTasksStage::KIND => measure_tasks::make(stage),
        DescribeStage::KIND => describe::make(stage),
        BenchmarkStage::KIND => benchmark::make(stage),
        SelfTestStage::KIND => self_test::make(stage),
        EmptyStage::KIND => empty(stage),
        other => Err(Error::failure(format!("this worker knows no stage `{other}`")).hint("build both programs anew: `make build`")),
    }
}

/// Only what the runner and the store do for any stage.
fn empty(stage: &StageRun) -> Result<()> {
    let path = stage.output(output::NOTHING);
    std::fs::write(&path, "").at_path("write", &path)
}
