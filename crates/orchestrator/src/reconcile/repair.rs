//! Finishes what a crash or a bug has left half done. In a healthy system these passes find nothing. For the leader
//! only.

use std::collections::{BTreeMap, BTreeSet};

use kici_model::graph::Accepts;
use kici_model::state::{EndReason, JobState};
use kici_store::job::{JobNow, Met, job_needs_met, job_now, job_stuck};
use kici_store::leader::{Leader, leader_confirm};
use kici_store::run::{run_lock, run_recount, run_unsettled};
use kici_store::window::{Turns, job_gated, window_stuck};
use kici_store::{Store, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::ROWS;
use crate::app::App;
use crate::jobs::apply::announce;
use crate::jobs::{Ending, Finish, finish};

pub(super) async fn pass(app: &App, leader: &Leader) -> Result<(), StoreError> {
    stuck_jobs(app, leader).await?;
    stuck_windows(app, leader).await?;
    unsettled_runs(app, leader).await
}

/// Fan-outs that have room for more children than are under way.
async fn stuck_windows(app: &App, leader: &Leader) -> Result<(), StoreError> {
    let found = {
        let mut conn = app.store.connection().await?;
        window_stuck(&mut conn, ROWS).await?
    };
    if found.is_empty() {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    let runs: BTreeSet<Uuid> = found.iter().map(|window| window.run).collect();
    run_lock(&mut tx, &runs.into_iter().collect::<Vec<_>>()).await?;
    if !leader_confirm(&mut tx, leader).await? {
        return Ok(());
    }
    // Again, now that nobody else decides about them.
    let still = window_stuck(&mut tx, ROWS).await?;
    let still: Vec<Turns> =
        still.into_iter().filter(|window| found.iter().any(|one| one.run == window.run)).collect();
    let met: Vec<Met> = job_gated(&mut tx, &still)
        .await?
        .into_iter()
        .map(|child| Met { job: child.id, edges: 0, turn: true })
        .collect();
    if !met.is_empty() {
        job_needs_met(&mut tx, &met).await?;
        warn!(jobs = met.len(), "jobs waited for their turn although it had come; repaired");
    }
    Store::commit(tx).await?;
    app.metrics.repaired("fan_out", met.len() as u64);
    app.dispatch.wake();
    Ok(())
}

/// Jobs that still wait although all their upstreams have ended: the edges are judged again.
async fn stuck_jobs(app: &App, leader: &Leader) -> Result<(), StoreError> {
    let stuck = {
        let mut conn = app.store.connection().await?;
        job_stuck(&mut conn, ROWS).await?
    };
    let mut by_job: BTreeMap<Uuid, Vec<_>> = BTreeMap::new();
    for edge in stuck {
        by_job.entry(edge.id).or_default().push(edge);
    }
    for (job, edges) in by_job {
        let first = &edges[0];
        let mut tx = app.store.begin().await?;
        run_lock(&mut tx, &[first.run_id]).await?;
        let upstreams: Vec<Uuid> = edges.iter().map(|edge| edge.upstream).collect();
        let states: BTreeMap<Uuid, JobNow> =
            job_now(&mut tx, &upstreams).await?.into_iter().map(|job| (job.id, job)).collect();
        let still = job_now(&mut tx, &[job])
            .await?
            .into_iter()
            .any(|now| now.state == JobState::Pending.as_str());
        let refused = edges.iter().find_map(|edge| {
            let upstream = states.get(&edge.upstream)?;
            let status: JobState = upstream.state.parse().ok()?;
            let refuses =
                status.is_final() && !Accepts::from_run_on(Some(&edge.run_on)).contains(status);
            refuses.then(|| EndReason::UpstreamUnmet { upstream: upstream.name.clone(), status })
        });
        if !still {
            continue;
        }
        if !leader_confirm(&mut tx, leader).await? {
            return Ok(());
        }
        warn!(job.id = %job, "job waited for upstreams that have ended; repaired");
        app.metrics.repaired("job", 1);
        let settled = match refused {
            Some(reason) => {
                let skip = Finish::because(first.run_id, job, Ending::Skipped, reason);
                finish(&mut tx, &[skip], &[]).await?
            }
            None => {
                let met = Met { job, edges: first.open_needs, turn: false };
                job_needs_met(&mut tx, &[met]).await?;
                finish(&mut tx, &[], &[first.run_id]).await?
            }
        };
        Store::commit(tx).await?;
        announce(app, &settled);
        app.dispatch.wake();
    }
    Ok(())
}

/// Runs without an open job that are open themselves.
async fn unsettled_runs(app: &App, leader: &Leader) -> Result<(), StoreError> {
    let runs = {
        let mut conn = app.store.connection().await?;
        run_unsettled(&mut conn, ROWS).await?
    };
    for run in runs {
        let mut tx = app.store.begin().await?;
        run_lock(&mut tx, &[run]).await?;
        if !leader_confirm(&mut tx, leader).await? {
            return Ok(());
        }
        run_recount(&mut tx, run).await?;
        let settled = finish(&mut tx, &[], &[run]).await?;
        Store::commit(tx).await?;
        warn!(run.id = %run, "run was open without an open job; repaired");
        app.metrics.repaired("run", 1);
        announce(app, &settled);
    }
    Ok(())
}
