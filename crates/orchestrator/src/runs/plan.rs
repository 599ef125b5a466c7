//! The plan of a workflow: its jobs expanded, their edges, and what cannot run, worked out once for a lock file.
//!
//! Nothing here depends on the event. What does (inline expressions) is left as such and evaluated by
//! [`super::stamp`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kici_model::fields::InitFields;
use kici_model::graph::{edges, find_cycles};
use kici_model::lock::{
    Approval, DynamicJob, EnvValue, JobEntry, LabelMatcher, LockFile, Need, StaticJob, TextValue,
    Workflow,
};
use kici_model::state::{EndReason, InitCategory, JobKind, JobState};
use kici_store::definition::Content;
use uuid::Uuid;

use super::content::{SelectorBody, content};
use super::expand::{Known, Window, expand};
use super::hosts::{self, Hosts};
use super::runner::first_labels;

/// A workflow, ready to become runs.
#[derive(Debug)]
pub(crate) struct WorkflowPlan {
    /// Its name.
    pub(crate) name: String,
    /// The workflow as it is stored for its runs.
    pub(crate) definition: Content,
    /// Selectors of its jobs.
    pub(crate) selectors: Vec<Content>,
    /// Its jobs, expanded, in order.
    pub(crate) jobs: Vec<PlannedJob>,
    /// Limit of the whole run, ms.
    pub(crate) timeout_ms: Option<u64>,
    /// Who has to approve before any job starts.
    pub(crate) approval: Option<Approval>,
    /// Its concurrency group, where it can be named here.
    pub(crate) concurrency: Option<PlannedGroup>,
    /// What its first job wants of its agent: the platform of those that evaluate for it.
    pub(crate) first_labels: Vec<LabelMatcher>,
    /// Why no run of it can start.
    pub(crate) refused: Option<(InitCategory, String)>,
    /// The workflow, when some of its jobs depend on the hosts there are: it is planned again with them.
    pub(super) of_hosts: Option<Box<Workflow>>,
}

/// The concurrency group of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct PlannedGroup {
    pub(crate) group: TextValue,
    /// How many runs may be active.
    pub(crate) max: u32,
    /// Newer runs cancel older ones.
    pub(crate) cancel: bool,
}

/// A job of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlannedJob {
    pub(crate) name: String,
    pub(crate) base_name: String,
    /// What it is for.
    pub(crate) kind: JobKind,
    /// Place in the workflow's `jobs`: its own, that of what it evaluates, or that of its generator.
    pub(crate) lock_index: Option<usize>,
    /// The job as its generator gave it, JSON.
    pub(crate) body: Option<String>,
    /// Matrix combination, JSON.
    pub(crate) matrix: Option<String>,
    pub(crate) label: Option<String>,
    /// Place in its fan-out, when that has more than one child.
    pub(crate) fanout: Option<(usize, usize)>,
    /// It is a child of a host fan-out; its label is the host.
    pub(crate) on_host: bool,
    /// How it and its siblings follow each other.
    pub(crate) window: Window,
    /// One of the plan's selectors; nil for a job that evaluates, whose selector depends on the agents there are.
    pub(crate) selector: Uuid,
    pub(crate) environments: Vec<TextValue>,
    pub(crate) env: Option<EnvValue>,
    /// Its own concurrency group.
    pub(crate) group: Option<TextValue>,
    /// Limit of the job, ms.
    pub(crate) timeout_ms: Option<u64>,
    /// Upstream (index in the plan's jobs) and the final states that are good.
    pub(crate) needs: Vec<(usize, Vec<String>)>,
    /// Who has to approve before it starts.
    pub(crate) approval: Option<Approval>,
    /// Set for a job that fails at once.
    pub(crate) fails: Option<EndReason>,
    /// Set for a job that has ended before its run began: part of a run that is repeated.
    pub(crate) given: Option<Given>,
}

/// How a job ended that is not run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its final state.
    pub(crate) state: JobState,
    /// Why; that of `from` if there is one.
    pub(crate) reason: Option<EndReason>,
    /// The job whose result it has.
    pub(crate) from: Option<Uuid>,
}

