//! A run as rows in memory: made, followed and grown by the real pure functions. The statements between them are those
//! of PostgreSQL, with the same conditions.

use std::collections::{HashMap, HashSet};

use kici_model::event::Event;
use kici_model::graph::{Accepts, cascade};
use kici_model::lock::Workflow;
use kici_model::state::{EndReason, JobKind, JobState, ReasonChange, derive_run};
use kici_store::grow::{GraphEdge, GraphJob};
use kici_store::hold::HoldRow;
use kici_store::job::{JobRow, NeedRow};
use uuid::Uuid;

use super::super::decide::{Ending, decide};
use super::play::{Seen, SeenJob, System};
use super::shape::Shape;
use super::step::{Outcome, Step, Told};
use crate::runs::{Cause, NewRun, WorkflowPlan, generated_jobs, grow, stamp};

/// See the module.
pub(super) struct Memory<'a> {
    shape: &'a Shape,
    workflow: Workflow,
    run: Uuid,
    state: String,
    reason: Option<String>,
    open_jobs: i32,
    stop: bool,
    jobs: Vec<Row>,
    needs: Vec<NeedRow>,
}

struct Row {
    row: JobRow,
    state: JobState,
    attempt: i32,
    agent: bool,
    failures: i16,
    /// It has an approval of its own, which nobody has given.
    asks: bool,
    refused: bool,
}

impl Row {
    fn new(row: &JobRow, holds: &[HoldRow]) -> Row {
        let state = row.state.parse().expect("written by us");
        let asks = holds.iter().any(|hold| hold.job_id == Some(row.id));
        Row { row: row.clone(), state, attempt: 0, agent: false, failures: 0, asks, refused: false }
    }
}

/// A run of a workflow, stamped.
pub(super) fn stamped(workflow: &Workflow) -> NewRun {
    let plan = WorkflowPlan::of_stored(workflow);
    let event = Event { kind: "push".into(), target_branch: "main".into(), ..Event::default() };
    let cause = Cause {
        org_id: "acme",
        delivery: None,
        delivery_id: "d",
        routing_key: "generic:acme:x",
        provider: "local",
        repo: "acme/app",
        git_ref: "main",
        sha: "HEAD",
        trust_tier: None,
        lock_file_source: None,
        event: &event,
        decision: None,
    };
    stamp(&plan, cause)
}

