//! Makes the stages of a job: under their locks, and in one pass where they allow it. Each stage is
//! reported once.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::time::Instant;

use surgcam_engine::error::{Class, Error, Result};
use surgcam_engine::machine::lock::{MachineHold, Want};
use surgcam_engine::protocol::{FromWorker, Hello, Job, StageJob};
use surgcam_engine::store::lock::StageLock;
use surgcam_engine::store::record::{Environment, RECORD_FORMAT, Record};
use surgcam_pipeline::kinds::Kind;

use crate::memory::Watch;
use crate::stages::{self, StageRun, Worker};

/// A stage that is to be made, and the lock that gives the right to make it. The lock is released
/// as soon as the stage is recorded or has failed.
type Held<'a> = (&'a StageJob, StageLock);

/// Takes the locks of a job's stages, makes those that are then not in the store, and reports on
/// each stage.
pub fn make(worker: &Worker, hello: &Hello, job: Job) {
    let mut held: Vec<Held> = Vec::new();
    for stage in &job.stages {
        let wait = |holder: &str| {
            let holder = format!("{holder}, which makes the same stage");
            (worker.say)(&FromWorker::Waiting { key: stage.key, holder });
        };
        match worker.store.lock(&stage.key, wait) {
            Ok(lock) => match worker.store.record(&stage.parts.kind, &stage.key) {
                Ok(Some(record)) => (worker.say)(&FromWorker::Finished {
                    key: stage.key,
                    record: Box::new(record),
                    executed: false,
                }),
                Ok(None) => held.push((stage, lock)),
                Err(error) => {
                    (worker.say)(&FromWorker::Failed { key: stage.key, problem: (&error).into() })
                }
            },
            Err(error) => {
                (worker.say)(&FromWorker::Failed { key: stage.key, problem: (&error).into() })
            }
        }
    }
    if !held.is_empty() {
        make_together(worker, hello, held);
    }
}

/// Makes stages in one pass. Stages that are not recorded afterwards are tried one by one, so that
/// a stage that cannot be made does not prevent the others.
fn make_together(worker: &Worker, hello: &Hello, mut held: Vec<Held>) {
    let count = held.len();
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| make_held(worker, hello, &mut held)));
    let made = made.unwrap_or_else(|panic| {
        Err(Error::failure(format!("it broke: {}", panic_text(&*panic)))
            .hint("this is a defect of surgcam; please report it"))
    });
    let Err(error) = made else { return };
    if count > 1 && error.class() != Class::Interrupted {
        tracing::warn!(
            "of {count} stages together {} failed, each is tried by itself: {error}",
            held.len()
        );
        held.into_iter().for_each(|stage| make_together(worker, hello, vec![stage]));
        return;
    }
    for (stage, lock) in held {
        tracing::error!("{}: {error}", stage.name);
        // Whoever hears of it may try again at once.
        drop(lock);
        (worker.say)(&FromWorker::Failed { key: stage.key, problem: (&error).into() });
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
    text.unwrap_or_default().lines().next().unwrap_or_default().to_string()
}

/// Makes stages in one pass. Each stage that is recorded and reported is taken out of `held`. If
/// one is not recorded, its error is returned.
fn make_held(worker: &Worker, hello: &Hello, held: &mut Vec<Held>) -> Result<()> {
    let stages: Vec<&StageJob> = held.iter().map(|(stage, _)| *stage).collect();
    let machine = hold_machine(worker, &stages)?;
    (worker.say)(&FromWorker::Begun { keys: stages.iter().map(|stage| stage.key).collect() });
    let started = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let begun = Instant::now();
    let memory = Watch::begin(worker.device);
    let workspaces = stages
        .iter()
        .map(|stage| worker.store.workspace(&stage.key))
        .collect::<Result<Vec<_>>>()?;
    let runs: Vec<StageRun> = stages
        .iter()
        .zip(&workspaces)
        .map(|(stage, workspace)| StageRun::new(worker, stage, workspace.path(), &machine))
        .collect();
    stages::make(&runs)?;
    let stored: Vec<Result<_>> =
        runs.iter().map(|run| worker.store.store_outputs(run.workspace)).collect();
    let seconds = begun.elapsed().as_secs_f64() / stages.len() as f64;
    // That of a pass is the peak of each of its stages.
    let peak_memory = memory.peak();
    let (mut records, mut all_recorded) = (Vec::new(), Ok(()));
    for (run, outputs) in runs.iter().zip(stored) {
        let recorded = outputs.and_then(|outputs| {
            let record = Record {
                format: RECORD_FORMAT,
                key: run.job.key,
                name: run.job.name.clone(),
                parts: run.job.parts.clone(),
                outputs,
                started: started.clone(),
                seconds,
                machine: machine_of(hello),
                peak_memory,
            };
            run.tell_difference(&record);
            worker.store.write_record(&record).map(|()| record)
        });
        match recorded {
            Ok(record) => {
                run.forget_partial();
                records.push(record);
            }
            Err(error) => all_recorded = all_recorded.and(Err(error)),
        }
    }
    drop(runs);
    // They are removed while the locks are held.
    drop(workspaces);
    // Whoever hears that a stage is finished may want the machine at once.
    drop(machine);
    for record in records {
        held.retain(|(stage, _)| stage.key != record.key);
        (worker.say)(&FromWorker::Finished {
            key: record.key,
            record: Box::new(record),
            executed: true,
        });
    }
    all_recorded
}

fn machine_of(hello: &Hello) -> Environment {
    Environment {
        host: hello.host.clone(),
        device: hello.device_name.clone(),
        threads: hello.threads,
        surgcam: hello.surgcam.clone(),
        libtorch: hello.libtorch.clone(),
    }
}

/// Speed stages have the machine to themselves; all others share it. A stage that has to wait for
/// the machine says so, and so does one that starts without it.
fn hold_machine(worker: &Worker, stages: &[&StageJob]) -> Result<MachineHold> {
    let is_alone = stages
        .iter()
        .any(|stage| Kind::named(stage.parts.kind.as_str()).is_some_and(|kind| kind.is_alone));
    let want = if is_alone { Want::Alone } else { Want::Shared };
    // Of a pass one speaks for all.
    let key = stages.first().map(|stage| stage.key);
    let wait = |holder: &str| {
        if let Some(key) = key {
            (worker.say)(&FromWorker::Waiting { key, holder: holder.into() });
        }
    };
    let hold = worker.machine.take(want, wait, || worker.stopping.load(Ordering::Relaxed))?;
    if let (Some(key), Some(text)) = (key, hold.note.clone()) {
        (worker.say)(&FromWorker::Note { key, text });
    }
    Ok(hold)
}
