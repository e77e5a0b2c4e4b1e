//! Puts the stages of a plan into jobs.
//!
//! A training is a job, and so is a pass over the frames. Short stages are made by the job whose
//! results they need, because waiting in the queue would take longer than the stages themselves.
//! Such a stage "rides with" the job. Short trainings share jobs among themselves, so that they get
//! the resources that trainings ask for. Stages that measure speed are left out: they get a job of
//! their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, Resource, StageId};

/// The most stages of a pass that one job makes. The runner makes as many of them at once.
const MOST_SIBLINGS: usize = 256;

/// The most seconds that the short trainings of one job are expected to take together. Further
/// trainings get another job, which can run at the same time: beyond this it pays to wait in the
/// queue once more.
const MOST_SHARED_SECONDS: f64 = 300.0;

/// Which job makes a stage that is not part of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Placing {
    /// A job of its own.
    Own,
    /// The job whose results it needs.
    Rides,
    /// A job that it shares with others which need the same jobs. It is expected to take so many
    /// seconds.
    Shares { seconds: f64 },
}

/// Stages that one job makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedJob {
    /// The stages in the order of the plan. The job was made for the first one, and the others
    /// joined it.
    pub stages: Vec<StageId>,
    /// The jobs whose results this one needs, by their place in the list. They come before it.
    pub after: BTreeSet<usize>,
    pub needs_device: bool,
}

impl PackedJob {
    /// The kind of the stage that the job was made for.
    pub fn kind(&self, plan: &Plan) -> &'static str {
        plan.stage(self.stages[0]).kind
    }
}

struct Packing<'a> {
    plan: &'a Plan,
    jobs: Vec<PackedJob>,
    /// The jobs that come before each job, and those before them.
    before: Vec<BTreeSet<usize>>,
    job_of: HashMap<StageId, usize>,
    /// For each pass, the job that its next stage joins, and how many stages this job has.
    passes: HashMap<&'a str, (usize, usize)>,
    /// The job of short stages that need no result of another job.
    roots: Option<usize>,
    /// The job that short trainings with the same needs join, with the seconds of those that it
    /// has.
    shared: BTreeMap<BTreeSet<usize>, (usize, f64)>,
}

/// The jobs for all stages that are not in the store and do not measure speed.
pub fn packed(plan: &Plan, known: &Known, placing: impl Fn(StageId) -> Placing) -> Vec<PackedJob> {
    let mut packing = Packing {
        plan,
        jobs: Vec::new(),
        before: Vec::new(),
        job_of: HashMap::new(),
        passes: HashMap::new(),
        roots: None,
        shared: BTreeMap::new(),
    };
    let to_pack =
        plan.ids().filter(|id| !known.is_made(*id) && plan.stage(*id).resource != Resource::Alone);
    for id in to_pack {
        packing.add(id, placing(id));
    }
    packing.jobs
}

impl<'a> Packing<'a> {
    fn add(&mut self, id: StageId, placing: Placing) {
        let after: BTreeSet<usize> =
            self.plan.dependencies(id).filter_map(|id| self.job_of.get(&id).copied()).collect();
        let plan: &'a Plan = self.plan;
        let job = match (plan.stage(id).pass.as_deref(), placing) {
            (Some(pass), _) => self.job_of_pass(pass, after),
            (None, Placing::Rides) => self.job_to_ride_with(after),
            (None, Placing::Shares { seconds }) => self.job_to_share(after, seconds),
            (None, Placing::Own) => self.new_job(after),
        };
        self.jobs[job].needs_device |= plan.stage(id).resource == Resource::Device;
        self.jobs[job].stages.push(id);
        self.job_of.insert(id, job);
    }

    /// All stages of a pass have equal inputs, so each of them needs the same jobs.
    fn job_of_pass(&mut self, pass: &'a str, after: BTreeSet<usize>) -> usize {
        if let Some((job, members)) = self.passes.get_mut(pass)
            && *members < MOST_SIBLINGS
        {
            *members += 1;
            return *job;
        }
        let job = self.new_job(after);
        self.passes.insert(pass, (job, 1));
        job
    }

    /// The last of the jobs that it needs, if that job waits for all the others anyway. A stage
    /// that rides with a job never makes the job wait for more jobs, so two jobs can never wait for
    /// each other.
    fn job_to_ride_with(&mut self, after: BTreeSet<usize>) -> usize {
        if after.is_empty() {
            if let Some(job) = self.roots {
                return job;
            }
            let job = self.new_job(after);
            self.roots = Some(job);
            return job;
        }
        let comes_last = |job: &usize| {
            after.iter().all(|other| other == job || self.before[*job].contains(other))
        };
        let last = after.iter().rev().copied().find(comes_last);
        last.unwrap_or_else(|| self.new_job(after))
    }

    fn job_to_share(&mut self, after: BTreeSet<usize>, seconds: f64) -> usize {
        if let Some((job, taken)) = self.shared.get_mut(&after)
            && *taken + seconds <= MOST_SHARED_SECONDS
        {
            *taken += seconds;
            return *job;
        }
        let job = self.new_job(after.clone());
        self.shared.insert(after, (job, seconds));
        job
    }

