//! What a local run consists of and what became of it: jobs in an order that respects their needs.
//!
//! Names, needs and reasons are those of the server. `expand` makes the children of a job, `connect` says what
//! they wait for, `grow` adds what evaluations give, `results` has what a job sees of others.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::bail;
use kici_exec::spec::JobResult;
use kici_model::fields::InitFields;
use kici_model::graph::{self, Edge, Readiness};
use kici_model::lock::{DynamicJob, JobEntry, Need, StaticJob, Workflow};
use kici_model::state::{EndReason, JobState};
use serde_json::{Map, Value};

use super::expand::{Child, expand};

/// One job to run.
#[derive(Debug)]
pub(super) struct Planned {
    /// Expanded name.
    pub(super) name: String,
    /// Place in the workflow's `jobs`: its own, or that of its generator.
    pub(super) place: usize,
    pub(super) work: Work,
    /// Why it cannot run.
    pub(super) fails: Option<String>,
    pub(super) edges: Vec<Edge>,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Work {
    /// The author's steps.
    Steps(Child),
    /// The functions of a job that the lock file does not have.
    Init(Rc<StaticJob>, InitFields),
    /// A generator.
    Generator,
}

/// How a job ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) state: JobState,
    pub(super) outputs: Map<String, Value>,
}

/// The jobs of a run and what became of them.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) jobs: Vec<Planned>,
    pub(super) ended: HashMap<String, Ended>,
}

/// What may happen next.
#[derive(Debug)]
pub(super) enum Next {
    /// This job can run.
    Run(usize),
    /// This job ends without having run.
    End(usize, JobState, String),
    /// All is done.
    Over,
}

