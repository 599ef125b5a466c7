//! Ends waits that have run out: acknowledgements, lost agents, cancels, silent jobs and whole runs.

use std::time::Duration;

use kici_model::state::EndReason;
use kici_protocol::agent::{Close, CloseCode};
use kici_store::job::{JobNow, job_silent};
use kici_store::lease::{GiveBack, job_give_back, job_past_deadline};
use kici_store::run::{run_lock, run_overdue};
use kici_store::{PgConnection, Store, StoreError};
use tracing::{info, warn};

use super::ROWS;
use crate::app::App;
use crate::jobs::apply::{announce, give_back};
use crate::jobs::{Ending, Finish, finish};
use crate::logging::Chain;
use crate::runs::{CancelError, cancel};

/// What a failed recovery is called.
const NOT_BACK: &str =
    "Job failed: agent disconnected and did not reconnect within the recovery window";

/// Jobs whose deadline has passed.
pub(super) async fn pass(app: &App) -> Result<(), StoreError> {
    let due = {
        let mut conn = app.store.connection().await?;
        job_past_deadline(&mut conn, ROWS).await?
    };
    for job in due {
        let mut tx = app.store.begin().await?;
        let stopped =
            run_lock(&mut tx, &[job.run_id]).await?.pop().is_some_and(|run| run.stop.is_some());
        let unacked = job.state == "queued" && !job.acked;
        let end = if unacked {
            not_acked(app, &mut tx, &job).await?
        } else {
            Some(not_back(&job, stopped))
        };
        let settled = finish(&mut tx, end.as_slice(), &[]).await?;
        Store::commit(tx).await?;
        announce(app, &settled);
        if unacked {
            drop_agent(app, &job);
        } else if let Some(agent) = job.agent_id.as_deref().and_then(|id| app.agents.get(id)) {
            agent.release(job.id);
        }
        app.dispatch.wake();
    }
    Ok(())
}

async fn not_acked(
    app: &App,
    conn: &mut PgConnection,
    job: &JobNow,
) -> Result<Option<Finish>, StoreError> {
    let agent = job.agent_id.as_deref().unwrap_or_default();
    if app.agents.get(agent).is_some() {
        let why = Close::DISPATCH_ACK_TIMEOUT;
        return give_back(conn, job.run_id, job.id, job.attempt, Some(agent), why, true).await;
    }
    // The agent went away before it could answer: no failure of the dispatch.
    let back = GiveBack {
        job: job.id,
        attempt: job.attempt,
        delay: Duration::ZERO,
        failed: false,
        refused_by: None,
        only_unacked: true,
    };
    job_give_back(conn, &back).await?;
    Ok(None)
}

/// An agent that does not answer may still take the job from its buffer: it is told and sent away.
fn drop_agent(app: &App, job: &JobNow) {
    let Some(agent) = job.agent_id.as_deref().and_then(|id| app.agents.get(id)) else { return };
    if !agent.is_waiting_to_ack(job.id, job.attempt) {
        return;
    }
    warn!(job.id = %job.id, agent.id = agent.id(), "agent did not acknowledge a job in time");
    agent.cancel(job.run_id, job.id, Close::DISPATCH_ACK_TIMEOUT, false);
    agent.release(job.id);
    agent.close(Close::new(CloseCode::DispatchAckTimeout, Close::DISPATCH_ACK_TIMEOUT));
}

fn not_back(job: &JobNow, stopped: bool) -> Finish {
    let agent = job.agent_id.clone().unwrap_or_default();
    let finish = if stopped || job.state == "cancelling" {
        let reason = Some(format!("agent {agent} did not confirm in time"));
        Finish::because(
            job.run_id,
            job.id,
            Ending::Cancelled,
            EndReason::Cancelled { by: None, reason },
        )
    } else {
        let lost =
            Finish::because(job.run_id, job.id, Ending::Failed, EndReason::AgentLost { agent });
        Finish { error: Some(NOT_BACK.into()), ..lost }
    };
    Finish { attempt: Some(job.attempt), ..finish }
}

/// Running jobs that have not been heard of.
pub(super) async fn silent_jobs(app: &App) -> Result<(), StoreError> {
    let limit = app.config.agents.stale_after();
    let silent = {
        let mut conn = app.store.connection().await?;
        job_silent(&mut conn, limit.as_secs_f64(), ROWS).await?
    };
    let message = format!("No heartbeat received for {}s", limit.as_secs());
    for job in &silent {
        warn!(job.id = %job.id, agent.id = job.agent_id.as_deref().unwrap_or_default(), "job went silent");
        let reason = EndReason::JobError { message: message.clone() };
        end(app, job, Ending::Stale, reason).await?;
        if let Some(agent) = job.agent_id.as_deref().and_then(|id| app.agents.get(id)) {
            agent.cancel(job.run_id, job.id, &message, true);
            agent.release(job.id);
        }
    }
    app.metrics.stale(silent.len() as u64);
    Ok(())
}

async fn end(app: &App, job: &JobNow, ending: Ending, reason: EndReason) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let end = Finish {
        attempt: Some(job.attempt),
        ..Finish::because(job.run_id, job.id, ending, reason)
    };
    let settled = finish(&mut tx, &[end], &[]).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    Ok(())
}

/// Runs that take longer than their workflow allows.
pub(super) async fn overdue_runs(app: &App) -> Result<(), StoreError> {
    let overdue = {
        let mut conn = app.store.connection().await?;
        run_overdue(&mut conn, ROWS).await?
    };
    for (run, limit) in overdue {
        info!(run.id = %run, "run exceeded its timeout of {limit} ms");
        let reason = format!("workflow_timeout: run exceeded the workflow timeout of {limit}ms");
        match cancel(app, run, false, "kici", &reason).await {
            Ok(_) | Err(CancelError::Ended { .. } | CancelError::Unknown(_)) => {}
            Err(error) => {
                warn!(run.id = %run, error = %Chain(&error), "could not stop a run that takes too long")
            }
        }
    }
    Ok(())
}
