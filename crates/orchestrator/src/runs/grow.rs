//! What an evaluation adds to a run that exists: generated jobs, the children of a computed matrix, computed values.
//!
//! Pure: from the run's graph and what an agent has computed to rows, edges and ends. The jobs go through the same
//! steps as those of a new run: [`super::plan`] expands and connects them, [`super::stamp`] makes their rows. The
//! caller writes all of it in the transaction that ends the evaluating job ([`crate::jobs`]).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kici_model::generated::check_generated;
use kici_model::graph::Accepts;
use kici_model::lock::{
    EnvValue, EnvironmentRef, JobEntry, Matrix, Need, StaticJob, TextValue, Workflow,
};
use kici_model::state::{EndReason, InitCategory, JobKind, JobState, WaitReason};
use kici_store::definition::Content;
use kici_store::grow::{GraphEdge, GraphJob, JobValues, WaitsForMore};
use kici_store::hold::HoldRow;
use kici_store::job::{JobRow, NeedRow};
use kici_store::slot::SlotRow;
use uuid::Uuid;

use super::evaluated::InitResult;
use super::hosts::{Hosts, asks_for_hosts};
use super::plan::Planner;
use super::slot::slots_of_joining;
use super::stamp::{Known, Rows, rows};
use crate::slots::of_job;

/// A run as it is.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) run: Uuid,
    pub(crate) routing_key: String,
    pub(crate) workflow: Workflow,
    /// All jobs, in order.
    pub(crate) jobs: Vec<GraphJob>,
    /// Edges of those that wait, and of the job that evaluates.
    pub(crate) edges: Vec<GraphEdge>,
    /// The hosts there are, where somebody has to know.
    pub(crate) hosts: Option<Arc<Hosts>>,
    /// Head start of the job that evaluates, which those that it adds have as well.
    pub(crate) priority: i16,
}

/// What is added to it.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    pub(crate) selectors: Vec<Content>,
    pub(crate) jobs: Vec<JobRow>,
    /// Edges of the new jobs, and new ones of old jobs.
    pub(crate) needs: Vec<NeedRow>,
    pub(crate) holds: Vec<HoldRow>,
    pub(crate) slots: Vec<SlotRow>,
    /// Old jobs that wait for more now.
    pub(crate) waits: Vec<WaitsForMore>,
    /// Old jobs whose place is taken by new ones.
    pub(crate) replaced: Vec<Uuid>,
    pub(crate) values: Vec<JobValues>,
    /// Old jobs that end because of it.
    pub(crate) ends: Vec<(Uuid, EndReason)>,
}

impl Growth {
    /// How many more jobs of the run are open.
    pub(crate) fn opened(&self) -> i32 {
        let is_open =
            |job: &&JobRow| job.state.parse().is_ok_and(|state: JobState| !state.is_final());
        let new = self.jobs.iter().filter(is_open).count();
        let count = |n: usize| i32::try_from(n).expect("an evaluation has a limit on jobs");
        count(new) - count(self.replaced.len())
    }
}

impl Graph {
    fn at(&self) -> HashMap<Uuid, usize> {
        self.jobs.iter().enumerate().map(|(at, job)| (job.id, at)).collect()
    }

    fn edges_of(&self, job: Uuid) -> impl Iterator<Item = &GraphEdge> {
        self.edges.iter().filter(move |edge| edge.job_id == job)
    }

