//! Passes over the tables that move what is towards what should be. Nothing here is told what changed; each pass
//! reads and may be repeated at any time.
//!
//! `leases` takes over what dead orchestrators held, `deadlines` ends waits that have run out, `repair` finishes
//! what a crash or a bug has left half done, `queue` keeps the queue within its limits.

mod deadlines;
mod leases;
mod queue;
mod repair;

use std::time::Duration;

use kici_store::StoreError;
use tracing::warn;

use crate::app::App;
use crate::logging::Chain;

/// The usual pause between passes.
const OFTEN: Duration = Duration::from_secs(1);

/// The pause of passes that look for what should never be there.
const SELDOM: Duration = Duration::from_secs(15);

/// Rows that one pass takes; more wait for the next.
pub(crate) const ROWS: i64 = 200;

pub(crate) fn spawn(app: &App) {
    app.spawn(repeat(app.clone(), OFTEN, often));
    app.spawn(repeat(app.clone(), SELDOM, seldom));
    app.spawn(queue::watch(app.clone()));
}

async fn often(app: App) {
    report("take over from dead orchestrators", leases::pass(&app).await);
    report("end waits that have run out", deadlines::pass(&app).await);
    report("stop runs that take too long", deadlines::overdue_runs(&app).await);
    report("end holds whose time is up", crate::holds::expire(&app).await);
    report("tell agents what was approved", crate::holds::tell(&app).await);
}

async fn seldom(app: App) {
    report("end jobs that went silent", deadlines::silent_jobs(&app).await);
    report("settle what was left half done", repair::pass(&app).await);
}

async fn repeat<F: Future<Output = ()> + Send>(app: App, pause: Duration, pass: fn(App) -> F) {
    let mut timer = tokio::time::interval(pause);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = timer.tick() => pass(app.clone()).await,
        }
    }
}

fn report(what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        warn!(error = %Chain(&error), "could not {what}, trying again");
    }
}
