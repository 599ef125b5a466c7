//! Makes the rows of one run from a plan and an event.
//!
//! Pure but for new ids: the same event and plan give the same run. Jobs that cannot run fail here with their
//! reason, and what needs them is skipped, so that no later pass has to know about it.

use kici_model::event::Event;
use kici_model::ids::{JobId, RunId};
use kici_model::lock::{Approval, EnvValue, TextValue};
use kici_model::state::{
    EndReason, InitCategory, JobState, ReasonChange, RunState, WaitReason, derive_run,
};
use kici_store::hold::HoldRow;
use kici_store::job::{JobRow, NeedRow};
use kici_store::run::RunRow;
use serde_json::{Value, json};
use uuid::Uuid;

use super::create::NewRun;
use super::first::{First, first_states};
use super::hold::hold;
use super::inline;
use super::plan::{PlannedJob, WorkflowPlan};
use super::runner::Runner;
use super::slot::slots;

/// What a run is made for.
#[derive(Debug, Clone)]
pub(crate) struct Cause<'a> {
    pub(crate) org_id: &'a str,
    /// The delivery's row; makes the run unique.
    pub(crate) delivery: Option<Uuid>,
    pub(crate) delivery_id: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) repo: &'a str,
    pub(crate) git_ref: &'a str,
    pub(crate) sha: &'a str,
    pub(crate) trust_tier: Option<&'a str>,
    pub(crate) lock_file_source: Option<&'a str>,
    /// The event, with its payload.
    pub(crate) event: &'a Event,
    /// Why the workflow matched, JSON.
    pub(crate) decision: Option<String>,
}

/// Makes a run of a workflow. Blocks while it evaluates inline expressions (bounded for each).
pub(crate) fn stamp(plan: &WorkflowPlan, cause: Cause<'_>) -> NewRun {
    if let Some((category, message)) = &plan.refused {
        return failed(&plan.name, &cause, *category, message);
    }
    let run = RunId::generate();
    let Rows { mut jobs, needs, holds, groups, environment } =
        rows(run.0, &plan.jobs, &[], plan.approval.as_ref(), cause.event);
    let slots = slots(run.0, &cause, plan.concurrency.as_ref(), &mut jobs, groups);
    let reused = plan.jobs.iter().zip(&jobs).filter_map(|(job, row)| {
        let from = job.given.as_ref()?.from?;
        Some((row.id, from))
    });
    let reused = reused.collect();
    let states = || jobs.iter().map(|job| job.state.parse().expect("written by us"));
    let derived = derive_run(plan.jobs.iter().map(|job| job.name.as_str()).zip(states()), false);
    let open_jobs = states().filter(|state: &JobState| !state.is_final()).count();
    // A workflow without jobs has nothing to wait for.
    let state = if plan.jobs.is_empty() { RunState::Success } else { derived.state };
    // Nothing has run yet, whatever has already failed.
    let state = match state {
        state if state.is_final() => state,
        _ if is_held(&jobs) => RunState::Held,
        _ => RunState::Pending,
    };
    let row = RunRow {
        id: run.0,
        definition: Some(plan.definition.id),
        state: state.as_str().to_owned(),
        open_jobs: i32::try_from(open_jobs).expect("a lock file has a limit on jobs"),
        failure_reason: match derived.reason {
            ReasonChange::Set(reason) if state.is_final() => Some(reason),
            _ => None,
        },
        environment,
        workflow_timeout_ms: plan.timeout_ms.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
        ..run_row(&plan.name, &cause)
    };
    NewRun {
        row,
        jobs,
        needs,
        holds,
        slots,
        reused,
        definition: Some(plan.definition.clone()),
        selectors: plan
            .needs_runner()
            .then(|| Runner::default().content())
            .into_iter()
            .chain(plan.selectors.iter().cloned())
            .collect(),
    }
}

/// A job of the run that new ones join.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) state: JobState,
}

/// What is written about jobs that begin together.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) jobs: Vec<JobRow>,
    pub(super) needs: Vec<NeedRow>,
    pub(super) holds: Vec<HoldRow>,
    /// The concurrency group of each.
    pub(super) groups: Vec<Option<String>>,
    /// The first of their environments.
    pub(super) environment: Option<String>,
}