    /// What a waiting job declares to need.
    fn needs_of(&self, job: &GraphJob) -> Vec<Need> {
        if let Some(body) = &job.body {
            let body: Option<StaticJob> = serde_json::from_str(body).ok();
            return body.map(|body| body.needs).unwrap_or_default();
        }
        match index_of(job).and_then(|index| self.workflow.jobs.get(index)) {
            Some(JobEntry::Static(lock)) => lock.needs.clone(),
            Some(JobEntry::Dynamic(generator)) => generator.needs.clone().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// The jobs that wait for the values of an init job.
    pub(crate) fn targets<'a>(&'a self, init: &'a GraphJob) -> impl Iterator<Item = &'a GraphJob> {
        self.jobs.iter().filter(|job| {
            is_pending(job)
                && job.kind == JobKind::Job.as_str()
                && !job.generated
                && job.lock_index == init.lock_index
        })
    }

    /// Whether the values of an init job make children of it on hosts.
    pub(crate) fn asks_for_hosts(&self, init: &GraphJob) -> bool {
        let entry = index_of(init).and_then(|index| self.workflow.jobs.get(index));
        matches!(entry, Some(JobEntry::Static(job)) if asks_for_hosts(job))
    }

    fn known(&self) -> Vec<Known> {
        let state = |job: &GraphJob| job.state.parse().unwrap_or(JobState::Pending);
        self.jobs.iter().map(|job| Known { id: job.id, state: state(job) }).collect()
    }

    fn next_position(&self) -> i32 {
        self.jobs.iter().map(|job| job.position + 1).max().unwrap_or(0)
    }
}

/// Adds what a generator gave. An error is why the generator fails.
pub(crate) fn generated(
    graph: &Graph,
    generator: &GraphJob,
    made: &[StaticJob],
) -> Result<Growth, String> {
    let index = index_of(generator).ok_or("the generator is not in the workflow")?;
    check_generated(made.iter().map(|job| job.name.as_str()), |name| {
        graph.jobs.iter().any(|job| job.name == name || job.base_name == name)
    })
    .map_err(|error| error.to_string())?;
    let mut planner = Planner::of_run(&graph.workflow, &graph.jobs, graph.hosts.as_ref());
    planner.take_edges(&graph.edges, &graph.at());
    let strangers = strangers(graph, generator);
    let group = match graph.workflow.jobs.get(index) {
        Some(JobEntry::Dynamic(entry)) => entry.group.clone(),
        _ => None,
    };
    let known = graph.jobs.len();
    for job in made {
        refuse_functions(job)?;
        planner.generated(index, group.as_deref(), job);
    }
    let names = planner.index();
    for at in known..planner.jobs.len() {
        let base = planner.jobs[at].base_name.clone();
        let Some(job) = made.iter().find(|job| job.name == base) else { continue };
        match job.needs.iter().find_map(|need| strangers.get(job_name(need)?)) {
            Some(other) => planner.fail(
                at,
                format!(
                    "job '{base}' needs '{other}', which another generator makes; need its group: dynamicGroup('…')"
                ),
            ),
            None => planner.connect_one(at, &job.needs, &names),
        }
    }
    let mut more: NewEdges = Vec::new();
    if let Some(group) = &group {
        let waits_for_it: HashSet<Uuid> = graph
            .edges
            .iter()
            .filter(|edge| edge.upstream == generator.id)
            .map(|edge| edge.job_id)
            .collect();
        for (at, job) in graph.jobs.iter().enumerate() {
            if !is_pending(job) || !waits_for_it.contains(&job.id) {
                continue;
            }
            let mut needs = graph.needs_of(job);
            needs.retain(|need| matches!(need, Need::Group { group: of, .. } if of == group));
            let mut edges = planner.edges_of(at, &needs, &names)?;
            edges.retain(|(upstream, _)| *upstream >= known);
            planner.jobs[at].needs.extend(edges.iter().cloned());
            more.push((at, edges));
        }
    }
    planner.break_cycles();
    Ok(finished(graph, planner, more))
}

/// Applies what an init job has computed.
pub(crate) fn initialised(graph: &Graph, init: &GraphJob, result: &InitResult) -> Growth {
    let targets: Vec<&GraphJob> = graph.targets(init).collect();
    let index = index_of(init);
    let lock = match index.and_then(|index| graph.workflow.jobs.get(index)) {
        Some(JobEntry::Static(lock)) => lock,
        _ => return Growth::default(),
    };
    if let Some(target) = targets.first()
        && matches!(lock.matrix, Some(Matrix::Dynamic { .. }))
    {
        return children(graph, init, target, lock, result);
    }
    let group = result.group();
    let values = |job: &&GraphJob| JobValues {
        id: job.id,
        environment: result.environment(),
        env: result.env_json(),
        slot: group.is_some(),
    };
    let slot = |group: &String| {
        targets.iter().map(|job| of_job(&graph.routing_key, graph.run, job.id, group)).collect()
    };
    Growth {
        values: targets.iter().map(values).collect(),
        slots: group.as_ref().map(slot).unwrap_or_default(),
        ..Growth::default()
    }
}

/// Puts the children of a computed matrix in the place of the job that waited for it.
fn children(
    graph: &Graph,
    init: &GraphJob,
    target: &GraphJob,
    lock: &StaticJob,
    result: &InitResult,
) -> Growth {
    let failed = |reason| Growth { ends: vec![(target.id, reason)], ..Growth::default() };
    let (values, include) = match result.matrix(&lock.name) {
        Ok(matrix) => matrix,
        Err(message) => {
            return failed(EndReason::Init { category: InitCategory::MatrixExpansion, message });
        }
    };
    let mut job = lock.clone();
    // What was known from the start is in the row that waited; what is new comes with the result.
    job.environments = result
        .environment()
        .or(target.environment.clone())
        .map(|name| vec![EnvironmentRef { value: TextValue::Text(name), dynamic: false }]);
    job.env = result
        .env_json()
        .or(target.env.clone())
        .and_then(|env| serde_json::from_str(&env).ok())
        .map(EnvValue::Map);
    if let Some(group) = result.group() {
        job.dynamic_concurrency_group = false;
        job.concurrency_group = Some(TextValue::Text(group));
    }
    if !include.is_empty() {
        job.include.get_or_insert_default().extend(include);
    }
    let at = graph.at();
    let mut planner = Planner::of_run(&graph.workflow, &graph.jobs, graph.hosts.as_ref());
    planner.take_edges(&graph.edges, &at);
    let known = graph.jobs.len();
    if let Err(reason) = planner.children_of(index_of(target), &job, &values) {
        return failed(reason);
    }
    let needs: Vec<(usize, Vec<String>)> = graph
        .edges_of(target.id)
        .filter(|edge| edge.upstream != init.id)
        .filter_map(|edge| Some((*at.get(&edge.upstream)?, edge.run_on.clone())))
        .collect();
    for child in &mut planner.jobs[known..] {
        child.needs = needs.clone();
    }
    let children: Vec<usize> = (known..planner.jobs.len()).collect();
    let waiting = graph.edges.iter().filter(|edge| edge.upstream == target.id);
    let more = waiting.filter_map(|edge| {
        let new = children.iter().map(|child| (*child, edge.run_on.clone())).collect();
        Some((*at.get(&edge.job_id)?, new))
    });
    let more = more.collect();
    let mut growth = finished(graph, planner, more);
    for wait in &mut growth.waits {
        // The one in whose place they are.
        wait.more -= 1;
    }
    growth.replaced.push(target.id);
    growth
}

/// Of each job that was there: the jobs that it waits for now, with the states that it accepts.
type NewEdges = Vec<(usize, Vec<(usize, Vec<String>)>)>;

/// Makes the rows of what was planned. `more` are new edges of jobs that were there.
fn finished(graph: &Graph, planner: Planner, more: NewEdges) -> Growth {
    let known = graph.known();
    let (mut jobs, selectors) = planner.into_parts();
    let mut ends: Vec<(usize, EndReason)> = Vec::new();
    for (at, job) in jobs.iter_mut().enumerate().take(known.len()) {
        // What waits already is followed by its rows; here it is only something to wait for.
        job.needs.clear();
        if let Some(reason) = job.fails.take() {
            ends.push((at, reason));
        }
    }
    let event = kici_model::event::Event::default();
    let Rows { jobs: mut new, mut needs, holds, groups, .. } =
        rows(graph.run, &jobs, &known, None, &event);
    let slots = slots_of_joining(&graph.routing_key, graph.run, &mut new, groups);
    let first = graph.next_position();
    for (place, row) in (first..).zip(&mut new) {
        row.position = place;
        row.priority = graph.priority;
    }
    let mut waits = Vec::new();
    for (at, edges) in more {
        if ends.iter().any(|(ended, _)| *ended == at) {
            continue;
        }
        let job = &graph.jobs[at];
        let mut count = 0;
        let mut skipped = None;
        for (upstream, run_on) in &edges {
            let row = &new[*upstream - known.len()];
            needs.push(NeedRow { job_id: job.id, upstream: row.id, run_on: run_on.join(",") });
            match row.state.parse::<JobState>() {
                Ok(status) if status.is_final() => {
                    if !Accepts::from_run_on(Some(run_on)).contains(status) {
                        let upstream = row.name.clone();
                        skipped = skipped.or(Some(EndReason::UpstreamUnmet { upstream, status }));
                    }
                }
                _ => count += 1,
            }
        }
        if let Some(reason) = skipped {
            ends.push((at, reason));
        }
        let upstreams = graph
            .edges_of(job.id)
            .filter_map(|edge| graph.jobs.iter().find(|other| other.id == edge.upstream))
            .filter(|other| !other.kind.parse().is_ok_and(JobKind::evaluates))
            .map(|other| other.name.as_str())
            .chain(edges.iter().map(|(upstream, _)| new[*upstream - known.len()].name.as_str()));
        let reason = WaitReason::needs(upstreams);
        waits.push(WaitsForMore {
            id: job.id,
            more: count,
            wait_reason: serde_json::to_string(&reason).expect("a reason is plain data"),
        });
    }
    Growth {
        selectors,
        jobs: new,
        needs,
        holds,
        slots,
        waits,
        ends: ends.into_iter().map(|(at, reason)| (graph.jobs[at].id, reason)).collect(),
        ..Growth::default()
    }
}

/// Generated jobs that a job of this generator may not need by name: when they come to be depends on chance.
fn strangers<'a>(graph: &'a Graph, generator: &'a GraphJob) -> HashMap<&'a str, &'a str> {
    let seen: HashSet<Uuid> = graph.edges_of(generator.id).map(|edge| edge.upstream).collect();
    let other = |job: &&GraphJob| {
        job.generated && job.lock_index != generator.lock_index && !seen.contains(&job.id)
    };
    graph
        .jobs
        .iter()
        .filter(other)
        .map(|job| (job.base_name.as_str(), job.base_name.as_str()))
        .collect()
}

fn job_name(need: &Need) -> Option<&str> {
    match need {
        Need::Job(name) | Need::JobWhen { name, .. } => Some(name),
        Need::Group { .. } => None,
    }
}

/// The agent evaluates all functions of a generated job; nobody could do it later.
fn refuse_functions(job: &StaticJob) -> Result<(), String> {
    let inline = |value: &TextValue| matches!(value, TextValue::Inline(_));
    let computed = kici_model::fields::InitFields::of(job).any()
        || matches!(job.env, Some(EnvValue::Inline(_)))
        || job.concurrency_group.as_ref().is_some_and(inline)
        || job.environments.iter().flatten().any(|environment| inline(&environment.value));
    match computed {
        true => Err(format!("generated job '{}' has a value that was not evaluated", job.name)),
        false => Ok(()),
    }
}

fn is_pending(job: &GraphJob) -> bool {
    job.state == JobState::Pending.as_str()
}

fn index_of(job: &GraphJob) -> Option<usize> {
    job.lock_index.and_then(|index| usize::try_from(index).ok())
}

#[cfg(test)]
mod tests;
