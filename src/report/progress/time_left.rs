//! How many stages are left, and for how long, from what such stages took before.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use surgcam_engine::plan::{Plan, Resource, StageId};
use surgcam_engine::runner::events::Event;

/// What stages of a kind took.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    seconds: f64,
    stages: u32,
}

impl Taken {
    fn add(&mut self, seconds: f64) {
        self.seconds += seconds;
        self.stages += 1;
    }

    fn mean(self) -> f64 {
        self.seconds / f64::from(self.stages.max(1))
    }
}

/// How many stages run at once.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    pub devices: usize,
    pub jobs: usize,
}

pub struct TimeLeft {
    /// The stages that are not done, with what each took the last time.
    open: BTreeMap<StageId, Option<f64>>,
    running: HashMap<StageId, Instant>,
    of_kind: HashMap<&'static str, Taken>,
    /// Absent where nobody knows how many stages run at once; then the time left is unknown.
    slots: Option<Slots>,
    to_run: usize,
}

impl TimeLeft {
    /// `stages` are to run; each comes with the seconds that it took the last time, if any.
    pub fn new(
        plan: &Plan,
        stages: impl Iterator<Item = (StageId, Option<f64>)>,
        slots: Option<Slots>,
    ) -> Self {
        let open: BTreeMap<StageId, Option<f64>> = stages.collect();
        let mut of_kind: HashMap<&'static str, Taken> = HashMap::new();
        for (id, seconds) in &open {
            if let Some(seconds) = seconds {
                of_kind.entry(plan.stage(*id).kind).or_default().add(*seconds);
            }
        }
        TimeLeft { to_run: open.len(), open, running: HashMap::new(), of_kind, slots }
    }

    pub fn to_run(&self) -> usize {
        self.to_run
    }

    fn done(&self) -> usize {
        self.to_run - self.open.len()
    }

    pub fn event(&mut self, plan: &Plan, event: &Event) {
        match event {
            Event::Started { id, .. } => {
                self.running.insert(*id, Instant::now());
            }
            Event::Retrying { id, .. } => {
                self.running.remove(id);
            }
            Event::Finished { id, seconds, .. } => {
                self.of_kind.entry(plan.stage(*id).kind).or_default().add(*seconds);
                self.close(*id);
            }
            Event::Cached { id, .. } | Event::Failed { id, .. } | Event::Blocked { id, .. } => {
                self.close(*id);
            }
            Event::Waiting { .. }
            | Event::Progress { .. }
            | Event::Note { .. }
            | Event::Stopping => {}
        }
    }

    fn close(&mut self, id: StageId) {
        self.open.remove(&id);
        self.running.remove(&id);
    }

    /// Stages done and left, and the time left where something is known of each kind of stage that
    /// is left.
    pub fn in_words(&self, plan: &Plan) -> String {
        let time = self
            .seconds(plan)
            .map(|seconds| format!(", {} left", duration_in_words(seconds)))
            .unwrap_or_default();
        format!("{} of {} stages done, {} to do{time}", self.done(), self.to_run, self.open.len())
    }

    fn seconds(&self, plan: &Plan) -> Option<f64> {
        let slots = self.slots.filter(|_| !self.open.is_empty())?;
        let (mut on_devices, mut in_jobs, mut alone) = (0.0, 0.0, 0.0);
        for (&id, taken) in &self.open {
            let stage = plan.stage(id);
            let whole = taken.or_else(|| self.of_kind.get(stage.kind).map(|taken| taken.mean()))?;
            let spent = self.running.get(&id).map_or(0.0, |begun| begun.elapsed().as_secs_f64());
            let left = (whole - spent).max(0.0);
            match stage.resource {
                Resource::Device => on_devices += left,
                Resource::Processor => in_jobs += left,
                Resource::Alone => alone += left,
            }
        }
        let shared = |seconds: f64, slots: usize| seconds / slots.max(1) as f64;
        let together = shared(on_devices, slots.devices).max(shared(in_jobs, slots.jobs));
        Some(together + alone)
    }
}

fn duration_in_words(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 50.0 => "less than a minute".into(),
        0..60 => format!("about {} min", minutes.max(1)),
        _ => format!("about {} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use surgcam_engine::plan::kind::StageKind;
    use surgcam_engine::plan::{NewStage, Source};
    use surgcam_engine::store::digest::Digest;
    use surgcam_engine::store::key::StageKey;

    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Wait {
        number: usize,
    }

    surgcam_engine::inputs! {
        struct NoInputs<S> {
            nothing: Option<S>,
        }
    }

    impl StageKind for Wait {
        const NAME: &'static str = "wait";
        const VERSION: u32 = 1;
        type Inputs<S> = NoInputs<S>;
    }

    pub fn plan(stages: usize) -> Plan {
        let mut plan = Plan::default();
        for number in 0..stages {
            let inputs = NoInputs::<Source> { nothing: None };
            let name = format!("wait {number}");
            plan.add(NewStage::new(name, &Wait { number }, inputs, Resource::Processor));
        }
        plan
    }

    const SLOTS: Slots = Slots { devices: 1, jobs: 2 };

    fn finished(id: StageId, seconds: f64) -> Event {
        let key = StageKey(Digest::of_bytes(b"x"));
        Event::Finished { id, key, seconds, executed: true }
    }

    #[test]
    fn the_time_left_comes_from_what_such_stages_took_and_slots_share_it() {
        let plan = plan(4);
        let mut left = TimeLeft::new(&plan, plan.ids().map(|id| (id, None)), Some(SLOTS));
        assert_eq!(left.in_words(&plan), "0 of 4 stages done, 4 to do", "nothing is known yet");
        left.event(&plan, &finished(StageId(0), 200.0));
        assert_eq!(left.in_words(&plan), "1 of 4 stages done, 3 to do, about 5 min left");
        left.event(&plan, &Event::Blocked { id: StageId(1), by: StageId(0) });
        left.event(&plan, &finished(StageId(2), 200.0));
        left.event(&plan, &finished(StageId(3), 200.0));
        assert_eq!(left.in_words(&plan), "4 of 4 stages done, 0 to do");
    }

    #[test]
    fn durations_are_told_roughly() {
        let told = [3.0, 55.0, 150.0, 7900.0].map(duration_in_words);
        assert_eq!(told, ["less than a minute", "about 1 min", "about 3 min", "about 2 h 12 min"]);
    }
}
