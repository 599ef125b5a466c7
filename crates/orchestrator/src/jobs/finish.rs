//! Ends jobs and settles their runs, in the caller's transaction: the one path for all that ends a job.
//!
//! The runs are locked first, in the order of their ids, so that two ends in one run follow each other and see
//! each other's result. All statements work on the whole batch; their number depends neither on how many jobs end
//! nor on how deep the skips go. What an end means for the jobs that wait is in [`super::follow`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use kici_model::state::{EndReason, JobState, ReasonChange, RunState, derive_run};
use kici_store::job::{EndedJob, JobEnd, JobNow, job_end, job_needs_met, job_now};
use kici_store::run::{LockedRun, RunChange, run_lock, run_outcomes, run_update};
use kici_store::step::step_abandon;
use kici_store::{PgConnection, StoreError};
use serde_json::Value;
use uuid::Uuid;

use super::decide::{Ending, decide};
use super::evaluated;
use super::follow::{Ended, follow, turns_after, with_turns};
use crate::runs::HostRules;

/// A job that ends.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    pub(crate) run: Uuid,
    pub(crate) job: Uuid,
    /// The attempt that this is about; none for a decision about the job whoever holds it.
    pub(crate) attempt: Option<i32>,
    pub(crate) ending: Ending,
    /// What went wrong, in words.
    pub(crate) error: Option<String>,
    pub(crate) reason: Option<EndReason>,
    /// Step name → outputs, JSON.
    pub(crate) outputs: Option<String>,
    /// What a job that evaluates has computed.
    pub(crate) evaluated: Option<Value>,
    /// How hosts are counted, for what that adds.
    pub(crate) hosts: Option<HostRules>,
    /// Generated siblings that its agent did not get again.
    pub(crate) dropped: Vec<String>,
}