impl<'a> Memory<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        let workflow = shape.workflow();
        let new = stamped(&workflow);
        Memory {
            shape,
            workflow,
            run: new.row.id,
            state: new.row.state,
            reason: new.row.failure_reason,
            open_jobs: new.row.open_jobs,
            stop: false,
            jobs: new.jobs.iter().map(|row| Row::new(row, &new.holds)).collect(),
            needs: new.needs,
        }
    }

    fn at(&self, name: &str) -> usize {
        self.jobs
            .iter()
            .position(|job| job.row.name == name)
            .expect("events are about jobs that exist")
    }

    fn start(&mut self, name: &str) {
        let at = self.at(name);
        let job = &mut self.jobs[at];
        if job.agent && job.state == JobState::Queued {
            job.state = JobState::Running;
            if matches!(self.state.as_str(), "pending" | "held") {
                self.state = "running".into();
            }
        }
    }

    fn report(&mut self, batch: &[Told]) {
        batch.iter().for_each(|told| self.start(&told.job));
        let mut seen = HashSet::new();
        let mut first: Vec<(usize, JobState)> = Vec::new();
        let mut caused: Vec<(usize, Ending)> = Vec::new();
        for told in batch {
            let at = self.at(&told.job);
            let ending = match told.outcome {
                Outcome::Success => Ending::Success,
                Outcome::Failed => Ending::Failed,
                Outcome::Cancelled => Ending::Cancelled,
                Outcome::Stale => Ending::Stale,
            };
            let to = decide(self.jobs[at].state, ending).filter(|_| seen.insert(at));
            let Some(to) = to else { continue };
            first.push((at, to));
            if self.stop {
                continue;
            }
            if self.jobs[at].row.kind == JobKind::Dynamic && to == JobState::Success {
                caused.extend(self.grow(at));
            }
            caused.extend(self.dropped(at, &told.dropped).map(|at| (at, Ending::Dropped)));
        }
        for (at, ending) in caused {
            let to = decide(self.jobs[at].state, ending).filter(|_| seen.insert(at));
            first.extend(to.map(|to| (at, to)));
        }
        self.end(first);
    }

    fn dropped(&self, at: usize, names: &[String]) -> impl Iterator<Item = usize> + use<> {
        let own = &self.jobs[at].row;
        let gone = |(other, job): (usize, &Row)| {
            let sibling = job.row.body.is_some()
                && own.body.is_some()
                && job.row.lock_index == own.lock_index;
            let open = !job.state.is_final() && !job.state.is_with_agent();
            (sibling && open && other != at && names.contains(&job.row.base_name)).then_some(other)
        };
        self.jobs.iter().enumerate().filter_map(gone).collect::<Vec<_>>().into_iter()
    }

    /// Writes ends and everything that follows from them.
    fn end(&mut self, first: Vec<(usize, JobState)>) {
        let halted = self.turns(&first);
        let mut states = first.clone();
        states.extend(halted.iter().map(|at| (*at, JobState::Skipped)));
        let mut waiting: HashMap<usize, Vec<(usize, Accepts)>> = HashMap::new();
        let at: HashMap<Uuid, usize> =
            self.jobs.iter().enumerate().map(|(at, job)| (job.row.id, at)).collect();
        for need in &self.needs {
            let accepts: Vec<String> = need.run_on.split(',').map(str::to_owned).collect();
            let job = at[&need.job_id];
            if self.jobs[job].state == JobState::Pending
                && !first.iter().any(|(ended, _)| *ended == job)
            {
                let edge = (job, Accepts::from_run_on(Some(&accepts)));
                waiting.entry(at[&need.upstream]).or_default().push(edge);
            }
        }
        let after = cascade(&states, &waiting);
        states.extend(after.skips.iter().map(|(at, ..)| (*at, JobState::Skipped)));
        for (at, to) in states {
            self.jobs[at].state = to;
            self.open_jobs -= 1;
        }
        // Whose turn has come: as many as ended with a place.
        let mut met: HashMap<usize, i32> = after
            .met
            .into_iter()
            .map(|(at, edges)| (at, i32::try_from(edges).expect("few")))
            .collect();
        for next in self.next_turns(&first) {
            *met.entry(next).or_default() += 1;
            self.jobs[next].row.gated = false;
        }
        for (at, met) in met {
            self.meet(at, met);
        }
        self.settle();
    }

    fn meet(&mut self, at: usize, met: i32) {
        let job = &mut self.jobs[at];
        if job.state != JobState::Pending {
            return;
        }
        job.row.open_needs -= met;
        assert!(job.row.open_needs >= 0, "{} counts below zero", job.row.name);
        if job.row.open_needs == 0 {
            job.state = if job.row.hold { JobState::Held } else { JobState::Queued };
        }
    }

    /// Children whose turn will never come.
    fn turns(&self, ended: &[(usize, JobState)]) -> Vec<usize> {
        let halts = |base: &str| {
            ended.iter().any(|(at, to)| {
                let row = &self.jobs[*at].row;
                row.base_name == base
                    && row.max_parallel.is_some()
                    && row.fail_fast
                    && *to != JobState::Success
            })
        };
        let waits = |at: &usize| !ended.iter().any(|(ended, _)| ended == at);
        (0..self.jobs.len())
            .filter(|at| {
                let job = &self.jobs[*at];
                job.state == JobState::Pending && job.row.gated && halts(&job.row.base_name)
            })
            .filter(waits)
            .collect()
    }

    fn next_turns(&self, ended: &[(usize, JobState)]) -> Vec<usize> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (at, _) in ended {
            let row = &self.jobs[*at].row;
            if row.max_parallel.is_some() && !row.gated {
                *places.entry(&row.base_name).or_default() += 1;
            }
        }
        let mut next = Vec::new();
        for (base, places) in places {
            let gated = |at: &usize| {
                let job = &self.jobs[*at];
                job.row.base_name == base && job.row.gated && job.state == JobState::Pending
            };
            let mut of: Vec<usize> = (0..self.jobs.len()).filter(gated).collect();
            of.sort_by_key(|at| self.jobs[*at].row.fanout_index);
            next.extend(of.into_iter().take(places));
        }
        next
    }

    fn settle(&mut self) {
        if self.open_jobs > 0 || matches!(self.state.as_str(), "success" | "failed" | "cancelled") {
            return;
        }
        let refused = self.jobs.iter().any(|job| job.refused).then(|| "refused".to_owned());
        let derived =
            derive_run(self.jobs.iter().map(|job| (job.row.name.as_str(), job.state)), false)
                .refused(refused);
        self.state = derived.state.as_str().to_owned();
        match derived.reason {
            ReasonChange::Keep => {}
            ReasonChange::Clear => self.reason = None,
            ReasonChange::Set(reason) => self.reason = Some(reason),
        }
    }

    /// Adds what a generator gives; answers the jobs that end because of it.
    fn grow(&mut self, at: usize) -> Vec<(usize, Ending)> {
        let entry = self.jobs[at].row.lock_index.and_then(|index| usize::try_from(index).ok());
        let made =
            generated_jobs(&self.shape.generated(entry.expect("generators are in the file")))
                .expect("written by us");
        let waits = |need: &&NeedRow| {
            let job = self.jobs.iter().find(|job| job.row.id == need.job_id);
            job.is_some_and(|job| job.state == JobState::Pending)
                || need.job_id == self.jobs[at].row.id
        };
        let edge = |need: &NeedRow| GraphEdge {
            job_id: need.job_id,
            upstream: need.upstream,
            run_on: need.run_on.split(',').map(str::to_owned).collect(),
        };
        let graph = grow::Graph {
            run: self.run,
            routing_key: "generic:acme:x".into(),
            workflow: self.workflow.clone(),
            jobs: self.jobs.iter().map(graph_job).collect(),
            edges: self.needs.iter().filter(waits).map(edge).collect(),
            hosts: None,
            priority: 0,
        };
        let growth = grow::generated(&graph, &graph.jobs[at], &made).expect("names are unique");
        self.open_jobs += growth.opened();
        for wait in &growth.waits {
            let job = self.jobs.iter_mut().find(|job| job.row.id == wait.id).expect("it waits");
            job.row.open_needs += wait.more;
        }
        self.jobs.extend(growth.jobs.iter().map(|row| Row::new(row, &growth.holds)));
        self.needs.extend(growth.needs);
        let place =
            |id: Uuid| self.jobs.iter().position(|job| job.row.id == id).expect("of this run");
        let ending = |reason: &EndReason| match reason {
            EndReason::UpstreamUnmet { .. } => Ending::Skipped,
            _ => Ending::Failed,
        };
        growth.ends.iter().map(|(id, reason)| (place(*id), ending(reason))).collect()
    }

    fn decided(&mut self, job: Option<&str>, approve: bool) {
        let own = job.map(|name| self.at(name));
        let of_it = |at: usize, job: &Row| match own {
            Some(own) => own == at,
            None => approve && job.state == JobState::Held || !approve && !job.state.is_final(),
        };
        let of_it: Vec<usize> = self
            .jobs
            .iter()
            .enumerate()
            .filter(|(at, job)| of_it(*at, job))
            .map(|(at, _)| at)
            .collect();
        if !approve {
            of_it.iter().for_each(|at| self.jobs[*at].refused = true);
            return self.end(of_it.into_iter().map(|at| (at, JobState::Cancelled)).collect());
        }
        for at in of_it {
            let job = &mut self.jobs[at];
            // With the run's approval, jobs that have an approval of their own ask for it.
            if own.is_some() || !job.asks {
                job.row.hold = false;
                job.state = JobState::Queued;
            }
        }
    }

    fn cancel(&mut self) {
        self.stop = true;
        self.state = "cancelling".into();
        let (with_agent, rest): (Vec<usize>, Vec<usize>) = (0..self.jobs.len())
            .filter(|at| !self.jobs[*at].state.is_final())
            .partition(|at| self.jobs[*at].state.is_with_agent());
        with_agent.into_iter().for_each(|at| self.jobs[at].state = JobState::Cancelling);
        self.end(rest.into_iter().map(|at| (at, JobState::Cancelled)).collect());
    }
}

