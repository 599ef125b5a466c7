//! Ends running jobs that nobody speaks of any more. For the leader only.
//!
//! A job that waits, for its needs, a gate or an agent, is never touched: it has no heartbeat, and needs none.

use std::collections::HashMap;

use kici_model::state::EndReason;
use kici_store::job::{JobNow, job_silent};
use kici_store::leader::{Leader, leader_confirm};
use kici_store::run::run_lock;
use kici_store::stop_order::StopOrder;
use kici_store::{Store, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::ROWS;
use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::lost::record;
use crate::jobs::stop::{deliver, order};
use crate::jobs::{Ending, Finish, finish};

/// Jobs that were silent at the last look.
///
/// One look is not enough: after an outage of the database the heartbeats that waited for it are written in the same
/// moment, and after a restart of the orchestrator the agents are still on their way back.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<Uuid, i32>);

impl Suspects {
    /// Ends running jobs that have not been heard of at two looks in a row.
    pub(super) async fn pass(&mut self, app: &App, leader: &Leader) -> Result<(), StoreError> {
        let limit = app.config.agents.stale_after();
        let silent = {
            let mut conn = app.store.connection().await?;
            job_silent(&mut conn, &[], limit.as_secs_f64(), ROWS).await?
        };
        let before = std::mem::take(&mut self.0);
        for job in &silent {
            if before.get(&job.id) == Some(&job.attempt) {
                end_silent(app, leader, job).await?;
            } else {
                self.0.insert(job.id, job.attempt);
            }
        }
        Ok(())
    }
}

async fn end_silent(app: &App, leader: &Leader, job: &JobNow) -> Result<(), StoreError> {
    let limit = app.config.agents.stale_after();
    let mut tx = app.store.begin().await?;
    run_lock(&mut tx, &[job.run_id]).await?;
    // Again, now that nobody else decides about it.
    let still = job_silent(&mut tx, &[job.id], limit.as_secs_f64(), 1).await?.pop();
    let Some(job) = still.filter(|now| now.attempt == job.attempt) else { return Ok(()) };
    if !leader_confirm(&mut tx, leader).await? {
        return Ok(());
    }
    let reason = EndReason::NoHeartbeat { after_s: limit.as_secs() };
    let agent = job.agent_id.clone().unwrap_or_default();
    warn!(job.id = %job.id, agent.id = %agent, "job went silent: {reason}");
    let stop = StopOrder {
        owner: job.owner,
        agent_id: agent,
        run_id: job.run_id,
        job_id: job.id,
        reason: reason.to_string(),
        force: true,
    };
    record(&mut tx, &job, &reason).await?;
    let end = Finish {
        attempt: Some(job.attempt),
        ..Finish::because(job.run_id, job.id, Ending::Stale, reason)
    };
    let settled = finish(&mut tx, &[end], &[]).await?;
    order(app, &mut tx, std::slice::from_ref(&stop)).await?;
    Store::commit(tx).await?;
    announce(app, &settled);
    deliver(app, std::slice::from_ref(&stop));
    if let Some(agent) = app.agents.get(&stop.agent_id) {
        agent.release(job.id);
    }
    app.metrics.stale(1);
    Ok(())
}