impl Finish {
    /// An end for a reason: the words are the reason's own.
    pub(crate) fn because(run: Uuid, job: Uuid, ending: Ending, reason: EndReason) -> Finish {
        Finish {
            run,
            job,
            attempt: None,
            ending,
            error: Some(reason.to_string()),
            reason: Some(reason),
            outputs: None,
            evaluated: None,
            hosts: None,
            dropped: Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Jobs that ended, with those that were skipped because of them.
    pub(crate) jobs: Vec<(Uuid, JobState)>,
    /// Jobs that became ready.
    pub(crate) ready: u64,
    /// Runs that ended.
    pub(crate) runs: Vec<EndedRun>,
}

/// A run that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedRun {
    pub(crate) id: Uuid,
    pub(crate) state: RunState,
    /// From its making to its end.
    pub(crate) took: Duration,
}

/// Ends jobs. What is stale (ended already, or another attempt) changes nothing. Runs in `also` are settled too,
/// if none of their jobs is open.
pub(crate) async fn finish(
    conn: &mut PgConnection,
    ends: &[Finish],
    also: &[Uuid],
) -> Result<Settled, StoreError> {
    let runs: Vec<Uuid> = ends
        .iter()
        .map(|end| end.run)
        .chain(also.iter().copied())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let locked = run_lock(conn, &runs).await?;
    let mut settled = Settled::default();
    // Jobs that ended less those that were added.
    let mut ended_in: HashMap<Uuid, i32> = HashMap::new();
    let first = first_round(conn, &locked, ends, &mut ended_in).await?;
    let first = write(conn, first).await?;
    if !first.is_empty() {
        let turns = turns_after(conn, &first).await?;
        let after = follow(conn, &first, &turns.halted).await?;
        let skipped = write(conn, after.skips).await?;
        let met = with_turns(after.met, &turns.next);
        if !met.is_empty() {
            settled.ready = job_needs_met(conn, &met).await?;
        }
        for (end, _) in first.iter().chain(&skipped) {
            *ended_in.entry(end.run).or_default() += 1;
            settled.jobs.push((end.end.id, end.to));
        }
    }
    let abandoned: Vec<Uuid> = settled
        .jobs
        .iter()
        .filter(|(_, state)| *state != JobState::Skipped)
        .map(|(id, _)| *id)
        .collect();
    if !abandoned.is_empty() {
        step_abandon(conn, &abandoned).await?;
    }
    settled.runs = settle_runs(conn, &locked, &ended_in).await?;
    Ok(settled)
}

/// Writes ends. Those whose job has moved on are left out.
async fn write(
    conn: &mut PgConnection,
    ends: Vec<Ended>,
) -> Result<Vec<(Ended, EndedJob)>, StoreError> {
    if ends.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<JobEnd> = ends.iter().map(|end| end.end.clone()).collect();
    let mut written: HashMap<Uuid, EndedJob> =
        job_end(conn, &rows).await?.into_iter().map(|job| (job.id, job)).collect();
    let ended = ends.into_iter().filter_map(|end| {
        let job = written.remove(&end.end.id)?;
        Some((end, job))
    });
    Ok(ended.collect())
}

/// The ends that were asked for, and those that follow from what jobs have computed.
async fn first_round(
    conn: &mut PgConnection,
    locked: &[LockedRun],
    ends: &[Finish],
    ended_in: &mut HashMap<Uuid, i32>,
) -> Result<Vec<Ended>, StoreError> {
    let ids: Vec<Uuid> = ends.iter().map(|end| end.job).collect();
    let now: HashMap<Uuid, JobNow> =
        job_now(conn, &ids).await?.into_iter().map(|job| (job.id, job)).collect();
    let mut seen = HashSet::new();
    let mut round = Vec::new();
    let mut caused = Vec::new();
    for end in ends {
        let Some(job) = now.get(&end.job).filter(|job| job.run_id == end.run) else { continue };
        if end.attempt.is_some_and(|attempt| attempt != job.attempt) {
            continue;
        }
        let from = state(&job.state)?;
        // The first report of a batch counts, as it would if they came one by one.
        let Some(to) = decide(from, end.ending).filter(|_| seen.insert(end.job)) else { continue };
        let mut ended = Ended {
            run: job.run_id,
            name: job.name.clone(),
            to,
            end: JobEnd {
                id: job.id,
                attempt: job.attempt,
                from: job.state.clone(),
                to: to.as_str().to_owned(),
                error: end.error.clone(),
                reason: end.reason.as_ref().map(json),
                outputs: end.outputs.clone(),
            },
        };
        let stopped = locked.iter().any(|run| run.id == job.run_id && run.stop.is_some());
        let after = evaluated::after(conn, job, end, (from, to), stopped).await?;
        if let Some((to, reason)) = after.instead {
            ended.to = to;
            ended.end.to = to.as_str().to_owned();
            ended.end.error = Some(reason.to_string());
            ended.end.reason = Some(json(&reason));
        }
        *ended_in.entry(job.run_id).or_default() -= after.opened;
        caused.extend(after.ends.into_iter().map(|end| (job.run_id, end)));
        round.push(ended);
    }
    for (run, evaluated::End { job, ending, reason }) in caused {
        let to = state(&job.state).ok().and_then(|from| decide(from, ending));
        let Some(to) = to.filter(|_| seen.insert(job.id)) else { continue };
        round.push(Ended {
            run,
            name: job.name,
            to,
            end: JobEnd {
                id: job.id,
                attempt: job.attempt,
                from: job.state,
                to: to.as_str().to_owned(),
                error: Some(reason.to_string()),
                reason: Some(json(&reason)),
                outputs: None,
            },
        });
    }
    Ok(round)
}

async fn settle_runs(
    conn: &mut PgConnection,
    locked: &[LockedRun],
    ended: &HashMap<Uuid, i32>,
) -> Result<Vec<EndedRun>, StoreError> {
    let is_over = |run: &&LockedRun| {
        run.open_jobs == ended.get(&run.id).copied().unwrap_or(0)
            && state_of_run(run).is_ok_and(|s| !s.is_final())
    };
    let over: Vec<Uuid> = locked.iter().filter(is_over).map(|run| run.id).collect();
    let outcomes = if over.is_empty() { Vec::new() } else { run_outcomes(conn, &over).await? };
    let mut changes = Vec::new();
    let mut runs = Vec::new();
    for run in locked {
        let count = ended.get(&run.id).copied().unwrap_or(0);
        let mut change = RunChange {
            id: run.id,
            ended: count,
            state: run.state.clone(),
            failure_reason: run.failure_reason.clone(),
        };
        if over.contains(&run.id) {
            let jobs = outcomes
                .iter()
                .filter(|outcome| outcome.run_id == run.id)
                .map(|outcome| Ok((outcome.name.as_str(), state(&outcome.state)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            // The jobs that ended well are not read; one stands for all of them.
            let refused = outcomes
                .iter()
                .filter(|outcome| outcome.run_id == run.id)
                .find_map(|outcome| outcome.refused.clone());
            let derived = derive_run(jobs.into_iter().chain([("", JobState::Success)]), false)
                .refused(refused);
            // Not final means that the count was wrong: the reconciler counts again, nothing is settled here.
            if derived.state.is_final() {
                change.state = derived.state.as_str().to_owned();
                match derived.reason {
                    ReasonChange::Keep => {}
                    ReasonChange::Clear => change.failure_reason = None,
                    ReasonChange::Set(reason) => change.failure_reason = Some(reason),
                }
                let took = Duration::from_millis(u64::try_from(run.age_ms).unwrap_or(0));
                runs.push(EndedRun { id: run.id, state: derived.state, took });
            }
        } else if count == 0 {
            continue;
        }
        changes.push(change);
    }
    if !changes.is_empty() {
        run_update(conn, &changes).await?;
    }
    Ok(runs)
}

fn state_of_run(run: &LockedRun) -> Result<RunState, StoreError> {
    run.state.parse().map_err(|_| StoreError::Unknown {
        call: "finish",
        what: format!("run.state {}", run.state),
    })
}

fn state(word: &str) -> Result<JobState, StoreError> {
    word.parse()
        .map_err(|_| StoreError::Unknown { call: "finish", what: format!("job.state {word}") })
}

pub(super) fn json(reason: &EndReason) -> String {
    serde_json::to_string(reason).expect("a reason is plain data")
}
