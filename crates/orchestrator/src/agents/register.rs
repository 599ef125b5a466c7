//! Compares what an agent says it holds with what the table says, when it registers.
//!
//! Jobs on both sides go on; jobs that only the agent has are stopped there; jobs that only the table has are
//! settled at once: returned to the queue if they never started, failed if they had.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kici_model::state::EndReason;
use kici_protocol::agent::{Fate, InFlightJob};
use kici_store::job::{JobNow, job_now};
use kici_store::lease::{
    GiveBack, job_adopt, job_cancelling, job_give_back, job_linger, job_of_agent,
};
use kici_store::run::{LockedRun, run_lock};
use kici_store::{PgConnection, Store, StoreError};
use tracing::{info, warn};
use uuid::Uuid;

use super::link::Held;
use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::lost::{Loss, lost, record};
use crate::jobs::{Finish, finish};
use crate::runs::{KILL_WITHIN, STOP_WITHIN};

/// How long the end of a job may take on its way through the orchestrator that its agent was connected to.
const LINGER: Duration = Duration::from_secs(3);

/// A job that the agent has to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) run: Uuid,
    pub(super) job: Uuid,
    pub(super) reason: String,
    pub(super) force: bool,
}

/// What the comparison gave.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// Jobs that the connection holds now.
    pub(super) held: HashMap<Uuid, Held>,
    /// Those of them that go on as another attempt than the one that the agent was given.
    pub(super) anew: Vec<Uuid>,
    pub(super) stop: Vec<Stop>,
    /// Jobs that the agent names and that are no longer its own; with the attempt if it was the agent's to the end.
    pub(super) past: Vec<(Uuid, Option<i32>)>,
}

/// Compares, and writes what follows, in one transaction.
pub(super) async fn reconcile(
    app: &App,
    agent: &str,
    listed: &[InFlightJob],
) -> Result<Reconciled, StoreError> {
    let ids: Vec<Uuid> = listed.iter().filter_map(|job| job.job_id.parse().ok()).collect();
    let mut tx = app.store.begin().await?;
    let mut rows: HashMap<Uuid, JobNow> =
        job_of_agent(&mut tx, agent).await?.into_iter().map(|row| (row.id, row)).collect();
    rows.extend(job_now(&mut tx, &ids).await?.into_iter().map(|row| (row.id, row)));
    if rows.is_empty() && ids.is_empty() {
        return Ok(Reconciled::default());
    }
    let runs: BTreeSet<Uuid> = rows.values().map(|row| row.run_id).collect();
    let runs: Vec<Uuid> = runs.into_iter().collect();
    let locked: HashMap<Uuid, LockedRun> =
        run_lock(&mut tx, &runs).await?.into_iter().map(|run| (run.id, run)).collect();
    // Again, now that nobody else decides about them.
    let all: Vec<Uuid> = rows.keys().copied().collect();
    rows = job_now(&mut tx, &all).await?.into_iter().map(|row| (row.id, row)).collect();

    let mut done = Reconciled::default();
    let mut kept = BTreeSet::new();
    for job in listed {
        let row = job.job_id.parse().ok().and_then(|id: Uuid| rows.get(&id));
        let stopped =
            row.and_then(|row| locked.get(&row.run_id)).is_some_and(|run| run.stop.is_some());
        if let Some(row) = row.filter(|row| !is_of_use(job.fate, row, stopped)) {
            let own = row.agent_id.as_deref() == Some(agent);
            done.past.push((row.id, own.then_some(row.attempt)));
            continue;
        }
        kept.extend(row.map(|row| row.id));
        keep(&mut tx, app, agent, job, &rows, &locked, &mut done).await?;
    }
    let mut ends = Vec::new();
    for row in rows
        .values()
        .filter(|row| !kept.contains(&row.id) && row.agent_id.as_deref() == Some(agent))
    {
        let stopped = locked.get(&row.run_id).is_some_and(|run| run.stop.is_some());
        ends.extend(settle_lost(&mut tx, app, row, stopped).await?);
    }
    let settled = finish(&mut tx, &ends, &[]).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    Ok(done)
}

