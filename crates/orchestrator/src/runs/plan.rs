//! The plan of a workflow: its jobs expanded, their edges, and what cannot run, worked out once for a lock file.
//!
//! Nothing here depends on the event. What does (inline expressions) is left as such and evaluated by
//! [`super::stamp`].

use std::collections::{HashMap, HashSet};

use kici_model::graph::{edges, find_cycles};
use kici_model::lock::{
    Approval, EnvValue, JobEntry, LockFile, Matrix, Need, StaticJob, TextValue, Workflow,
};
use kici_model::state::{EndReason, InitCategory, JobState};
use kici_store::definition::Content;
use uuid::Uuid;

use super::content::{SelectorBody, content};
use super::expand::{Window, expand};

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
    /// Why no run of it can start.
    pub(crate) refused: Option<(InitCategory, String)>,
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
    /// Place in the workflow's `jobs`; none for a generated job.
    pub(crate) lock_index: Option<usize>,
    /// Matrix combination, JSON.
    pub(crate) matrix: Option<String>,
    pub(crate) label: Option<String>,
    /// Place in its fan-out, when that has more than one child.
    pub(crate) fanout: Option<(usize, usize)>,
    /// It is a child of a host fan-out; its label is the host.
    pub(crate) on_host: bool,
    /// How it and its siblings follow each other.
    pub(crate) window: Window,
    /// One of the plan's selectors.
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
        let mut planner = Planner::default();
        for (index, entry) in workflow.jobs.iter().enumerate() {
            match entry {
                JobEntry::Static(job) => planner.job(index, job),
                JobEntry::Dynamic(generator) => {
                    let name = format!("__dynamic__{}__{index}", workflow.name);
                    let reason =
                        init(InitCategory::DynamicEval, "dynamic jobs are not supported yet");
                    planner.add(PlannedJob::failing(name.clone(), name.clone(), index, reason));
                    if let Some(group) = &generator.group {
                        planner.groups.entry(group.clone()).or_default().push(name);
                    }
                }
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
            refused: refused(workflow),
        }
    }
}

impl WorkflowPlan {
    /// Whether some value has to be computed from the event.
    pub(crate) fn evaluates(&self) -> bool {
        super::inline::any(self)
    }
}

impl PlannedJob {
    fn failing(
        name: String,
        base_name: String,
        lock_index: usize,
        reason: EndReason,
    ) -> PlannedJob {
        let lock_index = Some(lock_index);
        PlannedJob { name, base_name, lock_index, fails: Some(reason), ..PlannedJob::default() }
    }
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

fn init(category: InitCategory, message: impl Into<String>) -> EndReason {
    EndReason::Init { category, message: message.into() }
}

#[derive(Default)]
struct Planner {
    jobs: Vec<PlannedJob>,
    selectors: Vec<Content>,
    /// Ids of the selectors.
    known: HashSet<Uuid>,
    names: HashSet<String>,
    /// Base name → names of its children.
    children: HashMap<String, Vec<String>>,
    groups: HashMap<String, Vec<String>>,
}

impl Planner {
    fn job(&mut self, index: usize, job: &StaticJob) {
        let Err(reason) = self.expand(index, job) else { return };
        let name = job.name.clone();
        self.children.insert(name.clone(), vec![name.clone()]);
        self.add(PlannedJob::failing(name.clone(), name, index, reason));
    }

    fn expand(&mut self, index: usize, job: &StaticJob) -> Result<(), EndReason> {
        unsupported(job)?;
        let expanded = expand(job, Some(index), None)?;
        for selector in expanded.selectors {
            self.selector(selector);
        }
        let names = expanded.jobs.iter().map(|child| child.name.clone()).collect();
        self.children.insert(job.name.clone(), names);
        for child in expanded.jobs {
            self.add(child);
        }
        Ok(())
    }

    fn selector(&mut self, content: Content) -> Uuid {
        let id = content.id;
        if self.known.insert(id) {
            self.selectors.push(content);
        }
        id
    }

    /// Names are unique in a run. The compiler sees to that; a file written by hand may not.
    fn add(&mut self, mut job: PlannedJob) {
        if !self.names.insert(job.name.clone()) {
            let message = format!("the workflow has two jobs named '{}'", job.name);
            let mut number = 2;
            while !self.names.insert(format!("{} #{number}", job.name)) {
                number += 1;
            }
            job.name = format!("{} #{number}", job.name);
            job.fails = Some(EndReason::SchedulerInvariant { message });
        }
        if job.selector.is_nil() {
            // Every row names a selector, also one that never waits for an agent.
            job.selector = self.selector(SelectorBody::default().content());
        }
        self.jobs.push(job);
    }

    fn connect(&mut self, workflow: &Workflow) {
        let index: HashMap<String, usize> =
            self.jobs.iter().enumerate().map(|(at, job)| (job.name.clone(), at)).collect();
        for job in &mut self.jobs {
            let needs: &[Need] = match job.lock_index.and_then(|index| workflow.jobs.get(index)) {
                Some(JobEntry::Static(lock)) => &lock.needs,
                Some(JobEntry::Dynamic(generator)) => {
                    generator.needs.as_deref().unwrap_or_default()
                }
                _ => &[],
            };
            // A job that fails at once waits for nothing.
            if job.fails.is_some() {
                continue;
            }
            let mut known: HashMap<usize, usize> = HashMap::new();
            for edge in edges(needs, &self.children, &self.groups) {
                match index.get(&edge.upstream) {
                    // The same upstream named twice: both lists have to accept its state.
                    Some(at) => match known.get(at) {
                        Some(place) => {
                            let accepted = edge.accepts.to_run_on();
                            job.needs[*place].1.retain(|state| accepted.contains(state))
                        }
                        None => {
                            known.insert(*at, job.needs.len());
                            job.needs.push((*at, edge.accepts.to_run_on()));
                        }
                    },
                    None => {
                        let message = format!(
                            "job '{}' needs '{}', which the workflow does not have",
                            job.name, edge.upstream
                        );
                        job.fails = Some(EndReason::SchedulerInvariant { message });
                    }
                }
            }
            if job.fails.is_some() {
                job.needs.clear();
            }
        }
    }

    /// Fails every job of every cycle. The compiler refuses them; a file written by hand may have some.
    fn break_cycles(&mut self) {
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

/// What a job asks for that this version cannot do. It fails with the reason instead of running without it.
fn unsupported(job: &StaticJob) -> Result<(), EndReason> {
    let dynamic = |what: &str| {
        Err(init(
            InitCategory::DynamicEval,
            format!(
                "{what} of job '{}' is a function that only an agent can evaluate; this is not supported yet",
                job.name
            ),
        ))
    };
    if job.runs_on_all.is_some() {
        let message = format!(
            "job '{}' runs on all matching hosts (runsOnAll): this is not supported yet",
            job.name
        );
        return Err(init(InitCategory::NoAgent, message));
    }
    if matches!(job.matrix, Some(Matrix::Dynamic { .. })) {
        return dynamic("the matrix");
    }
    if job.dynamic_env && job.env.is_none() {
        return dynamic("env");
    }
    let computed_elsewhere = |environment: &kici_model::lock::EnvironmentRef| {
        environment.dynamic
            && matches!(&environment.value, TextValue::Text(text) if text.is_empty())
    };
    if job.environments.iter().flatten().any(computed_elsewhere) {
        return dynamic("the environment");
    }
    Ok(())
}