impl WorkflowPlan {
    /// Plans a workflow.
    pub(crate) fn new(lock: &LockFile, workflow: &Workflow) -> WorkflowPlan {
        let mut stored = workflow.clone();
        stored.source = Some(lock.source_of(workflow).clone());
        WorkflowPlan::of_stored(&stored)
    }

    /// Plans a workflow as it is stored for its runs: with its source.
    pub(crate) fn of_stored(workflow: &Workflow) -> WorkflowPlan {
        WorkflowPlan::with(workflow, None)
    }

    fn with(workflow: &Workflow, hosts: Option<&Arc<Hosts>>) -> WorkflowPlan {
        let mut planner = Planner::new(&workflow.name, hosts.cloned());
        for (index, entry) in workflow.jobs.iter().enumerate() {
            match entry {
                JobEntry::Static(job) => planner.job(index, job),
                JobEntry::Dynamic(generator) => planner.generator(index, generator),
                // A kind of a later schema: skipped by everybody.
                JobEntry::Unknown(_) => {}
            }
        }
        planner.connect(workflow);
        planner.break_cycles();
        WorkflowPlan {
            name: workflow.name.clone(),
            definition: content(serde_json::to_string(workflow).expect("a workflow is plain data")),
            selectors: planner.selectors,
            jobs: planner.jobs,
            timeout_ms: workflow.timeout.map(|limit| limit.as_millis()).filter(|limit| *limit > 0),
            approval: workflow.approval.clone(),
            concurrency: group(workflow),
            first_labels: first_labels(workflow),
            refused: refused(workflow),
            of_hosts: asks_for_hosts(workflow).then(|| Box::new(workflow.clone())),
        }
    }

    /// Whether it has to be planned again with the hosts of the moment when a run is made.
    pub(crate) fn asks_for_hosts(&self) -> bool {
        self.of_hosts.is_some()
    }

    /// The same with these hosts.
    pub(crate) fn on_hosts(&self, hosts: &Arc<Hosts>) -> WorkflowPlan {
        let workflow = self.of_hosts.as_ref().expect("only asked of one that asks for hosts");
        WorkflowPlan::with(workflow, Some(hosts))
    }

    /// Whether some value has to be computed from the event.
    pub(crate) fn evaluates(&self) -> bool {
        super::inline::any(self)
    }

    /// Whether some job of it only evaluates, on an agent.
    pub(crate) fn needs_runner(&self) -> bool {
        self.jobs.iter().any(|job| job.kind.evaluates())
    }
}

impl PlannedJob {
    pub(super) fn failing(
        name: String,
        base_name: String,
        lock_index: usize,
        reason: EndReason,
    ) -> PlannedJob {
        let lock_index = Some(lock_index);
        PlannedJob { name, base_name, lock_index, fails: Some(reason), ..PlannedJob::default() }
    }
}

fn asks_for_hosts(workflow: &Workflow) -> bool {
    workflow
        .jobs
        .iter()
        .any(|entry| matches!(entry, JobEntry::Static(job) if hosts::asks_for_hosts(job)))
}

/// The workflow's group, if its name or its function is written down.
fn group(workflow: &Workflow) -> Option<PlannedGroup> {
    let concurrency = workflow.concurrency.as_ref()?;
    let (max, cancel) = concurrency.effective();
    Some(PlannedGroup { group: concurrency.group.clone()?, max, cancel })
}

/// A whole workflow that must not start: what it asks for would be skipped silently otherwise.
fn refused(workflow: &Workflow) -> Option<(InitCategory, String)> {
    let asks_for =
        |what: &str, missing: &str| Some(format!("workflow '{}' {what}: {missing}", workflow.name));
    let registries = workflow.registries.as_ref().is_some_and(|list| !list.is_empty());
    let install_env = workflow.install_env.as_ref().is_some_and(|list| !list.is_empty());
    if registries || install_env {
        let message =
            asks_for("needs secrets for installing packages", "secrets are not supported yet")?;
        return Some((InitCategory::InstallSecrets, message));
    }
    None
}

