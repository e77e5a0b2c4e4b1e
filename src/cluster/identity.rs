//! The identity of a stage, which is known before its key: its kind, its parameters, and the
//! identities of its inputs. It does not depend on the store or on who makes the plan.

use std::fmt::Write;

use surgcam_engine::plan::{Plan, Source};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::key::canonical_json;

/// The identity of each stage of a plan, by its index.
pub fn identities(plan: &Plan) -> Vec<Digest> {
    let mut found: Vec<Digest> = Vec::with_capacity(plan.stages.len());
    for stage in &plan.stages {
        let parameters = canonical_json(&stage.parameters);
        let mut text = format!("{} {} {parameters}", stage.kind, stage.version);
        for (name, source) in &stage.inputs {
            // Writing to a string cannot fail. Stages come after those that they need.
            let _ = match source {
                Source::Stage { id, output } => write!(text, " {name}={}/{output}", found[id.0]),
                Source::External(digest) => write!(text, " {name}={digest}"),
            };
        }
        found.push(Digest::of_bytes(text.as_bytes()));
    }
    found
}
