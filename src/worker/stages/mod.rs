//! The code of the stages. Each stage reads its inputs from the store and writes its outputs into
//! its own folder, and touches nothing else.

mod benchmark;
mod caption;
mod deletion_insertion;
mod describe;
mod detections;
mod empty;
mod evaluate;
mod frames_pass;
mod ground_truth;
mod heat_score;
mod import;
mod interact;
mod kind_run;
mod localize;
mod measure;
mod measure_tasks;
mod predict_interactions;
mod prepare;
mod probe;
mod score;
mod train;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::machine::lock::{MachineHold, MachineLock};
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::protocol::{FromWorker, StageJob};
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::record::Record;
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::skipped_rows;
use surgcam_pipeline::kinds::*;
use tch::Device;

use crate::frame_set::FrameSet;

pub use kind_run::{KindRun, Make};

/// What all stages of a worker share.
pub struct Worker<'a> {
    pub store: &'a Store,
    pub device: Device,
    /// Set when the runner wants no more results.
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
    /// Its hold on the lock of the machine.
    pub machine: &'a MachineHold,
    last_progress: Cell<Option<Instant>>,
    newest_epoch: RefCell<Option<String>>,
}

/// The least time between two reports of progress. More frequent ones would show nothing new.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

impl<'a> StageRun<'a> {
    pub fn new(
        worker: &'a Worker<'a>,
        job: &'a StageJob,
        workspace: &'a Path,
        machine: &'a MachineHold,
    ) -> Self {
        let (last_progress, newest_epoch) = (Cell::new(None), RefCell::new(None));
        StageRun { worker, job, workspace, machine, last_progress, newest_epoch }
    }

    /// The path of an object that it reads.
    pub fn path_of(&self, input: Digest) -> Result<PathBuf> {
        self.worker.store.use_object(&input)
    }

    /// The frames of an index. One whose picture could not be read is in no split: its pack knows.
    pub fn frames(&self, index: Digest, pack: Digest) -> Result<Vec<Frame>> {
        let mut frames = read_frames(&self.path_of(index)?)?;
        for row in skipped_rows(&self.path_of(pack)?)? {
            if let Some(frame) = frames.get_mut(row) {
                (frame.train, frame.validation) = (false, false);
            }
        }
        Ok(frames)
    }

    /// The frames as a network sees them, with a detector's boxes where there are some.
    pub fn frame_set(
        &self,
        pack: Digest,
        index: Digest,
        detections: Option<Digest>,
    ) -> Result<FrameSet> {
        let boxes = detections.map(|boxes| self.path_of(boxes)).transpose()?;
        FrameSet::open(&self.path_of(pack)?, &self.path_of(index)?)?
            .with_detections(boxes.as_deref())
    }

    /// The folder for the state from which the stage continues after an interruption.
    pub fn partial_folder(&self) -> PathBuf {
        self.worker.store.partial_folder(&self.job.key)
    }

    /// Removes that state, because the stage is finished.
    pub fn forget_partial(&self) {
        let folder = self.partial_folder();
        if let Err(error) = std::fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", folder.display());
        }
    }

    /// Tells the user if the outputs of an earlier record were lost and the stage was made again
    /// with other bytes. Otherwise the first record of a key wins, as long as its outputs exist.
    /// This must be called before the new record is written.
    pub fn tell_difference(&self, record: &Record) {
        let Ok(Some(first)) =
            self.worker.store.record_even_without_objects(&record.parts.kind, &record.key)
        else {
            return;
        };
        let differing = record.outputs_unlike(&first);
        if !differing.is_empty() {
            self.note(format!(
                "made again, because outputs of it were lost; these differ from those of {}: {}. \
                 The new ones count from now on",
                first.started,
                differing.join(", ")
            ));
        }
    }

    /// Reports the progress of the stage and of all stages that are made in the same pass. It is an
    /// error if the runner wants no more results.
    pub fn progress(&self, done: usize, total: usize, unit: &str) -> Result<()> {
        if self.worker.stopping.load(Ordering::Relaxed) {
            return Err(Error::interrupted("interrupted"));
        }
        let now = Instant::now();
        let is_due = self.last_progress.get().is_none_or(|last| now - last > PROGRESS_INTERVAL);
        if is_due || done == total {
            self.last_progress.set(Some(now));
            (self.worker.say)(&FromWorker::Progress {
                done: done as u64,
                total: total as u64,
                unit: unit.into(),
                newest_epoch: self.newest_epoch.borrow().clone(),
            });
        }
        Ok(())
    }

    /// Words about the newest of many quick epochs, which go with the progress from now on.
    pub fn set_newest_epoch(&self, text: String) {
        *self.newest_epoch.borrow_mut() = Some(text);
    }

    pub fn note(&self, text: String) {
        (self.worker.say)(&FromWorker::Note { key: self.job.key, text });
    }
}

/// Makes stages that were sent together: those of one pass, or a single one.
pub fn make(stages: &[StageRun]) -> Result<()> {
    let in_pass = |stage: &StageRun| {
        Kind::named(stage.job.parts.kind.as_str())
            .is_some_and(|kind| kind.pass == Some(FRAMES_PASS))
    };
    if stages.iter().all(in_pass) {
        return frames_pass::make(stages);
    }
    stages.iter().try_for_each(make_one)
}

fn make_one(stage: &StageRun) -> Result<()> {
    let name = stage.job.parts.kind.as_str();
    macro_rules! make_as {
        (
            $($module:ident::$kind:ident),+;
            $($module_of_command:ident::$kind_of_command:ident),+ $(,)?
        ) => {
            match name {
                $($kind::NAME => $kind::make(&KindRun::new(stage)?),)+
                $($kind_of_command::NAME => $kind_of_command::make(&KindRun::new(stage)?),)+
                other => {
                    Err(Error::failure(format!("this worker knows no stage `{other}`"))
                        .hint("build both programs again: `make build`"))
                }
            }
        };
    }
    surgcam_pipeline::every_kind!(make_as)
}
