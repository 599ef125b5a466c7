//! Writes one batch of facts in one transaction.
//!
//! The order of the statements keeps the order of each job's facts: logs, acknowledged, started, steps, ended. A
//! job cannot report in another order on one socket, and repeats change nothing.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kici_model::state::{EndReason, InitCategory};
use kici_store::job::{JobNow, job_now};
use kici_store::lease::{
    GiveBack, job_acked, job_give_back, job_heartbeat, job_started, run_started,
};
use kici_store::log_chunk::{LogChunkRow, log_chunk_insert};
use kici_store::run::run_lock;
use kici_store::step::{StepRow, step_upsert};
use kici_store::{PgConnection, Store, StoreError};
use tracing::info;
use uuid::Uuid;

use super::facts::Fact;
use super::lost::record;
use super::{Ending, Finish, Settled, finish};
use crate::app::App;

/// Dispatches of a job that may fail.
pub(crate) const MAX_FAILURES: i16 = 5;

/// Pause after a failed dispatch, by how many failed before.
const PAUSES: [u64; 5] = [0, 1, 5, 15, 30];

/// A batch, sorted by kind.
#[derive(Default)]
struct Sorted<'a> {
    runs: BTreeSet<Uuid>,
    acked: Vec<(Uuid, i32)>,
    started: Vec<(Uuid, i32)>,
    alive: Vec<(Uuid, i32)>,
    refused: Vec<(Uuid, Uuid, i32, &'a str, &'a str)>,
    /// The last report about each step.
    steps: HashMap<(Uuid, i32, i32, &'a str), &'a StepRow>,
    logged: Vec<LogChunkRow>,
    ended: Vec<Finish>,
}

/// Writes a batch.
pub(super) async fn apply(app: &App, batch: &[Fact]) -> Result<(), StoreError> {
    let sorted = sort(batch);
    let mut tx = app.store.begin().await?;
    // All runs first and in order: see `run_lock`.
    let runs: Vec<Uuid> = sorted.runs.iter().copied().collect();
    if !runs.is_empty() {
        run_lock(&mut tx, &runs).await?;
    }
    let logs_lost = match sorted.logged.is_empty() {
        true => Vec::new(),
        false => log_chunk_insert(&mut tx, app.number, &sorted.logged).await?,
    };
    let settled = write(app, &mut tx, &sorted).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    logs_indexed(app, &sorted.logged, &logs_lost).await;
    let steps = sorted.steps.keys().map(|(job, ..)| *job);
    sorted.runs.iter().copied().chain(steps).for_each(|id| app.feed.changed(id));
    if settled.ready > 0 || !sorted.refused.is_empty() || !settled.jobs.is_empty() {
        app.dispatch.wake();
    }
    Ok(())
}

async fn write(
    app: &App,
    conn: &mut PgConnection,
    sorted: &Sorted<'_>,
) -> Result<Settled, StoreError> {
    let mut ended = sorted.ended.clone();
    for end in ended.iter_mut().filter(|end| end.evaluated.is_some()) {
        end.hosts = Some(app.config.agents.host_rules());
    }
    // A job that runs has been acknowledged: most of the time both come in one batch.
    let acked: Vec<(Uuid, i32)> =
        sorted.acked.iter().filter(|job| !sorted.started.contains(job)).copied().collect();
    if !acked.is_empty() {
        job_acked(conn, &acked, app.config.agents.stale_after()).await?;
    }
    for (run, job, attempt, agent, why) in &sorted.refused {
        ended.extend(give_back(conn, *run, *job, *attempt, Some(agent), why, false).await?);
    }
    if !sorted.started.is_empty() {
        let runs = job_started(conn, &sorted.started, app.config.agents.job_timeout_grace).await?;
        run_started(conn, &runs).await?;
    }
    if !sorted.alive.is_empty() {
        job_heartbeat(conn, &sorted.alive).await?;
    }
    if !sorted.steps.is_empty() {
        let mut rows: Vec<StepRow> = sorted.steps.values().map(|row| (*row).clone()).collect();
        rows.sort_by(|a, b| (a.job_id, a.index, &a.name).cmp(&(b.job_id, b.index, &b.name)));
        step_upsert(conn, &rows).await?;
    }
    if ended.is_empty() { Ok(Settled::default()) } else { finish(conn, &ended, &[]).await }
}

