//! Keeps the queue within its limits: how many jobs may wait, for how long, and from when on somebody should know.
//! For the leader only: two that cut the same queue would cut it twice.

use kici_model::state::EndReason;
use kici_store::StoreError;
use kici_store::leader::{Leader, leader_confirm};
use kici_store::lease::queue_depth;
use kici_store::queue::{queue_last, queue_waited_too_long};
use kici_store::share::share_waiting;
use tracing::warn;

use super::{ROWS, depths};
use crate::app::App;
use crate::dispatch::Selectors;
use crate::dispatch::shares::over;
use crate::jobs::apply::announce;
use crate::jobs::{Ending, Finish, finish};
use crate::metrics::QueueDepth;

/// Looks between two samples of what is worth a warning, and between two looks for jobs that waited too long.
const SAMPLE: u32 = 5;

/// The queue is counted up to this depth unless more may wait; beyond, the exact number helps nobody and costs a scan.
const COUNTED: i64 = 10_000;

/// What was seen in a row.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looks: u32,
    /// More jobs waited than may at the last look. A burst that agents take at once is no reason to fail any.
    was_over: bool,
    /// Samples in a row above the threshold.
    deep: u32,
    /// Of the jobs that are counted by label.
    selectors: Selectors,
}

impl Watch {
    /// One look; there is one each second.
    pub(super) async fn look(&mut self, app: &App, leader: &Leader) -> Result<(), StoreError> {
        let most = i64::from(app.config.queue.max_depth);
        let depth = {
            let mut conn = app.store.connection().await?;
            let (waiting, dispatched) = queue_depth(&mut conn, COUNTED.max(most + 1)).await?;
            QueueDepth { waiting, dispatched }
        };
        app.metrics.set_queue(depth);
        let over = most > 0 && depth.waiting > most;
        if over && self.was_over {
            cut(app, leader, most).await?;
        }
        self.was_over = over;
        self.looks += 1;
        if self.looks.is_multiple_of(SAMPLE) {
            self.sample(app, depth.waiting);
            depths::look(app, &mut self.selectors, COUNTED).await?;
            expire(app, leader).await?;
        }
        Ok(())
    }

    fn sample(&mut self, app: &App, waiting: i64) {
        let threshold = i64::from(app.config.queue.backpressure_threshold);
        self.deep =
            if threshold > 0 && waiting > threshold { self.deep.saturating_add(1) } else { 0 };
        if self.deep == 2 {
            warn!(
                queue.depth = waiting,
                threshold, "{waiting} jobs wait for an agent: more come in than agents take"
            );
        }
        app.metrics.set_backpressure(self.deep >= 2);
    }
}

/// Fails the newest jobs of the repositories that have the most waiting.
async fn cut(app: &App, leader: &Leader, most: i64) -> Result<(), StoreError> {
    let waiting = {
        let mut conn = app.store.connection().await?;
        share_waiting(&mut conn).await?
    };
    let reason = EndReason::QueueFull { max: app.config.queue.max_depth };
    for (share, jobs) in over(&waiting, most) {
        warn!(jobs, max = most, "the queue is full: the newest jobs of a repository are not taken");
        let mut left = jobs;
        while left > 0 {
            let last = {
                let mut conn = app.store.connection().await?;
                queue_last(&mut conn, share, left.min(ROWS)).await?
            };
            if last.is_empty() {
                break;
            }
            left -= ROWS;
            let last = last.into_iter().map(|(run, job, attempt)| Finish {
                attempt: Some(attempt),
                ..Finish::because(run, job, Ending::Failed, reason.clone())
            });
            end(app, leader, last.collect()).await?;
        }
    }
    Ok(())
}

/// Ends jobs that waited for an agent for too long.
async fn expire(app: &App, leader: &Leader) -> Result<(), StoreError> {
    let Some(limit) = app.config.queue.timeout else { return Ok(()) };
    let expired = {
        let mut conn = app.store.connection().await?;
        queue_waited_too_long(&mut conn, limit.as_secs_f64(), ROWS).await?
    };
    let ends = expired.into_iter().map(|job| {
        let waited = job.reason.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Finish {
            attempt: Some(job.attempt),
            ..Finish::because(job.run_id, job.id, Ending::Stale, EndReason::expired(waited))
        }
    });
    end(app, leader, ends.collect()).await
}

async fn end(app: &App, leader: &Leader, ends: Vec<Finish>) -> Result<(), StoreError> {
    if ends.is_empty() {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    if !leader_confirm(&mut tx, leader).await? {
        return Ok(());
    }
    let settled = finish(&mut tx, &ends, &[]).await?;
    kici_store::Store::commit(tx).await?;
    announce(app, &settled);
    if settled.ready > 0 {
        app.dispatch.wake();
    }
    Ok(())
}
