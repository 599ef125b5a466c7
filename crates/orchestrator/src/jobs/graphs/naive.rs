//! What must become of a run, said as simply as possible: after every event everything is worked out again from the
//! states of all jobs. No counters, no edges, no memory of what was worked out before.

use kici_model::state::JobState;

use super::shape::{Fan, Shape, What, Whom, generator_name, job_name, made_name};
use super::step::{Outcome, Step, Told};

/// A run.
#[derive(Debug, Clone)]
pub(super) struct Naive<'a> {
    shape: &'a Shape,
    pub(super) jobs: Vec<Job>,
    /// Somebody has stopped it.
    pub(super) stopped: bool,
    /// Nobody has approved it yet.
    pub(super) is_held: bool,
    /// An approval was refused.
    refused: bool,
}

/// A job of it.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) name: String,
    base: String,
    entry: usize,
    /// Which one of what the generator at `entry` made.
    pub(super) made: Option<usize>,
    /// Place in its fan-out.
    index: u8,
    /// How many of its fan-out may be under way; none for all.
    at_once: Option<u8>,
    fail_fast: bool,
    pub(super) state: JobState,
    /// It has had its turn in its fan-out, or needs none.
    turn: bool,
    /// Somebody still has to approve it.
    asks: bool,
    /// Whom it needs, each with the states that are good.
    needs: Vec<(Whom, Vec<JobState>)>,
}

impl<'a> Naive<'a> {
    /// A new run.
    pub(super) fn new(shape: &'a Shape) -> Self {
        let mut run = Naive {
            shape,
            jobs: Vec::new(),
            stopped: false,
            is_held: shape.approval,
            refused: false,
        };
        for (at, entry) in shape.entries.iter().enumerate() {
            match &entry.what {
                What::Job(fan) => run.add(job_name(at), at, None, fan),
                What::Generator(_) => {
                    let fan =
                        Fan { values: None, at_once: None, fail_fast: false, approval: false };
                    run.add(generator_name(at), at, None, &fan);
                }
            }
        }
        run.settle();
        run
    }

    fn add(&mut self, base: String, entry: usize, made: Option<usize>, fan: &Fan) {
        let children = fan.values.unwrap_or(1);
        let needs = self.shape.needs(entry, made).into_iter();
        let needs: Vec<_> = needs.map(|(whom, when)| (whom, when.accepts())).collect();
        for index in 0..children.max(1) {
            let at_once = fan.at_once.filter(|at_once| *at_once < children);
            self.jobs.push(Job {
                name: match fan.values {
                    Some(1..) => format!("{base} ({index})"),
                    _ => base.clone(),
                },
                base: base.clone(),
                entry,
                made,
                index,
                at_once,
                fail_fast: fan.fail_fast,
                state: if children == 0 { JobState::Failed } else { JobState::Pending },
                turn: at_once.is_none(),
                asks: fan.approval,
                needs: needs.clone(),
            });
        }
    }

    /// Works everything out again, until nothing changes.
    fn settle(&mut self) {
        loop {
            let before: Vec<(JobState, bool)> =
                self.jobs.iter().map(|j| (j.state, j.turn)).collect();
            for at in 0..self.jobs.len() {
                if self.jobs[at].state == JobState::Pending
                    && self
                        .upstreams(at)
                        .iter()
                        .any(|(state, ok)| state.is_final() && !ok.contains(state))
                {
                    self.jobs[at].state = JobState::Skipped;
                }
            }
            for at in 0..self.jobs.len() {
                self.window(at);
            }
            if before.iter().copied().eq(self.jobs.iter().map(|j| (j.state, j.turn))) {
                break;
            }
        }
        for at in 0..self.jobs.len() {
            let met = self.upstreams(at).iter().all(|(state, ok)| ok.contains(state));
            let job = &mut self.jobs[at];
            if job.state == JobState::Pending && job.turn && met {
                job.state =
                    if job.asks || self.is_held { JobState::Held } else { JobState::Queued };
            }
        }
    }