/// Gathers jobs and connects them. [`super::join`] begins one with the jobs of a run that exists.
#[derive(Default)]
pub(super) struct Planner {
    /// The workflow's name.
    workflow: String,
    pub(super) jobs: Vec<PlannedJob>,
    pub(super) selectors: Vec<Content>,
    /// Ids of the selectors.
    known: HashSet<Uuid>,
    pub(super) names: HashSet<String>,
    /// Base name → names of its children.
    pub(super) children: HashMap<String, Vec<String>>,
    pub(super) groups: HashMap<String, Vec<String>>,
    /// Jobs whose values an agent has to compute: place in the workflow → name of the job that does it.
    inits: HashMap<usize, String>,
    /// The hosts there are, as far as somebody has looked.
    pub(super) hosts: Option<Arc<Hosts>>,
}

impl Planner {
    /// An empty one for a workflow of this name.
    pub(super) fn new(workflow: &str, hosts: Option<Arc<Hosts>>) -> Planner {
        Planner { workflow: workflow.to_owned(), hosts, ..Planner::default() }
    }

    /// A generator: one job evaluates it. Who needs its group waits for that, and then for what was generated.
    fn generator(&mut self, index: usize, generator: &DynamicJob) {
        let name = format!("__dynamic__{}__{index}", self.workflow);
        if let Some(group) = &generator.group {
            self.groups.entry(group.clone()).or_default().push(name.clone());
        }
        self.evaluation(JobKind::Dynamic, name, index);
    }

    fn evaluation(&mut self, kind: JobKind, name: String, index: usize) {
        let (base_name, lock_index) = (name.clone(), Some(index));
        self.add(PlannedJob { name, base_name, kind, lock_index, ..PlannedJob::default() });
    }

    fn job(&mut self, index: usize, job: &StaticJob) {
        let Err(reason) = self.expand(index, job) else { return };
        let name = job.name.clone();
        self.children.insert(name.clone(), vec![name.clone()]);
        self.add(PlannedJob::failing(name.clone(), name, index, reason));
    }

    fn expand(&mut self, index: usize, job: &StaticJob) -> Result<(), EndReason> {
        let hosts = self.hosts.clone();
        let known = Known { lock_index: Some(index), values: None, hosts: hosts.as_deref() };
        let expanded = expand(job, known)?;
        for selector in expanded.selectors {
            self.selector(selector);
        }
        if InitFields::of(job).any() {
            let name = format!("__init__{}__{}", self.workflow, job.name);
            self.inits.insert(index, name.clone());
            self.evaluation(JobKind::Init, name, index);
        }
        let names = expanded.jobs.iter().map(|child| child.name.clone()).collect();
        self.children.insert(job.name.clone(), names);
        for child in expanded.jobs {
            self.add(child);
        }
        Ok(())
    }

    pub(super) fn selector(&mut self, content: Content) -> Uuid {
        let id = content.id;
        if self.known.insert(id) {
            self.selectors.push(content);
        }
        id
    }

    /// Names are unique in a run. The compiler sees to that; a file written by hand may not.
    pub(super) fn add(&mut self, mut job: PlannedJob) {
        if !self.names.insert(job.name.clone()) {
            let message = format!("the workflow has two jobs named '{}'", job.name);
            let mut number = 2;
            while !self.names.insert(format!("{} #{number}", job.name)) {
                number += 1;
            }
            job.name = format!("{} #{number}", job.name);
            job.fails = Some(EndReason::SchedulerInvariant { message });
        }
        if job.selector.is_nil() && !job.kind.evaluates() {
            // Every row names a selector, also one that never waits for an agent.
            job.selector = self.selector(SelectorBody::default().content());
        }
        self.jobs.push(job);
    }

    /// Names and places of all jobs.
    pub(super) fn index(&self) -> HashMap<String, usize> {
        self.jobs.iter().enumerate().map(|(at, job)| (job.name.clone(), at)).collect()
    }

