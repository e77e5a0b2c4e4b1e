//! The engine without any surgery: a kind of stage that adds numbers, in this one file, is planned,
//! run by a worker, found in the store, and explained.
//!
//! This program is its own worker: the runner starts it again with `--device`.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::inputs;
use surgcam_engine::machine::host;
use surgcam_engine::plan::inputs::NamedInputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};
use surgcam_engine::plan::status::{Known, explain};
use surgcam_engine::plan::{Handle, NewStage, Plan, Resource, StageId};
use surgcam_engine::protocol::{FromWorker, Hello, Job, PROTOCOL_VERSION, StageJob};
use surgcam_engine::runner::choice::Choice;
use surgcam_engine::runner::events::Silent;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::worker_command::WorkerCommand;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options, Summary};
use surgcam_engine::store::Store;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::record::{Environment, PeakMemory, RECORD_FORMAT, Record};

/// The sum of all inputs and of a number of its own.
#[derive(Serialize, Deserialize)]
struct Sum {
    number: i64,
}

inputs! {
    struct SumInputs<S> {
        part: Vec<S>,
    }
}

impl StageKind for Sum {
    const NAME: &'static str = "sum";
    const VERSION: u32 = 1;

    type Inputs<S> = SumInputs<S>;
}

impl Sum {
    const SUM: OutputOf<Self> = OutputOf::new("sum");

    fn add(plan: &mut Plan, number: i64, of: &[Handle<Sum>]) -> Handle<Sum> {
        let inputs = SumInputs { part: of.iter().map(|part| part.output(Sum::SUM)).collect() };
        plan.add(NewStage::new(
            format!("sum with {number}"),
            &Sum { number },
            inputs,
            Resource::Processor,
        ))
    }

    /// Its code, in the worker.
    fn make(store: &Store, stage: &StageJob, workspace: &Path) -> Result<()> {
        let parameters: Sum =
            serde_json::from_value(stage.parts.parameters.clone()).map_err(Error::failure)?;
        let mut sum = parameters.number;
        for digest in SumInputs::from_named(stage.parts.inputs.clone())?.part {
            let text = String::from_utf8(store.read_object(&digest)?).map_err(Error::failure)?;
            sum += text.parse::<i64>().map_err(Error::failure)?;
        }
        std::fs::write(workspace.join(Sum::SUM.name()), sum.to_string()).map_err(Error::failure)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--store") {
        Some(place) => work(Path::new(&arguments[place + 1])).unwrap(),
        None => {
            check_all();
            check_choice();
            println!("2 passed, 0 failed");
        }
    }
}

/// The worker.
fn work(root: &Path) -> Result<()> {
    let store = Store::open(root, None)?;
    let say = |message: &FromWorker| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", serde_json::to_string(message).unwrap())
            .and_then(|()| stdout.flush())
            .unwrap();
    };
    say(&FromWorker::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        surgcam: "toy".into(),
        libtorch: String::new(),
        host: host(),
        device: "cpu".into(),
        device_name: "cpu".into(),
        threads: 1,
        cuda: None,
    }));
    for line in std::io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line.unwrap()).unwrap();
        for stage in &job.stages {
            say(&FromWorker::Begun { keys: vec![stage.key] });
            let record = made(&store, stage)?;
            say(&FromWorker::Finished { key: stage.key, record: Box::new(record), executed: true });
        }
        say(&FromWorker::JobDone);
    }
    Ok(())
}

fn made(store: &Store, stage: &StageJob) -> Result<Record> {
    let workspace = store.workspace(&stage.key)?;
    Sum::make(store, stage, workspace.path())?;
    let record = Record {
        format: RECORD_FORMAT,
        key: stage.key,
        name: stage.name.clone(),
        parts: stage.parts.clone(),
        outputs: store.store_outputs(workspace.path())?,
        started: String::new(),
        seconds: 0.0,
        machine: Environment::default(),
        peak_memory: PeakMemory::default(),
    };
    store.write_record(&record)?;
    Ok(record)
}

