//! The limits that an experiment sets to stages: how long one may take, and how often it is tried
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kinds::kind_names;
use surgcam_engine::error::Error;
use surgcam_engine::plan::{Limits, Plan};
use surgcam_engine::quote::shortened;
use surgcam_recipe::file::did_you_mean;
use surgcam_recipe::schema::StageLimits;

/// The limits key that concerns every kind.
const ALL_KINDS: &str = "all";

/// An error for each limit that names an unknown kind of stage.
pub(super) fn unknown_kinds(limits: &BTreeMap<String, StageLimits>) -> Vec<Error> {
    let known = || kind_names().chain([ALL_KINDS]);
    let mistake = |unknown: &String| {
        Error::usage(format!(
            "experiment.limits names the stage kind `{}`{}",
            shortened(unknown),
            did_you_mean(unknown, known())
        ))
        .hint(format!("the kinds are {}", known().collect::<Vec<_>>().join(", ")))
    };
    limits.keys().filter(|kind| !known().any(|known| known == kind.as_str())).map(mistake).collect()
}

/// Gives each stage the limits of its kind, or those of all kinds.
pub(super) fn set_limits(plan: &mut Plan, limits: &BTreeMap<String, StageLimits>) {
    if limits.is_empty() {
        return;
    }
    for stage in &mut plan.stages {
        let found = limits.get(stage.kind).or(limits.get(ALL_KINDS)).copied().unwrap_or_default();
        let timeout = found.timeout_seconds.map(|seconds| Duration::from_secs_f64(seconds.value()));
        stage.limits = Limits { timeout, retries: found.retries.into() };
    }
}
