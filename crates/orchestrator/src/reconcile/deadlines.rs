//! Ends waits that have run out: acknowledgements, starts, lost agents, cancels, limits of jobs, and whole runs.
//!
//! Each orchestrator sees to the jobs of its own agents, whose links it knows. One that hangs is stood in for after
//! [`HUNG`]; when it wakes up, the attempt that it believes in is over.

use std::time::Duration;

use kici_model::state::{EndReason, JobState, TimeLimit};
use kici_protocol::agent::{Close, CloseCode};
use kici_store::job::JobNow;
use kici_store::lease::{GiveBack, job_give_back, job_past_deadline, job_still_due};
use kici_store::run::{RunDue, run_lock, run_overdue};
use kici_store::stop_order::StopOrder;
use kici_store::{PgConnection, Store, StoreError};
use tracing::{info, warn};
use uuid::Uuid;

use super::{ROWS, overrun};
use crate::app::App;
use crate::jobs::apply::{announce, give_back};
use crate::jobs::lost::{Loss, lost, record};
use crate::jobs::stop::{deliver, order};
use crate::jobs::{Ending, Finish, finish};
use crate::logging::Chain;
use crate::runs::{CancelError, stop_for};

/// How long the owner of a job may leave a deadline alone before others see to it.
const HUNG: Duration = Duration::from_secs(15);

/// Jobs whose deadline has passed.
pub(super) async fn pass(app: &App) -> Result<(), StoreError> {
    let due = {
        let mut conn = app.store.connection().await?;
        job_past_deadline(&mut conn, app.number, HUNG, ROWS).await?
    };
    for job in due {
        settle(app, job.run_id, job.id).await?;
    }
    Ok(())
}

async fn settle(app: &App, run: Uuid, job: Uuid) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let stopped = run_lock(&mut tx, &[run]).await?.pop().is_some_and(|run| run.stop.is_some());
    // The agent may have come back, here or elsewhere, while this waited for the lock.
    let Some(job) = job_still_due(&mut tx, job).await? else { return Ok(()) };
    let unacked = job.state == JobState::Queued.as_str() && !job.acked;
    // A running job has no other deadline.
    let overran = job.state == JobState::Running.as_str();
    let end = if unacked {
        not_acked(app, &mut tx, &job).await?
    } else if overran {
        Some(overrun::end(&mut tx, &job).await?)
    } else if job.state == JobState::Queued.as_str() && is_here(app, &job) {
        record(&mut tx, &job, &EndReason::NeverStarted).await?;
        let end = Finish::because(run, job.id, Ending::Stale, EndReason::NeverStarted);
        Some(Finish { attempt: Some(job.attempt), ..end })
    } else {
        let how = if is_here(app, &job) { Loss::Restarted } else { Loss::NotBack };
        lost(app, &mut tx, &job, stopped, how).await?
    };
    let why = end.as_ref().filter(|_| overran).and_then(|end| end.error.clone());
    let settled = finish(&mut tx, end.as_slice(), &[]).await?;
    let stop = StopOrder {
        owner: job.owner,
        agent_id: job.agent_id.clone().unwrap_or_default(),
        run_id: run,
        job_id: job.id,
        reason: why.unwrap_or_else(|| Close::DISPATCH_ACK_TIMEOUT.to_owned()),
        force: !unacked,
    };
    order(app, &mut tx, std::slice::from_ref(&stop)).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    if unacked {
        drop_agent(app, &job, &stop);
    } else if overran {
        deliver(app, std::slice::from_ref(&stop));
        overrun::free_later(app, &job);
    } else if let Some(agent) = app.agents.get(&stop.agent_id) {
        agent.release(job.id);
    }
    app.dispatch.wake();
    Ok(())
}

/// Whether the agent is connected here and the table says so too.
fn is_here(app: &App, job: &JobNow) -> bool {
    job.owner == app.number
        && job.agent_id.as_deref().is_some_and(|agent| app.agents.get(agent).is_some())
}

async fn not_acked(
    app: &App,
    conn: &mut PgConnection,
    job: &JobNow,
) -> Result<Option<Finish>, StoreError> {
    let agent = job.agent_id.as_deref().unwrap_or_default();
    if is_here(app, job) {
        let why = Close::DISPATCH_ACK_TIMEOUT;
        return give_back(conn, job.run_id, job.id, job.attempt, Some(agent), why, true).await;
    }
    // The agent went away before it could answer: no failure of the dispatch.
    record(conn, job, &EndReason::AgentLost { agent: agent.to_owned() }).await?;
    let back = GiveBack {
        job: job.id,
        attempt: job.attempt,
        delay: Duration::ZERO,
        failed: false,
        refused_by: None,
        why: None,
        only_unacked: true,
    };
    job_give_back(conn, &back).await?;
    Ok(None)
}

/// An agent that does not answer may still take the job from its buffer: it is told and sent away.
fn drop_agent(app: &App, job: &JobNow, stop: &StopOrder) {
    let Some(agent) = app.agents.get(&stop.agent_id) else { return };
    if !agent.is_waiting_to_ack(job.id, job.attempt) {
        return;
    }
    warn!(job.id = %job.id, agent.id = agent.id(), "agent did not acknowledge a job in time");
    deliver(app, std::slice::from_ref(stop));
    agent.release(job.id);
    agent.close(Close::new(CloseCode::DispatchAckTimeout, Close::DISPATCH_ACK_TIMEOUT));
}

/// Runs that take longer than their workflow allows. One whose time will be up before the next pass is stopped then.
pub(super) async fn overdue_runs(app: &App, next_pass: Duration) -> Result<(), StoreError> {
    let due = {
        let mut conn = app.store.connection().await?;
        run_overdue(&mut conn, next_pass, ROWS).await?
    };
    for run in due {
        match u64::try_from(run.left_ms).unwrap_or(0) {
            0 => stop_overdue(app, run).await,
            left => {
                let later = app.clone();
                app.spawn(async move {
                    tokio::select! {
                        // The next pass, here or elsewhere, finds it again.
                        () = later.stop.cancelled() => {}
                        () = tokio::time::sleep(Duration::from_millis(left)) => {
                            stop_overdue(&later, run).await;
                        }
                    }
                });
            }
        }
    }
    Ok(())
}

async fn stop_overdue(app: &App, run: RunDue) {
    let RunDue { id, timeout_ms, .. } = run;
    info!(run.id = %id, "run exceeded its timeout of {timeout_ms} ms");
    let end = EndReason::TimedOut {
        limit: TimeLimit::WorkflowTimeout,
        after_ms: u64::try_from(timeout_ms).unwrap_or(0),
    };
    match stop_for(app, id, &end.to_string(), end.clone()).await {
        Ok(_) | Err(CancelError::Ended { .. } | CancelError::Unknown(_)) => {}
        Err(error) => {
            warn!(run.id = %id, error = %Chain(&error), "could not stop a run that takes too long")
        }
    }
}