impl<'a> Plan<'a> {
    /// Expands a workflow. `only` keeps one job, or the jobs of one group, and what they need.
    pub(super) fn new(workflow: &'a Workflow, only: Option<&str>) -> anyhow::Result<Plan<'a>> {
        let keep = match only {
            Some(only) => with_upstreams(workflow, only)?,
            None => (0..workflow.jobs.len()).collect(),
        };
        let mut plan = Plan { workflow, jobs: Vec::new(), ended: HashMap::new() };
        for (place, entry) in workflow.jobs.iter().enumerate().filter(|(at, _)| keep.contains(at)) {
            match entry {
                JobEntry::Static(job) => plan.add(place, Rc::new((**job).clone())),
                JobEntry::Dynamic(_) => plan.jobs.push(Planned {
                    name: format!("__dynamic__{}__{place}", workflow.name),
                    place,
                    work: Work::Generator,
                    fails: None,
                    edges: Vec::new(),
                }),
                // A kind of a later schema: skipped by everybody.
                JobEntry::Unknown(_) => {}
            }
        }
        plan.connect();
        Ok(plan)
    }

    /// A job of the workflow, after the one that computes its values if there are such.
    fn add(&mut self, place: usize, job: Rc<StaticJob>) {
        let fields = InitFields::of(&job);
        if fields.any() {
            self.jobs.push(Planned {
                name: init_name(self.workflow, &job),
                place,
                work: Work::Init(Rc::clone(&job), fields),
                fails: None,
                edges: Vec::new(),
            });
        }
        self.jobs.extend(expand(place, &job, false));
    }

    /// What a job declares to need.
    pub(super) fn needs_of<'p>(&'p self, job: &'p Planned) -> &'p [Need] {
        match &job.work {
            Work::Steps(child) => &child.job.needs,
            // Values are computed from the event alone.
            Work::Init(..) => &[],
            Work::Generator => self
                .generator(job.place)
                .and_then(|entry| entry.needs.as_deref())
                .unwrap_or_default(),
        }
    }

    fn generator(&self, place: usize) -> Option<&'a DynamicJob> {
        match self.workflow.jobs.get(place) {
            Some(JobEntry::Dynamic(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The group of a generator and its jobs.
    pub(super) fn group_of(&self, place: usize) -> Option<&'a String> {
        self.generator(place)?.group.as_ref()
    }

    /// The next job that can run or ends without, in the author's order.
    pub(super) fn next(&self) -> Next {
        for (at, job) in self.jobs.iter().enumerate() {
            if self.ended.contains_key(&job.name) {
                continue;
            }
            if let Some(why) = &job.fails {
                return Next::End(at, JobState::Failed, why.clone());
            }
            if self.is_halted(job) {
                return Next::End(at, JobState::Skipped, EndReason::FailFast.to_string());
            }
            match graph::evaluate(&job.edges, |name| Some(self.ended.get(name)?.state)) {
                Readiness::Ready => return Next::Run(at),
                Readiness::Skip { reason } => {
                    return Next::End(at, JobState::Skipped, reason.to_string());
                }
                Readiness::Wait { .. } => {}
            }
        }
        Next::Over
    }

    /// Whether a sibling has stopped the rest of its fan-out.
    fn is_halted(&self, job: &Planned) -> bool {
        let Work::Steps(child) = &job.work else { return false };
        let bad = |other: &Planned| {
            let ended = self.ended.get(&other.name);
            other.base_name() == job.base_name()
                && ended.is_some_and(|ended| ended.state != JobState::Success)
        };
        child.halts && self.jobs.iter().any(bad)
    }

    /// Records the end of a job.
    pub(super) fn end(&mut self, at: usize, state: JobState, result: Option<&JobResult>) {
        let outputs = result.map(|result| result.outputs.clone()).unwrap_or_default();
        self.ended.insert(self.jobs[at].name.clone(), Ended { state, outputs });
    }

    /// Names of all jobs that did not end well.
    pub(super) fn failed(&self) -> Vec<&str> {
        let bad = |job: &&Planned| {
            let state = self.ended.get(&job.name).map(|ended| ended.state);
            state.is_some_and(|state| state.is_failure() || state == JobState::Cancelled)
        };
        self.jobs.iter().filter(bad).map(|job| job.name.as_str()).collect()
    }
}

impl Planned {
    /// The name that the children of a fan-out share.
    pub(super) fn base_name(&self) -> &str {
        match &self.work {
            Work::Steps(child) => &child.job.name,
            Work::Init(..) | Work::Generator => &self.name,
        }
    }
}

pub(super) fn init_name(workflow: &Workflow, job: &StaticJob) -> String {
    format!("__init__{}__{}", workflow.name, job.name)
}

/// Places of a job, or of the generators of a group, and of all that they need.
fn with_upstreams(workflow: &Workflow, only: &str) -> anyhow::Result<Vec<usize>> {
    let named = |place: usize, name: &str| match &workflow.jobs[place] {
        JobEntry::Static(job) => job.name == name,
        _ => false,
    };
    let of_group = |place: usize, name: &str| match &workflow.jobs[place] {
        JobEntry::Dynamic(entry) => entry.group.as_deref() == Some(name),
        _ => false,
    };
    let all = 0..workflow.jobs.len();
    let mut keep: Vec<usize> =
        all.clone().filter(|at| named(*at, only) || of_group(*at, only)).collect();
    if keep.is_empty() {
        let names = workflow.jobs.iter().filter_map(|entry| match entry {
            JobEntry::Static(job) => Some(job.name.clone()),
            JobEntry::Dynamic(entry) => Some(format!("{} (a group)", entry.group.as_ref()?)),
            JobEntry::Unknown(_) => None,
        });
        bail!("there is no job '{only}'; there are: {}", names.collect::<Vec<_>>().join(", "));
    }
    let mut next = 0;
    while let Some(place) = keep.get(next).copied() {
        next += 1;
        let needs = match &workflow.jobs[place] {
            JobEntry::Static(job) => job.needs.as_slice(),
            JobEntry::Dynamic(entry) => entry.needs.as_deref().unwrap_or_default(),
            JobEntry::Unknown(_) => &[],
        };
        for need in needs {
            let wanted = all.clone().filter(|at| match need {
                Need::Job(name) | Need::JobWhen { name, .. } => named(*at, name),
                Need::Group { group, .. } => of_group(*at, group),
            });
            let new: Vec<usize> = wanted.filter(|at| !keep.contains(at)).collect();
            keep.extend(new);
        }
    }
    Ok(keep)
}

#[cfg(test)]
mod tests;
