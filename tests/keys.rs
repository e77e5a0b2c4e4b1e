//! Keys of stages, pinned. A key that changes unnoticed throws away what users have computed: a
//! change here needs a reason and a line in the changelog.

use surgcam_testkit as common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::experiments::every_kind;
use common::{Place, project_folder};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::{NewStage, Plan, Resource, Source, StageId};
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::record::{Form, Output, Outputs};
use surgcam_pipeline::build;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::kinds::{EmptyInputs, EmptyStage, SelfTestStage};
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;

fn plan(place: &Place, file: &Path) -> Plan {
    let experiment = Experiment::load(&project_folder(), file, &[]).unwrap();
    let store = Store::open(&place.path("store"), None).unwrap();
    let machine = MeasuredMachine {
        host: "here".into(),
        device: "cpu".into(),
        threads: 2,
        libtorch: "2.11.0".into(),
    };
    let goals: BTreeSet<Goal> = Goal::of(&experiment);
    build::build(&experiment, &project_folder(), &store, &goals, Some(&machine)).unwrap().plan
}

/// Outputs that have the stage's and their own name for content.
fn outputs(plan: &Plan) -> Vec<Outputs> {
    let mut outputs: Vec<Outputs> = plan.ids().map(|_| Outputs::new()).collect();
    for id in plan.ids() {
        for source in plan.stage(id).inputs.values() {
            if let Source::Stage { id: StageId(made_by), output } = source {
                let content = format!("{} {output}", plan.stage(StageId(*made_by)).name);
                let output_of = Output {
                    digest: Digest::of_bytes(content.as_bytes()),
                    bytes: 0,
                    form: Form::File,
                };
                outputs[*made_by].insert(output.clone().try_into().unwrap(), output_of);
            }
        }
    }
    outputs
}

/// A line for each stage: kind, version, name, key.
fn keys(plan: &Plan) -> String {
    let outputs = outputs(plan);
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for id in plan.ids() {
        let stage = plan.stage(id);
        let key = plan.key(id, |id| Some(&outputs[id.0])).unwrap();
        lines.insert(
            format!("{} {}", stage.kind, stage.name),
            format!("{} {} {}: {}", stage.kind, stage.version, stage.name, key.hex()),
        );
    }
    lines.into_values().collect::<Vec<_>>().join("\n")
}

#[test]
fn keys_of_every_kind_of_stage_are_what_they_were() {
    let place = Place::new();
    let file = every_kind(&place, 2);
    insta::assert_snapshot!("every_kind", keys(&plan(&place, Path::new(&file))));
}

#[test]
fn keys_of_the_quickstart_are_what_they_were() {
    let place = Place::new();
    insta::assert_snapshot!(
        "quickstart",
        keys(&plan(&place, &project_folder().join("experiments/quickstart.toml")))
    );
}

#[test]
fn keys_of_stages_that_belong_to_no_experiment_are_what_they_were() {
    let mut plan = Plan::default();
    plan.add(NewStage::new(
        "empty".into(),
        &EmptyStage { number: 7 },
        EmptyInputs { before: None },
        Resource::Processor,
    ));
    plan.add(NewStage::new("self-test".into(), &SelfTestStage {}, NoInputs, Resource::Device));
    insta::assert_snapshot!(keys(&plan), @r"
    empty 1 empty: 83de18c942758c3c391e0afb2224295a3b4af7cdae3b0ab26d21fe7d98fc4cb9
    self-test 1 self-test: 5edef4fb4877fe004f31fab17f41f1ec7f931cac719512edc531bf4fc71cb88c
    ");
}