    /// Who of the fan-out of a job has its turn, and who will never have one.
    fn window(&mut self, at: usize) {
        let Job { base, at_once: Some(at_once), fail_fast, .. } = self.jobs[at].clone() else {
            return;
        };
        let of: Vec<usize> =
            (0..self.jobs.len()).filter(|at| self.jobs[*at].base == base).collect();
        let bad = |at: &usize| {
            self.jobs[*at].state.is_final() && self.jobs[*at].state != JobState::Success
        };
        let halted = fail_fast && of.iter().any(bad);
        let under_way = of
            .iter()
            .filter(|at| self.jobs[**at].turn && !self.jobs[**at].state.is_final())
            .count();
        let mut waiting: Vec<usize> = of
            .into_iter()
            .filter(|at| !self.jobs[*at].turn && !self.jobs[*at].state.is_final())
            .collect();
        waiting.sort_by_key(|at| self.jobs[*at].index);
        if halted {
            waiting.into_iter().for_each(|at| self.jobs[at].state = JobState::Skipped);
        } else {
            waiting
                .into_iter()
                .take(usize::from(at_once).saturating_sub(under_way))
                .for_each(|at| self.jobs[at].turn = true);
        }
    }

    /// The states of everything that a job needs, each with those that are good.
    fn upstreams(&self, at: usize) -> Vec<(JobState, Vec<JobState>)> {
        let job = &self.jobs[at];
        let mut all = Vec::new();
        for (whom, good) in &job.needs {
            for other in &self.jobs {
                let meant = match whom {
                    Whom::Job(base) => other.base == *base,
                    Whom::Child(name) => other.name == *name,
                    Whom::Group(entry) => other.entry == *entry,
                };
                let mut good = good.clone();
                if matches!(whom, Whom::Group(_)) && other.made.is_none() {
                    // What is in the group has to be known, whatever it is needed for.
                    good.push(JobState::Success);
                }
                if meant {
                    all.push((other.state, good));
                }
            }
        }
        all
    }