/// Whether a job that an agent lists can go on with it.
fn is_of_use(fate: Option<Fate>, row: &JobNow, stopped: bool) -> bool {
    match fate {
        // What it has left to say is only that.
        Some(Fate::Lost) => false,
        // It was told to stop when its dispatch was taken back: as another attempt, also one that was offered to it
        // since and that it never heard of, it would end as cancelled, though nobody cancelled the run.
        Some(Fate::Stopping) => row.agent_id.is_some() && (row.acked || stopped),
        Some(Fate::Other) | None => true,
    }
}

/// A job that the agent says it is running.
async fn keep(
    conn: &mut PgConnection,
    app: &App,
    agent: &str,
    job: &InFlightJob,
    rows: &HashMap<Uuid, JobNow>,
    runs: &HashMap<Uuid, LockedRun>,
    done: &mut Reconciled,
) -> Result<(), StoreError> {
    let (Ok(id), Ok(run)) = (job.job_id.parse::<Uuid>(), job.run_id.parse::<Uuid>()) else {
        warn!(agent.id = agent, job.id = %job.job_id, "the agent holds a job whose id is none of ours");
        return Ok(());
    };
    let gone = |reason: &str| Stop { run, job: id, reason: reason.to_owned(), force: false };
    let Some((row, locked)) = rows.get(&id).and_then(|row| Some((row, runs.get(&row.run_id)?)))
    else {
        done.past.push((id, None));
        done.stop.push(gone("the orchestrator does not know this job"));
        return Ok(());
    };
    let stopped = locked.stop.is_some();
    let waits = row.agent_id.is_none();
    let limits = &app.config.agents;
    let adopted = match stopped && waits {
        true => None,
        false => {
            let (start, grace) = (limits.stale_after(), limits.job_timeout_grace);
            job_adopt(conn, id, agent, app.number, start, grace).await?
        }
    };
    let Some(attempt) = adopted else {
        let own = row.agent_id.as_deref() == Some(agent);
        done.past.push((id, own.then_some(row.attempt)));
        done.stop.push(gone("the job ended or went to another agent"));
        return Ok(());
    };
    info!(job.id = %id, agent.id = agent, attempt, "job goes on with its agent");
    done.anew.extend(waits.then_some(id));
    done.held.insert(
        id,
        Held { run: row.run_id, attempt, started: row.state != "queued", unlogged: false },
    );
    if let Some(stop) = &locked.stop {
        let force = stop == "force";
        let within = if force { KILL_WITHIN } else { STOP_WITHIN };
        job_cancelling(conn, &[id], within).await?;
        // Who stopped it said why, in the transaction that did.
        let reason =
            locked.failure_reason.clone().unwrap_or_else(|| "the run was stopped".to_owned());
        done.stop.push(Stop { run: row.run_id, job: id, reason, force });
    }
    Ok(())
}

/// A job that the table gives to the agent but the agent does not have.
async fn settle_lost(
    conn: &mut PgConnection,
    app: &App,
    row: &JobNow,
    stopped: bool,
) -> Result<Option<Finish>, StoreError> {
    let agent = row.agent_id.clone().unwrap_or_default();
    match row.state.as_str() {
        "queued" => {
            record(conn, row, &EndReason::AgentRestarted { agent: agent.clone() }).await?;
            let back = GiveBack {
                job: row.id,
                attempt: row.attempt,
                delay: Duration::ZERO,
                failed: false,
                refused_by: None,
                why: None,
                only_unacked: false,
            };
            if job_give_back(conn, &back).await? {
                info!(job.id = %row.id, agent.id = %agent, "job never started on its agent, returned to the queue");
            }
            Ok(None)
        }
        "running" | "recovering" | "cancelling" if row.owner != app.number => {
            // It may have ended, and the orchestrator that the agent comes from is still writing that down.
            job_linger(conn, row.id, row.attempt, app.number, LINGER).await?;
            Ok(None)
        }
        "running" | "recovering" | "cancelling" => {
            lost(app, conn, row, stopped, Loss::Restarted).await
        }
        _ => Ok(None),
    }
}
