//! Stages that run at the same time, in one process and in several.

use surgcam_testkit as common;

use std::process::Stdio;

use crate::{CLASSIFICATION_ONLY, journal};
use common::Place;
use common::experiments::{every_kind, sweep};

#[test]
fn stages_that_do_not_need_each_other_run_side_by_side() {
    let most_at_once = |jobs: &str| {
        let place = Place::new();
        let models = [("one", 1), ("two", 2), ("three", 3)].map(|(name, seed)| {
            let weights = place.path(&format!("{name}.safetensors"));
            common::write_weights(&weights, [1, 1, 1, 1], false, 11, seed);
            format!(
                "[model.{name}]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\n\
                 weights = {weights:?}\n"
            )
        });
        let matrix =
            format!("{}[matrix]\nmodel = [\"one\", \"two\", \"three\"]\n", models.concat());
        let file = sweep(&place, "side-by-side", CLASSIFICATION_ONLY, &matrix);
        place.run(&["run", &file, "--threads", "1", "--jobs", jobs], 0);
        // Evaluations have the device, of which there is one.
        let (mut running, mut most) = (0, 0);
        for (event, _, _) in
            journal(&place).iter().filter(|(_, stage, _)| !stage.starts_with("evaluate"))
        {
            match event.as_str() {
                "started" => running += 1,
                "finished" => running -= 1,
                _ => {}
            }
            most = most.max(running);
        }
        assert_eq!(running, 0);
        most
    };
    assert_eq!(most_at_once("1"), 1);
    assert_eq!(most_at_once("2"), 2);
}

#[test]
fn eight_processes_share_the_work_and_agree() {
    let place = Place::new();
    let file = every_kind(&place, 1);
    let children: Vec<_> =
        (0..8).map(|_| place.spawn(&["run", &file, "--threads", "1"], Stdio::piped)).collect();
    let outputs: Vec<common::Said> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    for said in &outputs {
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.out, outputs[0].out);
    }
    let done = |said: &common::Said| {
        said.err
            .lines()
            .filter_map(|line| Some(line.strip_prefix("done    ")?.split(" (").next()?.to_string()))
            .collect::<Vec<_>>()
    };
    let mut executed: Vec<String> = outputs.iter().flat_map(done).collect();
    let count = executed.len();
    executed.sort();
    executed.dedup();
    assert_eq!(executed.len(), count, "some stage was made twice");
    let stages = place.run_record("every-kind")["plan"]["stages"].as_array().unwrap().len();
    assert_eq!(count, stages, "every stage once over all processes");
}