    fn new_job(&mut self, after: BTreeSet<usize>) -> usize {
        let mut before = after.clone();
        for job in &after {
            before.extend(&self.before[*job]);
        }
        self.before.push(before);
        self.jobs.push(PackedJob { stages: Vec::new(), after, needs_device: false });
        self.jobs.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use surgcam_engine::inputs;
    use surgcam_engine::plan::kind::{OutputOf, StageKind};
    use surgcam_engine::plan::{Handle, NewStage};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Toy {
        number: usize,
    }

    inputs! {
        struct ToyInputs<S> {
            first: Option<S>,
            second: Option<S>,
        }
    }

    impl StageKind for Toy {
        const NAME: &'static str = "toy";
        const VERSION: u32 = 1;

        type Inputs<S> = ToyInputs<S>;
    }

    const OUT: OutputOf<Toy> = OutputOf::new("out");

    #[derive(Serialize, Deserialize)]
    struct InPass {
        number: usize,
    }

    inputs! {
        struct PassInputs<S> {
            weights: S,
        }
    }

    impl StageKind for InPass {
        const NAME: &'static str = "in-pass";
        const VERSION: u32 = 1;
        const PASS: Option<&'static str> = Some("pass");

        type Inputs<S> = PassInputs<S>;
    }

    fn toy(
        plan: &mut Plan,
        number: usize,
        needs: [Option<Handle<Toy>>; 2],
        resource: Resource,
    ) -> Handle<Toy> {
        let [first, second] = needs.map(|needed| needed.map(|needed| needed.output(OUT)));
        let inputs = ToyInputs { first, second };
        plan.add(NewStage::new(format!("toy {number}"), &Toy { number }, inputs, resource))
    }

    fn in_pass(plan: &mut Plan, number: usize, weights: Handle<Toy>) -> StageId {
        let inputs = PassInputs { weights: weights.output(OUT) };
        let name = format!("pass {number}");
        plan.add(NewStage::new(name, &InPass { number }, inputs, Resource::Device)).id()
    }

    fn packed_by_resource(plan: &Plan) -> Vec<(Vec<usize>, Vec<usize>)> {
        packed_as(plan, |id| match plan.stage(id).resource {
            Resource::Processor => Placing::Rides,
            _ => Placing::Own,
        })
    }

    fn packed_as(
        plan: &Plan,
        placing: impl Fn(StageId) -> Placing,
    ) -> Vec<(Vec<usize>, Vec<usize>)> {
        let folder = tempfile::tempdir().unwrap();
        let store = surgcam_engine::store::Store::open(folder.path(), None).unwrap();
        let known = Known::of(plan, &store).unwrap();
        packed(plan, &known, placing)
            .into_iter()
            .map(|job| {
                (job.stages.iter().map(|id| id.0).collect(), job.after.into_iter().collect())
            })
            .collect()
    }

    #[test]
    fn a_pass_is_one_job_and_short_stages_ride_with_what_they_need() {
        let mut plan = Plan::default();
        let data = toy(&mut plan, 0, [None, None], Resource::Processor);
        let other_data = toy(&mut plan, 1, [Some(data), None], Resource::Processor);
        let train = toy(&mut plan, 2, [Some(data), None], Resource::Device);
        in_pass(&mut plan, 3, train);
        in_pass(&mut plan, 4, train);
        toy(&mut plan, 5, [Some(train), Some(other_data)], Resource::Processor);
        toy(&mut plan, 6, [Some(train), None], Resource::Alone);
        assert_eq!(
            packed_by_resource(&plan),
            [(vec![0, 1], vec![]), (vec![2, 5], vec![0]), (vec![3, 4], vec![1])]
        );
    }

    #[test]
    fn a_short_stage_between_two_jobs_that_do_not_know_each_other_makes_neither_wait() {
        let mut plan = Plan::default();
        let one = toy(&mut plan, 0, [None, None], Resource::Device);
        let other = toy(&mut plan, 1, [None, None], Resource::Device);
        let both = toy(&mut plan, 2, [Some(one), Some(other)], Resource::Processor);
        toy(&mut plan, 3, [Some(both), Some(one)], Resource::Processor);
        assert_eq!(
            packed_by_resource(&plan),
            [(vec![0], vec![]), (vec![1], vec![]), (vec![2, 3], vec![0, 1])]
        );
    }

    #[test]
    fn short_trainings_share_jobs_up_to_a_time_and_not_that_of_the_data() {
        let mut plan = Plan::default();
        let data = toy(&mut plan, 0, [None, None], Resource::Processor);
        for number in 1..=3 {
            toy(&mut plan, number, [Some(data), None], Resource::Device);
        }
        let jobs = packed_as(&plan, |id| match plan.stage(id).resource {
            Resource::Processor => Placing::Rides,
            _ => Placing::Shares { seconds: MOST_SHARED_SECONDS / 2.0 },
        });
        assert_eq!(jobs, [(vec![0], vec![]), (vec![1, 2], vec![0]), (vec![3], vec![0])]);
    }

    #[test]
    fn a_wide_pass_becomes_several_jobs() {
        let mut plan = Plan::default();
        let train = toy(&mut plan, 0, [None, None], Resource::Device);
        for number in 1..=MOST_SIBLINGS + 1 {
            in_pass(&mut plan, number, train);
        }
        let sizes: Vec<usize> =
            packed_by_resource(&plan).into_iter().map(|(stages, _)| stages.len()).collect();
        assert_eq!(sizes, [1, MOST_SIBLINGS, 1]);
    }
}
