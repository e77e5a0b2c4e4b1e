//! Fuzz test of what a worker says.

use surgcam_testkit as common;

use std::time::Duration;

use crate::{run_with, script};
use common::Place;
use common::fuzzing::in_limited_process;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{NewStage, Plan, Resource};
use surgcam_engine::runner::events::Silent;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::worker_command::WorkerCommand;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options};
use surgcam_engine::store::Store;
use surgcam_pipeline::kinds::{EmptyInputs, EmptyStage};

/// What a worker of this build says while it makes two stages.
fn spoken(place: &Place) -> Vec<u8> {
    let heard = place.path("heard");
    let real = common::worker().display().to_string();
    let listening = script(place, &format!("{real} \"$@\" | tee {}", heard.display()));
    assert_eq!(
        run_with(place, &listening, &["bench", "empty-plan", "--stages", "2"]).code,
        Some(0)
    );
    std::fs::read(heard).unwrap()
}

#[test]
fn fuzz_what_a_worker_says() {
    let place = Place::new();
    let seeds = [
        spoken(&place),
        b"{\"message\":\"progress\",\"done\":1,\"total\":2,\"unit\":\"frames\"}\n".to_vec(),
    ];
    let line = place.path("said");
    let program = script(&place, &format!("exec cat {}", line.display()));
    let store = Store::open(&place.path("runs-store"), None).unwrap();
    let command = WorkerCommand {
        program,
        device: "cpu".into(),
        threads: 1,
        visible_gpu: None,
        libtorch: None,
        silence: Duration::from_secs(4),
        machine_wait_seconds: 1,
        memory_hint: "",
    };
    in_limited_process("fuzz::fuzz_what_a_worker_says", &seeds, |input| {
        std::fs::write(&line, input).unwrap();
        let mut plan = Plan::default();
        let inputs = EmptyInputs { before: None };
        let first = plan.add(NewStage::new(
            "empty 0".into(),
            &EmptyStage { number: 0 },
            inputs,
            Resource::Processor,
        ));
        let inputs = EmptyInputs { before: Some(first.output(EmptyStage::NOTHING)) };
        plan.add(NewStage::new(
            "empty 1".into(),
            &EmptyStage { number: 1 },
            inputs,
            Resource::Processor,
        ));
        let options =
            Options::local(vec![command.clone()], LogFolder::Temporary(place.folder.path()));
        let known = Known::of(&plan, &store).unwrap();
        // Whatever was said, the run ends, as a failure or with what a worker claims to have made.
        let _ = runner::run(&plan, known, &store, &options, &Interrupt::default(), &mut Silent);
    });
}