    fn connect(&mut self, workflow: &Workflow) {
        let index = self.index();
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            let needs: &[Need] = match job.lock_index.and_then(|index| workflow.jobs.get(index)) {
                // Values are computed from the event alone.
                _ if job.kind == JobKind::Init => &[],
                Some(JobEntry::Static(lock)) => &lock.needs,
                Some(JobEntry::Dynamic(generator)) => {
                    generator.needs.as_deref().unwrap_or_default()
                }
                _ => &[],
            };
            self.connect_one(at, needs, &index);
        }
    }

    /// Turns the needs of one job into edges. A job that fails at once waits for nothing, but one whose host is away
    /// may be run again.
    pub(super) fn connect_one(
        &mut self,
        at: usize,
        needs: &[Need],
        index: &HashMap<String, usize>,
    ) {
        match self.jobs[at].fails {
            None | Some(EndReason::HostUnreachable { .. }) => {}
            Some(_) => return,
        }
        match self.edges_of(at, needs, index) {
            Ok(edges) => self.jobs[at].needs = edges,
            Err(message) => self.fail(at, message),
        }
    }

    /// A job that the graph has no place for.
    pub(super) fn fail(&mut self, at: usize, message: String) {
        self.jobs[at].fails = Some(EndReason::SchedulerInvariant { message });
    }

    /// Edges of a job, by place.
    pub(super) fn edges_of(
        &self,
        at: usize,
        needs: &[Need],
        index: &HashMap<String, usize>,
    ) -> Result<Vec<(usize, Vec<String>)>, String> {
        let job = &self.jobs[at];
        let lacks = |what: &str| {
            format!("job '{}' needs {what}, which the workflow does not have", job.base_name)
        };
        let unknown = needs.iter().find_map(|need| match need {
            Need::Group { group, .. } => (!self.groups.contains_key(group)).then_some(group),
            Need::Job(_) | Need::JobWhen { .. } => None,
        });
        if let Some(group) = unknown {
            return Err(lacks(&format!("the group '{group}'")));
        }
        let mut list: Vec<(usize, Vec<String>)> = Vec::new();
        let mut places: HashMap<usize, usize> = HashMap::new();
        for edge in edges(needs, &self.children, &self.groups) {
            let upstream =
                *index.get(&edge.upstream).ok_or_else(|| lacks(&format!("'{}'", edge.upstream)))?;
            let mut run_on = edge.accepts.to_run_on();
            // Whatever the jobs of a group are needed for, they have to be known first.
            let success = JobState::Success.as_str();
            if self.jobs[upstream].kind == JobKind::Dynamic && !run_on.iter().any(|s| s == success)
            {
                run_on.insert(0, success.to_owned());
            }
            match places.get(&upstream) {
                // The same upstream named twice: both lists have to accept its state.
                Some(place) => list[*place].1.retain(|state| run_on.contains(state)),
                None => {
                    places.insert(upstream, list.len());
                    list.push((upstream, run_on));
                }
            }
        }
        if job.kind == JobKind::Job
            && job.body.is_none()
            && let Some(init) = job.lock_index.and_then(|index| self.inits.get(&index))
            && let Some(init) = index.get(init)
        {
            list.push((*init, vec![JobState::Success.to_string()]));
        }
        Ok(list)
    }

    /// Fails every job of every cycle. The compiler refuses them; a file written by hand may have some.
    pub(super) fn break_cycles(&mut self) {
        let name = |at: &usize| self.jobs[*at].name.as_str();
        let graph: Vec<(&str, Vec<&str>)> = (0..self.jobs.len())
            .map(|at| (name(&at), self.jobs[at].needs.iter().map(|(on, _)| name(on)).collect()))
            .collect();
        let mut cycle_of: HashMap<String, Vec<String>> = HashMap::new();
        for cycle in find_cycles(&graph) {
            let path: Vec<String> = cycle.into_iter().map(str::to_owned).collect();
            cycle_of.extend(path.iter().map(|job| (job.clone(), path.clone())));
        }
        if cycle_of.is_empty() {
            return;
        }
        for job in &mut self.jobs {
            if let Some(path) = cycle_of.remove(&job.name) {
                job.needs.clear();
                job.fails = Some(EndReason::Cycle { path });
            }
        }
    }
}
