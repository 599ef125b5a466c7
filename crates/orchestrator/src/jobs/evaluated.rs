//! The ends of jobs that evaluate: what they have computed is applied in the transaction that ends them.
//!
//! What a result means for the run is worked out by [`crate::runs::grow`]; here it is read, written, and turned into
//! further ends. A result that makes no sense fails the job that gave it. The caller holds the run's lock.

use kici_model::lock::{StaticJob, Workflow};
use kici_model::state::{EndReason, InitCategory, JobKind, JobState};
use kici_store::definition::selector_insert;
use kici_store::grow::{
    GraphJob, graph_edges, graph_jobs, job_init_failed, job_replaced, job_values,
    job_waits_for_more, run_workflow,
};
use kici_store::hold::hold_insert;
use kici_store::job::{JobNow, job_insert, need_insert};
use kici_store::slot::slot_insert;
use kici_store::{PgConnection, StoreError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::decide::{Ending, decide};
use super::finish::Finish;
use crate::runs::grow::{self, Graph, Growth};
use crate::runs::{HostRules, Hosts, InitResult, asks_for_hosts, generated_jobs};

/// A job that ends because of what another one has computed, or has not.
pub(super) struct End {
    pub(super) job: GraphJob,
    pub(super) ending: Ending,
    pub(super) reason: EndReason,
}

/// What follows from the end of a job besides what its dependants make of it.
#[derive(Default)]
pub(super) struct After {
    /// The job ends like this instead.
    pub(super) instead: Option<(JobState, EndReason)>,
    pub(super) ends: Vec<End>,
    /// How many more jobs of the run are open.
    pub(super) opened: i32,
}

/// Applies what a job has computed. Nothing follows for ordinary jobs, but that generated siblings may be gone.
pub(super) async fn after(
    conn: &mut PgConnection,
    job: &JobNow,
    end: &Finish,
    (from, to): (JobState, JobState),
    stopped: bool,
) -> Result<After, StoreError> {
    let kind: JobKind = job.kind.parse().unwrap_or_default();
    // Nothing is added to a run that is being stopped.
    if stopped || (!kind.evaluates() && end.dropped.is_empty()) {
        return Ok(After::default());
    }
    if !kind.evaluates() {
        let gone = dropped(conn, job, &end.dropped).await?;
        return Ok(After { ends: gone, ..After::default() });
    }
    let mut after = After::default();
    let why = if to == JobState::Success {
        apply(conn, job, kind, (end.evaluated.as_ref(), end.hosts), &mut after).await?.err()
    } else {
        let unsaid = || format!("job '{}' ended {to}", job.name);
        Some(
            end.error
                .clone()
                .or(end.reason.as_ref().map(ToString::to_string))
                .unwrap_or_else(unsaid),
        )
    };
    if let Some(why) = why {
        let reason = EndReason::Init { category: InitCategory::DynamicEval, message: why.clone() };
        if matches!(to, JobState::Success | JobState::Failed) {
            let to = decide(from, Ending::Failed).unwrap_or(to);
            after.instead = Some((to, reason.clone()));
        }
        if kind == JobKind::Init {
            after.ends = without_values(conn, job, &reason).await?;
        }
    }
    explain(conn, job, &after).await?;
    Ok(after)
}

/// A result that makes sense.
enum Computed {
    Values(InitResult),
    Jobs(Vec<StaticJob>),
}

impl Computed {
    fn asks_for_hosts(&self, graph: &Graph, at: usize) -> bool {
        match self {
            Computed::Values(_) => graph.asks_for_hosts(&graph.jobs[at]),
            Computed::Jobs(made) => made.iter().any(asks_for_hosts),
        }
    }
}

/// Applies a result. An `Err` is why the evaluation failed after all.
async fn apply(
    conn: &mut PgConnection,
    job: &JobNow,
    kind: JobKind,
    (result, hosts): (Option<&Value>, Option<HostRules>),
    after: &mut After,
) -> Result<Result<(), String>, StoreError> {
    let Some(result) = result else {
        return Ok(Err("the agent reported success without a result".to_owned()));
    };
    let Some((mut graph, at)) = graph(conn, job).await? else {
        return Ok(Err("the run's workflow cannot be read".to_owned()));
    };
    let computed = match kind {
        JobKind::Init => InitResult::read(result).map(Computed::Values),
        _ => generated_jobs(result).map(Computed::Jobs),
    };
    let computed = match computed {
        Ok(computed) => computed,
        Err(message) => return Ok(Err(message)),
    };
    if let Some(rules) = hosts
        && computed.asks_for_hosts(&graph, at)
    {
        graph.hosts = Some(Hosts::read(conn, rules).await?);
    }
    let own = &graph.jobs[at];
    let growth = match computed {
        Computed::Values(values) => Ok(grow::initialised(&graph, own, &values)),
        Computed::Jobs(made) => grow::generated(&graph, own, &made),
    };
    let growth = match growth {
        Ok(growth) => growth,
        Err(message) => return Ok(Err(message)),
    };
    after.opened = growth.opened();
    for (id, reason) in &growth.ends {
        let ending = match reason {
            EndReason::UpstreamUnmet { .. } => Ending::Skipped,
            _ => Ending::Failed,
        };
        let job = graph.jobs.iter().find(|job| job.id == *id).cloned();
        after.ends.extend(job.map(|job| End { job, ending, reason: reason.clone() }));
    }
    write(conn, growth).await?;
    Ok(Ok(()))
}

/// The jobs that cannot run because their values are not known.
async fn without_values(
    conn: &mut PgConnection,
    job: &JobNow,
    reason: &EndReason,
) -> Result<Vec<End>, StoreError> {
    let Some((graph, at)) = graph(conn, job).await? else { return Ok(Vec::new()) };
    let targets = graph.targets(&graph.jobs[at]);
    let end =
        |job: &GraphJob| End { job: job.clone(), ending: Ending::Failed, reason: reason.clone() };
    Ok(targets.map(end).collect())
}

/// Siblings of a generated job that its generator no longer gives, as far as they have not begun.
async fn dropped(
    conn: &mut PgConnection,
    job: &JobNow,
    names: &[String],
) -> Result<Vec<End>, StoreError> {
    let jobs = graph_jobs(conn, job.run_id).await?;
    let Some(own) = jobs.iter().find(|row| row.id == job.id && row.generated).cloned() else {
        return Ok(Vec::new());
    };
    let gone = |row: &GraphJob| {
        row.generated
            && row.lock_index == own.lock_index
            && row.id != own.id
            && names.contains(&row.base_name)
            && row
                .state
                .parse()
                .is_ok_and(|state: JobState| !state.is_final() && !state.is_with_agent())
    };
    let end = |job| End { job, ending: Ending::Dropped, reason: EndReason::Drift };
    Ok(jobs.into_iter().filter(gone).map(end).collect())
}

/// Records why jobs could not start, where that is why they end.
async fn explain(conn: &mut PgConnection, job: &JobNow, after: &After) -> Result<(), StoreError> {
    let own = after.instead.iter().map(|(_, reason)| (job.id, &job.name, reason));
    let others = after.ends.iter().map(|end| (end.job.id, &end.job.name, &end.reason));
    let failures: Vec<(Uuid, String)> = own
        .chain(others)
        .filter_map(|(id, name, reason)| match reason {
            EndReason::Init { category, message } => {
                let why = json!({"scope": "job", "category": category, "message": message, "jobName": name});
                Some((id, why.to_string()))
            }
            _ => None,
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { job_init_failed(conn, &failures).await }
}

/// The run of a job as it is, and the job's place in it.
async fn graph(
    conn: &mut PgConnection,
    job: &JobNow,
) -> Result<Option<(Graph, usize)>, StoreError> {
    let Some((body, routing_key)) = run_workflow(conn, job.run_id).await? else { return Ok(None) };
    let Ok(workflow) = serde_json::from_str::<Workflow>(&body) else { return Ok(None) };
    let jobs = graph_jobs(conn, job.run_id).await?;
    let edges = graph_edges(conn, job.run_id, &[job.id]).await?;
    let at = jobs.iter().position(|row| row.id == job.id);
    let run = job.run_id;
    Ok(at.map(|at| {
        let priority = jobs[at].priority;
        (Graph { run, routing_key, workflow, jobs, edges, hosts: None, priority }, at)
    }))
}

async fn write(conn: &mut PgConnection, growth: Growth) -> Result<(), StoreError> {
    if !growth.selectors.is_empty() {
        let mut selectors = growth.selectors;
        // The same order everywhere: two orchestrators that insert the same rows must not deadlock.
        selectors.sort_by_key(|content| content.id);
        selector_insert(conn, &selectors).await?;
    }
    if !growth.values.is_empty() {
        job_values(conn, &growth.values).await?;
    }
    if !growth.waits.is_empty() {
        job_waits_for_more(conn, &growth.waits).await?;
    }
    if !growth.replaced.is_empty() {
        job_replaced(conn, &growth.replaced).await?;
    }
    if !growth.jobs.is_empty() {
        job_insert(conn, &growth.jobs).await?;
    }
    if !growth.needs.is_empty() {
        need_insert(conn, &growth.needs).await?;
    }
    if !growth.holds.is_empty() {
        hold_insert(conn, &growth.holds).await?;
    }
    if !growth.slots.is_empty() {
        slot_insert(conn, &growth.slots).await?;
    }
    Ok(())
}