    /// What a step makes of it; more than one answer where the order of what happens at the same time is open.
    pub(super) fn after(&self, step: &Step) -> impl Iterator<Item = Naive<'a>> {
        let batches = match step {
            Step::Report(batches) => batches.as_slice(),
            _ => &[],
        };
        let orders = orders(batches).into_iter().flat_map(|batches| {
            let inside: Vec<Vec<Vec<Told>>> = batches.iter().map(|batch| orders(batch)).collect();
            combinations(&inside)
        });
        orders.map(move |batches| match step {
            Step::Report(_) => {
                batches.iter().fold(self.clone(), |run, batch| run.after_batch(batch))
            }
            other => self.clone().after_one(other),
        })
    }

    fn after_one(mut self, step: &Step) -> Naive<'a> {
        match step {
            Step::Start(jobs) => jobs.iter().for_each(|job| self.start(job)),
            Step::Refuse(_) | Step::Report(_) => {}
            Step::Expire(job) => {
                let job = job.clone();
                self.end(&Told { job, outcome: Outcome::Stale, dropped: Vec::new() });
            }
            Step::Decide { job, approve } => self.decided(job.as_deref(), *approve),
            Step::Cancel { .. } => self.cancel(),
        }
        self
    }

    /// All of a batch run before any of them ends.
    fn after_batch(mut self, batch: &[Told]) -> Naive<'a> {
        batch.iter().for_each(|told| self.start(&told.job));
        batch.iter().for_each(|told| self.end(told));
        self
    }

    fn start(&mut self, name: &str) {
        let job = self.job(name);
        if job.state == JobState::Queued {
            job.state = JobState::Running;
        }
    }

    fn end(&mut self, told: &Told) {
        let stopped = self.stopped;
        let job = self.job(&told.job);
        if job.state.is_final() {
            return;
        }
        // Stopped is stopped, also when the last step was quicker than the order.
        let was_stopping = job.state == JobState::Cancelling;
        job.state = match told.outcome {
            Outcome::Success if !was_stopping => JobState::Success,
            Outcome::Success | Outcome::Cancelled => JobState::Cancelled,
            Outcome::Failed => JobState::Failed,
            Outcome::Stale => JobState::TimedOutStale,
        };
        let (entry, made, success) = (job.entry, job.made, job.state == JobState::Success);
        for other in &mut self.jobs {
            let open = matches!(other.state, JobState::Pending | JobState::Held | JobState::Queued);
            let sibling = other.entry == entry && made.is_some() && other.made.is_some();
            if !stopped
                && sibling
                && open
                && other.name != told.job
                && told.dropped.contains(&other.base)
            {
                other.state = JobState::DriftDropped;
            }
        }
        if let (What::Generator(jobs), None, true) =
            (&self.shape.entries[entry].what, made, success)
        {
            for (at, (fan, _)) in jobs.iter().enumerate() {
                self.add(made_name(entry, at), entry, Some(at), fan);
            }
        }
        self.settle();
    }

    fn decided(&mut self, job: Option<&str>, approve: bool) {
        match (job, approve) {
            (None, true) => {
                self.is_held = false;
                for job in
                    self.jobs.iter_mut().filter(|job| job.state == JobState::Held && !job.asks)
                {
                    job.state = JobState::Queued;
                }
            }
            (None, false) => {
                self.refused = true;
                self.jobs
                    .iter_mut()
                    .filter(|job| !job.state.is_final())
                    .for_each(|job| job.state = JobState::Cancelled);
            }
            (Some(name), true) => {
                let job = self.job(name);
                job.asks = false;
                job.state = JobState::Queued;
            }
            (Some(name), false) => {
                self.refused = true;
                self.job(name).state = JobState::Cancelled;
                self.settle();
            }
        }
    }

    fn cancel(&mut self) {
        self.stopped = true;
        for job in &mut self.jobs {
            job.state = match job.state {
                JobState::Running => JobState::Cancelling,
                state if state.is_final() || state == JobState::Cancelling => state,
                _ => JobState::Cancelled,
            };
        }
    }

    fn job(&mut self, name: &str) -> &mut Job {
        self.jobs.iter_mut().find(|job| job.name == name).expect("events are about jobs that exist")
    }

    pub(super) fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| job.state.is_final())
    }

    /// State and reason of the whole run once it is over.
    pub(super) fn verdict(&self) -> (&'static str, Option<String>) {
        let bad = [JobState::Failed, JobState::TimedOutStale, JobState::DriftDropped];
        let bad: Vec<&str> = self
            .jobs
            .iter()
            .filter(|job| bad.contains(&job.state))
            .map(|job| job.name.as_str())
            .collect();
        if !bad.is_empty() {
            return ("failed", Some(format!("Failed jobs: {}", bad.join(", "))));
        }
        match self.jobs.iter().any(|job| job.state == JobState::Cancelled) {
            true if self.refused => ("failed", None),
            true => ("cancelled", None),
            false => ("success", None),
        }
    }

    /// The base names of what the same generator made.
    pub(super) fn siblings(&self, name: &str) -> Vec<&str> {
        let Some(own) = self.jobs.iter().find(|job| job.name == name && job.made.is_some()) else {
            return Vec::new();
        };
        let other =
            |job: &&Job| job.entry == own.entry && job.made.is_some() && job.base != own.base;
        self.jobs.iter().filter(other).map(|job| job.base.as_str()).collect()
    }
}

/// All orders of a few things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..things.len() {
        let mut rest = things.to_vec();
        let first = rest.remove(at);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    all
}

/// One of each, in every way.
fn combinations<T: Clone>(choices: &[Vec<T>]) -> Vec<Vec<T>> {
    choices.iter().fold(vec![Vec::new()], |all, choices| {
        let mut longer = Vec::new();
        for one in &all {
            longer.extend(
                choices
                    .iter()
                    .map(|choice| [one.as_slice(), std::slice::from_ref(choice)].concat()),
            );
        }
        longer
    })
}