fn graph_job(job: &Row) -> GraphJob {
    GraphJob {
        id: job.row.id,
        position: job.row.position,
        name: job.row.name.clone(),
        base_name: job.row.base_name.clone(),
        kind: job.row.kind.as_str().to_owned(),
        lock_index: job.row.lock_index,
        generated: job.row.body.is_some(),
        body: job.row.body.clone(),
        state: job.state.as_str().to_owned(),
        attempt: job.attempt,
        open_needs: job.row.open_needs,
        ..GraphJob::default()
    }
}

impl System for Memory<'_> {
    async fn look(&mut self) -> Seen {
        let job = |job: &Row| SeenJob {
            name: job.row.name.clone(),
            state: job.state,
            open_needs: job.row.open_needs,
            agent: job.agent,
            attempt: job.attempt,
            failures: job.failures,
        };
        Seen {
            state: self.state.clone(),
            reason: self.reason.clone(),
            open_jobs: self.open_jobs,
            jobs: self.jobs.iter().map(job).collect(),
        }
    }

    async fn claim(&mut self, most: usize) -> Vec<String> {
        let waiting =
            self.jobs.iter_mut().filter(|job| job.state == JobState::Queued && !job.agent);
        let claim = |job: &mut Row| {
            job.agent = true;
            job.attempt += 1;
            job.row.name.clone()
        };
        waiting.take(most).map(claim).collect()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Start(jobs) => jobs.iter().for_each(|job| self.start(job)),
            Step::Refuse(job) => {
                let at = self.at(job);
                let job = &mut self.jobs[at];
                (job.agent, job.failures) = (false, job.failures + 1);
            }
            Step::Report(batches) => batches.iter().for_each(|batch| self.report(batch)),
            Step::Expire(job) => {
                let at = self.at(job);
                let to = decide(self.jobs[at].state, Ending::Stale);
                self.end(to.map(|to| (at, to)).into_iter().collect());
            }
            Step::Decide { job, approve } => self.decided(job.as_deref(), *approve),
            Step::Cancel { .. } => self.cancel(),
        }
    }

    async fn again(&mut self, step: &Step) {
        match step {
            Step::Report(_) | Step::Expire(_) => self.take(step).await,
            // Whatever has ended is followed once more.
            _ => self.end(Vec::new()),
        }
    }
}