/// Makes the rows of planned jobs. The first ones of `jobs` may be there already (`known`); they only stand for their
/// rows. `of_run` is the approval that the whole run needs first.
pub(super) fn rows(
    run: Uuid,
    jobs: &[PlannedJob],
    known: &[Known],
    of_run: Option<&Approval>,
    event: &Event,
) -> Rows {
    let resolved: Vec<Resolved> = jobs.iter().map(|job| resolve(job, event)).collect();
    let fails: Vec<Option<&EndReason>> = resolved.iter().map(|job| job.fails.as_ref()).collect();
    let states: Vec<JobState> = known.iter().map(|job| job.state).collect();
    let first = first_states(&states, jobs, &fails);
    let new = jobs[known.len()..].iter().map(|_| JobId::generate().0);
    let ids: Vec<Uuid> = known.iter().map(|job| job.id).chain(new).collect();
    let mut rows = Rows::default();
    for (at, resolved) in resolved.into_iter().enumerate().skip(known.len()) {
        for (upstream, run_on) in &jobs[at].needs {
            rows.needs.push(NeedRow {
                job_id: ids[at],
                upstream: ids[*upstream],
                run_on: run_on.join(","),
            });
        }
        rows.environment = rows.environment.or_else(|| resolved.environment.clone());
        rows.groups.push(resolved.group.clone());
        rows.jobs.push(row(jobs, at, run, ids[at], resolved, &first[at]));
    }
    let approvals = jobs[known.len()..].iter().map(|job| job.approval.as_ref());
    rows.holds = hold(run, of_run, &mut rows.jobs, approvals);
    rows
}

/// Whether nothing of it may start before somebody has approved.
fn is_held(jobs: &[JobRow]) -> bool {
    let any = |state: JobState| jobs.iter().any(|job| job.state == state.as_str());
    any(JobState::Held) && !any(JobState::Queued) && !any(JobState::Waiting)
}

/// The run of a lock file that could not be read: it shows what is wrong.
pub(crate) fn unresolved(cause: &Cause<'_>, message: &str) -> NewRun {
    failed("(unresolved workflow)", cause, InitCategory::LockResolution, message)
}

fn failed(workflow: &str, cause: &Cause<'_>, category: InitCategory, message: &str) -> NewRun {
    let message: String = message.chars().take(2000).collect();
    let row = RunRow {
        id: RunId::generate().0,
        state: RunState::Failed.as_str().to_owned(),
        init_failure: Some(
            json!({"scope": "run", "category": category, "message": message}).to_string(),
        ),
        failure_reason: Some(message),
        ..run_row(workflow, cause)
    };
    NewRun {
        row,
        jobs: Vec::new(),
        needs: Vec::new(),
        holds: Vec::new(),
        slots: Vec::new(),
        reused: Vec::new(),
        definition: None,
        selectors: Vec::new(),
    }
}

fn run_row(workflow: &str, cause: &Cause<'_>) -> RunRow {
    // The payload is in the delivery already.
    let event = Event { payload: Value::Null, ..cause.event.clone() };
    RunRow {
        org_id: cause.org_id.to_owned(),
        delivery: cause.delivery,
        delivery_id: cause.delivery_id.to_owned(),
        routing_key: cause.routing_key.to_owned(),
        provider: cause.provider.to_owned(),
        repo: clean(cause.repo),
        git_ref: clean(cause.git_ref),
        sha: clean(cause.sha),
        workflow_name: clean(workflow),
        event: serde_json::to_string(&event).expect("an event is plain data"),
        decision: cause.decision.clone(),
        trust_tier: cause.trust_tier.map(str::to_owned),
        lock_file_source: cause.lock_file_source.map(str::to_owned),
        contributor: cause.event.sender_username.as_deref().map(clean),
        ..RunRow::default()
    }
}

/// What depends on the event, evaluated.
#[derive(Default)]
struct Resolved {
    environment: Option<String>,
    env: Option<String>,
    /// The concurrency group in which it has to be alone.
    group: Option<String>,
    fails: Option<EndReason>,
}