/// Two sums, and the sum of both.
fn plan(first: i64) -> (Plan, Handle<Sum>) {
    let mut plan = Plan::default();
    let parts = [Sum::add(&mut plan, first, &[]), Sum::add(&mut plan, 20, &[])];
    let all = Sum::add(&mut plan, 300, &parts);
    (plan, all)
}

fn run(plan: &Plan, store: &Store, logs: &Path) -> Summary {
    run_only(plan, store, logs, None)
}

fn run_only(plan: &Plan, store: &Store, logs: &Path, only: Option<&Choice>) -> Summary {
    let command = WorkerCommand {
        program: std::env::current_exe().unwrap(),
        device: "cpu".into(),
        threads: 1,
        visible_gpu: None,
        libtorch: None,
        silence: Duration::from_secs(60),
        machine_wait_seconds: 1,
        memory_hint: "",
    };
    let options =
        Options { jobs: 2, only, ..Options::local(vec![command], LogFolder::Temporary(logs)) };
    let known = Known::of(plan, store).unwrap();
    let summary =
        runner::run(plan, known, store, &options, &Interrupt::default(), &mut Silent).unwrap();
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
    summary
}

fn statuses(plan: &Plan, store: &Store) -> Vec<String> {
    let known = Known::of(plan, store).unwrap();
    explain(plan, &known, &EarlierRuns::of(store, "toy")).iter().map(ToString::to_string).collect()
}

fn result(summary: &Summary, store: &Store, all: Handle<Sum>) -> String {
    let digest = summary.known.outputs(all.id()).unwrap()[Sum::SUM.name()].digest;
    String::from_utf8(store.read_object(&digest).unwrap()).unwrap()
}

fn check_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), None).unwrap();

    let (first, all) = plan(1);
    assert_eq!(
        statuses(&first, &store),
        ["will run: never ran", "will run: never ran", "waits for sum with 1"]
    );
    let summary = run(&first, &store, folder.path());
    assert_eq!((summary.executed.len(), result(&summary, &store, all).as_str()), (3, "321"));

    assert_eq!(statuses(&first, &store), ["cached"; 3]);
    assert_eq!(run(&first, &store, folder.path()).executed.len(), 0, "nothing is made twice");

    // Another number: its stage and what depends on it are made, and nothing else.
    let (second, all) = plan(2);
    let summary = run(&second, &store, folder.path());
    assert_eq!((summary.executed.len(), result(&summary, &store, all).as_str()), (2, "322"));

    println!("test a_kind_of_stage_in_one_file_is_planned_run_cached_and_explained ... ok");
}

fn check_choice() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store"), None).unwrap();
    let (plan, all) = plan(1);
    let [one, twenty, all_of_them] = [StageId(0), StageId(1), all.id()];
    let choice = |stages: &[StageId]| {
        Choice::new(&plan, &Known::of(&plan, &store).unwrap(), stages.iter().copied().collect())
    };
    let made = |choice: &Choice| {
        let summary = run_only(&plan, &store, folder.path(), Some(choice));
        let mut executed: Vec<StageId> =
            summary.executed.iter().map(|executed| executed.id).collect();
        executed.sort();
        (executed, summary.cached)
    };

    let missing = choice(&[all_of_them]).unwrap_err().to_string();
    assert!(
        missing.contains("`sum with 1`, `sum with 20`") && missing.contains("hint: "),
        "{missing}"
    );

    assert_eq!(made(&choice(&[one]).unwrap()), (vec![one], vec![]), "all others are left out");
    assert_eq!(made(&choice(&[one]).unwrap()), (vec![], vec![one]), "nothing is made twice");

    let missing = choice(&[all_of_them]).unwrap_err().to_string();
    assert!(missing.contains("`sum with 20`") && !missing.contains("`sum with 1`"), "{missing}");
    assert_eq!(
        made(&choice(&[one, twenty, all_of_them]).unwrap()),
        (vec![twenty, all_of_them], vec![one]),
        "inputs may be chosen, too"
    );

    println!("test stages_are_made_alone_if_what_they_need_is_there ... ok");
}
