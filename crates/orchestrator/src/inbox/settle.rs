//! Writes what a batch of deliveries became: all runs, jobs and edges, and the deliveries themselves, in one
//! transaction. A delivery that cannot be written is found and tried alone, so that it does not sink its batch.

use std::time::{Duration, Instant};

use kici_store::delivery::{Settled, delivery_retry, delivery_settle};
use kici_store::run::run_of_delivery;
use kici_store::{Store, StoreError};
use rand::RngExt as _;
use tracing::{error, info, warn};

use super::process::{Failure, Outcome, Processed};
use crate::app::App;
use crate::logging::Chain;
use crate::runs::{NewRun, create};

/// Error texts in the log of deliveries are bounded.
const LONGEST_ERROR: usize = 4096;

/// How long a batch is tried when the database has a passing trouble.
const TRY_FOR: Duration = Duration::from_secs(20);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn settle(app: &App, batch: Vec<Processed>) {
    let mut outcomes = Vec::with_capacity(batch.len());
    for processed in batch {
        match processed.result {
            Ok(outcome) => outcomes.push((processed.delivery, outcome)),
            Err(failure) => failed(app, &processed.delivery, failure).await,
        }
    }
    if outcomes.is_empty() {
        return;
    }
    let refs: Vec<&Outcome> = outcomes.iter().map(|(_, outcome)| outcome).collect();
    let Err(error) = persist(app, &refs).await else { return };
    if let [(delivery, _)] = outcomes.as_slice() {
        return failed(app, delivery, unwritten(&error)).await;
    }
    warn!(error = %Chain(&error), deliveries = outcomes.len(),
          "a batch of deliveries could not be written, writing them one by one");
    for (delivery, outcome) in &outcomes {
        if let Err(error) = persist(app, &[outcome]).await {
            failed(app, delivery, unwritten(&error)).await;
        }
    }
}

/// One transaction, tried again while the database has a passing trouble: whoever waits for the lease to end waits
/// for a minute.
async fn persist(app: &App, outcomes: &[&Outcome]) -> Result<(), StoreError> {
    let until = Instant::now() + TRY_FOR;
    loop {
        match write(app, outcomes).await {
            Err(error)
                if error.is_transient() && Instant::now() < until && !app.stop.is_cancelled() =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

fn unwritten(error: &StoreError) -> Failure {
    Failure { message: Chain(error).to_string(), retry: true }
}

async fn write(app: &App, outcomes: &[&Outcome]) -> Result<(), StoreError> {
    let runs: Vec<&NewRun> = outcomes.iter().flat_map(|outcome| &outcome.runs).collect();
    if !runs.is_empty() {
        let mut conn = app.store.connection().await?;
        app.contents.store(&mut conn, &runs).await?;
    }
    let mut tx = app.store.begin().await?;
    let created = if runs.is_empty() { Default::default() } else { create(&mut tx, &runs).await? };
    let mut settled: Vec<Settled> =
        outcomes.iter().map(|outcome| outcome.settled.clone()).collect();
    for row in settled.iter_mut().filter(|row| row.run.is_some_and(|run| !created.contains(&run))) {
        // An earlier try, cut off before this line, has made the runs.
        row.run = run_of_delivery(&mut tx, row.id).await?;
    }
    delivery_settle(&mut tx, &settled).await?;
    Store::commit(tx).await?;

    for row in &settled {
        app.metrics.webhook_processed(if row.matched > 0 { "matched" } else { "skipped" });
    }
    if runs.iter().any(|run| !run.slots.is_empty()) {
        app.slots.wake();
    }
    let mut waiting = false;
    for run in runs.iter().filter(|run| created.contains(&run.row.id)) {
        info!(run.id = %run.row.id, delivery.id = %run.row.delivery_id, workflow = %run.row.workflow_name,
              jobs = run.jobs.len(), "run made for workflow {}", run.row.workflow_name);
        app.metrics.runs("pending", 1);
        if run.row.state != "pending" {
            app.metrics.runs(&run.row.state, 1);
        }
        waiting |= run.row.open_jobs > 0;
    }
    if waiting {
        app.dispatch.wake();
    }
    Ok(())
}

/// Puts a delivery off, or gives it up with what went wrong.
async fn failed(app: &App, delivery: &kici_store::delivery::Claimed, failure: Failure) {
    let message: String =
        failure.message.replace('\0', "\u{fffd}").chars().take(LONGEST_ERROR).collect();
    let attempts = u16::try_from(delivery.attempts).unwrap_or(u16::MAX);
    let again = failure.retry && attempts < app.config.events.max_attempts;
    let written = async {
        let mut conn = app.store.connection().await?;
        if again {
            let pause = pause(app, attempts);
            warn!(delivery.id = %delivery.delivery_id, attempts, pause_ms = pause.as_millis() as u64,
                  "delivery could not be processed, trying again: {message}");
            delivery_retry(&mut conn, delivery.id, pause, &message).await
        } else {
            error!(delivery.id = %delivery.delivery_id, attempts, "delivery failed: {message}");
            app.metrics.webhook_processed("error");
            let settled = Settled {
                id: delivery.id,
                state: "failed",
                matched: 0,
                run: None,
                error: Some(message.clone()),
                repo: None,
                git_ref: None,
                action: None,
            };
            delivery_settle(&mut conn, &[settled]).await
        }
    };
    if let Err(error) = written.await {
        // Its lease ends, and the next claim finds it.
        warn!(delivery.id = %delivery.delivery_id, error = %Chain(&error), "could not record that a delivery failed");
    }
}

/// Between nothing and the doubled base: many that failed together do not come back together.
fn pause(app: &App, attempts: u16) -> Duration {
    let doubled =
        app.config.events.retry_base.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let most = doubled.min(app.config.events.retry_max);
    most.mul_f64(rand::rng().random_range(0.0..=1.0))
}