fn resolve(job: &PlannedJob, event: &Event) -> Resolved {
    let mut resolved = Resolved { fails: job.fails.clone(), ..Resolved::default() };
    if resolved.fails.is_some() {
        return resolved;
    }
    let failure = |what: &str, error: String| EndReason::Init {
        category: InitCategory::DynamicEval,
        message: clean(&format!("{what} of job '{}': {error}", job.base_name)),
    };
    let mut environments = Vec::new();
    for environment in &job.environments {
        let name = match environment {
            TextValue::Text(name) => Ok(name.clone()),
            TextValue::Inline(computed) => inline::environment(computed, event),
        };
        match name {
            Ok(name) if !name.is_empty() => {
                environments.push(clean(&name));
                resolved.environment = resolved.environment.or(Some(clean(&name)))
            }
            Ok(_) => {}
            Err(error) => {
                resolved.fails = Some(failure("environment", error));
                return resolved;
            }
        }
    }
    let group = match &job.group {
        None => None,
        Some(TextValue::Text(name)) => Some(Ok(name.clone())),
        Some(TextValue::Inline(computed)) => Some(inline::job_group(computed, event)),
    };
    match group {
        // A group that is named like an environment of the job stands for that environment's own limit.
        Some(Ok(name)) => {
            resolved.group = Some(clean(&name)).filter(|name| !environments.contains(name))
        }
        Some(Err(error)) => {
            resolved.fails = Some(failure("concurrencyGroup", error));
            return resolved;
        }
        None => {}
    }
    let env = match &job.env {
        None => return resolved,
        Some(EnvValue::Map(map)) => Ok(serde_json::to_string(map).expect("a map of texts")),
        Some(EnvValue::Inline(computed)) => inline::env(computed, event),
    };
    match env {
        Ok(env) => resolved.env = Some(env),
        Err(error) => resolved.fails = Some(failure("env", error)),
    }
    resolved
}

fn row(
    jobs: &[PlannedJob],
    at: usize,
    run: Uuid,
    id: Uuid,
    resolved: Resolved,
    first: &First,
) -> JobRow {
    let job = &jobs[at];
    let number = |n: usize| i32::try_from(n).expect("a lock file has a limit on jobs");
    JobRow {
        id,
        run_id: run,
        position: number(at),
        name: clean(&job.name),
        base_name: clean(&job.base_name),
        lock_index: job.lock_index.map(number),
        matrix: job.matrix.clone(),
        variant_kind: match (job.on_host, &job.matrix) {
            (true, _) => Some("host".to_owned()),
            (false, Some(_)) => Some("matrix".to_owned()),
            (false, None) => None,
        },
        variant_label: job.label.as_deref().map(clean),
        fanout_index: job.fanout.map(|(index, _)| number(index)),
        fanout_total: job.fanout.map(|(_, total)| number(total)),
        // A job that evaluates and was never in a run has no selector yet.
        selector: if job.selector.is_nil() { Runner::default().content().id } else { job.selector },
        environment: resolved.environment,
        env: resolved.env,
        max_parallel: job.window.max_parallel.map(|limit| {
            i32::try_from(limit.get()).expect("smaller than its fan-out")
        }),
        fail_fast: job.window.fail_fast,
        gated: first.gated,
        state: first.state.as_str().to_owned(),
        open_needs: number(first.open),
        wait_reason: wait_reason(jobs, job, first)
            .map(|reason| serde_json::to_string(&reason).expect("a reason is plain data")),
        end_reason: first
            .reason
            .as_ref()
            .map(|reason| serde_json::to_string(reason).expect("a reason is plain data")),
        error_message: first.reason.as_ref().map(|reason| clean(&reason.to_string())),
        init_failure: first.reason.as_ref().and_then(|reason| match reason {
            EndReason::Init { category, message } => Some(
                json!({"scope": "job", "category": category, "message": message, "jobName": job.name}).to_string(),
            ),
            EndReason::HostUnreachable { .. } => Some(
                json!({"scope": "job", "category": InitCategory::NoAgent, "message": reason.to_string(), "jobName": job.name}).to_string(),
            ),
            _ => None,
        }),
        hold: false,
        slot: false,
        kind: job.kind,
        body: job.body.as_deref().map(clean),
        priority: 0,
        timeout_ms: job.timeout_ms.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
    }
}

fn wait_reason(jobs: &[PlannedJob], job: &PlannedJob, first: &First) -> Option<WaitReason> {
    if first.state != JobState::Pending {
        return None;
    }
    if first.gated && first.open == 1 {
        return job.window.max_parallel.map(|limit| WaitReason::Wave { max_parallel: limit.get() });
    }
    let upstreams = job.needs.iter().map(|(at, _)| jobs[*at].name.as_str());
    Some(WaitReason::needs(upstreams))
}

/// PostgreSQL has no NUL in text.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests;
