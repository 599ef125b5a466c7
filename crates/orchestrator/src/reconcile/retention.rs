//! Removes ended runs, settled deliveries and entries of the access log after the time that the operator set. For the
//! leader only.
//!
//! Nothing is removed unless a time is set. Logs go first, then rows: what a crash leaves is found again by its rows. Each
//! transaction removes a bounded number, so that nobody waits for it.

use std::time::{Duration, Instant};

use kici_store::leader::{Leader, leader_confirm};
use kici_store::retention::{
    access_log_delete, delivery_delete, jobs_of_runs, run_delete, run_expired,
};
use kici_store::{Store, StoreError};
use tracing::{info, warn};

use crate::app::App;

/// Between two passes.
const PAUSE: Duration = Duration::from_secs(60);

/// Rows of one transaction, and transactions of one pass.
const ROWS: i64 = 100;
/// Nothing hangs on an entry of the access log, and there are many.
const ENTRIES: i64 = 2000;
const BATCHES: usize = 20;

/// When the last pass was.
#[derive(Debug, Default)]
pub(super) struct Retention(Option<Instant>);

impl Retention {
    /// Removes what is too old, if it is time to look.
    pub(super) async fn pass(&mut self, app: &App, leader: &Leader) -> Result<(), StoreError> {
        if self.0.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(());
        }
        self.0 = Some(Instant::now());
        if let Some(keep) = app.config.retention.runs {
            let mut removed = 0;
            for _ in 0..BATCHES {
                let batch = runs(app, leader, keep).await?;
                removed += batch;
                if batch == 0 {
                    break;
                }
            }
            app.metrics.removed("run", removed);
            if removed > 0 {
                info!(
                    runs = removed,
                    "runs were removed: they ended more than {} days ago",
                    days(keep)
                );
            }
        }
        if let Some(keep) = app.config.retention.deliveries {
            let mut removed = 0;
            for _ in 0..BATCHES {
                let mut tx = app.store.begin().await?;
                if !leader_confirm(&mut tx, leader).await? {
                    return Ok(());
                }
                let batch = delivery_delete(&mut tx, keep.as_secs_f64(), ROWS).await?;
                Store::commit(tx).await?;
                removed += batch;
                if batch == 0 {
                    break;
                }
            }
            app.metrics.removed("delivery", removed);
            if removed > 0 {
                info!(
                    deliveries = removed,
                    "deliveries were removed: they came more than {} days ago",
                    days(keep)
                );
            }
        }
        if let Some(keep) = app.config.retention.access_log {
            let mut removed = 0;
            for _ in 0..BATCHES {
                let mut tx = app.store.begin().await?;
                if !leader_confirm(&mut tx, leader).await? {
                    return Ok(());
                }
                let batch = access_log_delete(&mut tx, keep.as_secs_f64(), ENTRIES).await?;
                Store::commit(tx).await?;
                removed += batch;
                if batch == 0 {
                    break;
                }
            }
            app.metrics.removed("access_log", removed);
            if removed > 0 {
                info!(
                    entries = removed,
                    "entries of the access log were removed: they are older than {} days",
                    days(keep)
                );
            }
        }
        Ok(())
    }
}

async fn runs(app: &App, leader: &Leader, keep: Duration) -> Result<u64, StoreError> {
    let (runs, jobs) = {
        let mut conn = app.store.connection().await?;
        let runs = run_expired(&mut conn, keep.as_secs_f64(), ROWS).await?;
        let jobs = jobs_of_runs(&mut conn, &runs).await?;
        (runs, jobs)
    };
    if runs.is_empty() {
        return Ok(0);
    }
    for job in jobs {
        if let Err(error) = app.logs.remove(job).await {
            // The rows stay, so that the objects are not forgotten.
            warn!(job.id = %job, error = %format!("{error:#}"), "could not remove a log, its run is kept");
            return Ok(0);
        }
    }
    let mut tx = app.store.begin().await?;
    if !leader_confirm(&mut tx, leader).await? {
        return Ok(0);
    }
    let removed = run_delete(&mut tx, &runs).await?;
    Store::commit(tx).await?;
    Ok(removed)
}

fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}