async fn logs_indexed(app: &App, rows: &[LogChunkRow], lost: &[Uuid]) {
    for of_job in rows.chunk_by(|a, b| a.job_id == b.job_id) {
        let job = of_job[0].job_id;
        if lost.contains(&job) {
            app.logs.lost(job).await;
        } else {
            app.logs.indexed(job, of_job.iter().map(|row| row.object));
        }
    }
}

fn sort(batch: &[Fact]) -> Sorted<'_> {
    let mut sorted = Sorted::default();
    for fact in batch {
        match fact {
            Fact::Acked { run, job, attempt } => {
                sorted.runs.insert(*run);
                sorted.acked.push((*job, *attempt));
            }
            Fact::Refused { run, job, attempt, agent, why } => {
                sorted.runs.insert(*run);
                sorted.refused.push((*run, *job, *attempt, agent, why));
            }
            Fact::Started { run, job, attempt } => {
                sorted.runs.insert(*run);
                sorted.started.push((*job, *attempt));
            }
            Fact::Heartbeat { run, job, attempt } => {
                sorted.runs.insert(*run);
                sorted.alive.push((*job, *attempt));
            }
            Fact::Step(row) => {
                let key = (row.job_id, row.attempt, row.index, row.name.as_str());
                // A step that ended stays ended, whatever a late message says.
                let open = |row: &StepRow| matches!(row.state.as_str(), "pending" | "running");
                if sorted.steps.get(&key).is_none_or(|known| open(known)) {
                    sorted.steps.insert(key, row);
                }
            }
            Fact::Logged(rows) => sorted.logged.extend(rows.iter().cloned()),
            Fact::Ended(end) => {
                sorted.runs.insert(end.run);
                sorted.ended.push((**end).clone());
            }
        }
    }
    sorted
}

/// Returns a job that never started to the queue, or ends it when too many dispatches have failed. The caller
/// holds the lock of its run.
pub(crate) async fn give_back(
    conn: &mut PgConnection,
    run: Uuid,
    job: Uuid,
    attempt: i32,
    agent: Option<&str>,
    why: &str,
    only_unacked: bool,
) -> Result<Option<Finish>, StoreError> {
    let held = |now: &JobNow| now.attempt == attempt && !(only_unacked && now.acked);
    let Some(now) = job_now(conn, &[job]).await?.into_iter().next().filter(held) else {
        return Ok(None);
    };
    let failures = now.failures + 1;
    let pause = PAUSES[usize::try_from(now.failures).unwrap_or(0).min(PAUSES.len() - 1)];
    let back = GiveBack {
        job,
        attempt,
        delay: Duration::from_secs(pause),
        failed: true,
        refused_by: agent.map(str::to_owned),
        why: Some(why.to_owned()),
        only_unacked,
    };
    let reason = EndReason::NotTaken { message: why.to_owned() };
    record(conn, &now, &reason).await?;
    if !job_give_back(conn, &back).await? {
        return Ok(None);
    }
    info!(job.id = %job, attempt, pause_s = pause, "job returned to the queue: {why}");
    if failures < MAX_FAILURES {
        return Ok(None);
    }
    let message =
        format!("Job failed: re-dispatch attempts exhausted after {failures} attempts ({why})");
    let reason = EndReason::Init { category: InitCategory::NoAgent, message };
    Ok(Some(Finish::because(run, job, Ending::Failed, reason)))
}

/// Counts and logs what came of a batch.
pub(crate) fn announce(app: &App, settled: &Settled) {
    if !settled.jobs.is_empty() || !settled.runs.is_empty() {
        app.slots.moved();
    }
    for (job, state) in &settled.jobs {
        info!(job.id = %job, state = %state, "job ended: {state}");
        app.logs.job_ended(*job);
        app.feed.changed(*job);
    }
    for run in &settled.runs {
        app.feed.changed(run.id);
        info!(run.id = %run.id, state = %run.state, duration_ms = run.took.as_millis() as u64,
              "run ended: {}", run.state);
        app.metrics.runs(run.state.as_str(), 1);
        app.metrics.run_took(run.took);
    }
}
