//! Passes over the tables that move what is towards what should be. Nothing here is told what changed; each pass
//! reads and may be repeated at any time.
//!
//! Made by every orchestrator: `leases` takes over what dead ones held, `deadlines` ends waits that have run out and
//! jobs that take too long (`overrun`), `orders` passes on what others want of agents that are connected here. Made by one (`leader`): `silent` ends what
//! nobody speaks of any more, `queue` keeps the queue within its limits (and counts it: `depths`), `waits` writes down why its jobs wait, `repair`
//! finishes what a crash or a bug has left half done; `retention` removes what is too old, in a task of its own.

mod deadlines;
mod depths;
mod leader;
mod leases;
mod orders;
mod overrun;
mod queue;
mod repair;
mod retention;
mod silent;
mod waits;

pub(crate) use leader::Leadership;
pub(crate) use leases::reclaim;

use std::time::Duration;

use kici_store::StoreError;
use tracing::warn;

use crate::app::App;
use crate::logging::Chain;

/// One round of the passes that find nothing to do in a healthy system.
#[cfg(test)]
pub(crate) async fn look_after(
    app: &App,
    leader: &kici_store::leader::Leader,
) -> Result<(), StoreError> {
    repair::pass(app, leader).await?;
    deadlines::pass(app).await?;
    crate::holds::expire(app).await
}

/// The usual pause between passes.
const OFTEN: Duration = Duration::from_secs(1);

/// The pause of passes that look for what should never be there.
const SELDOM: Duration = Duration::from_secs(15);

/// Rows that one pass takes; more wait for the next.
pub(crate) const ROWS: i64 = 200;

pub(crate) fn spawn(app: &App) {
    app.spawn(often(app.clone()));
    app.spawn(leader::lead(app.clone()));
    app.spawn(retention::keep(app.clone()));
    app.spawn(orders::follow(app.clone()));
    app.spawn(repeat(app.clone(), SELDOM, seldom));
}

async fn often(app: App) {
    let mut missing = leases::Missing::default();
    let mut timer = timer(OFTEN);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        report("take over from dead orchestrators", missing.pass(&app).await);
        report("end waits that have run out", deadlines::pass(&app).await);
        report("stop runs that take too long", deadlines::overdue_runs(&app, OFTEN).await);
        report("end holds whose time is up", crate::holds::expire(&app).await);
        report("tell agents what was approved", crate::holds::tell(&app).await);
    }
}

async fn seldom(app: App) {
    report("keep what this orchestrator holds", leases::reclaim(&app).await);
}

async fn repeat<F: Future<Output = ()> + Send>(app: App, pause: Duration, pass: fn(App) -> F) {
    let mut timer = timer(pause);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = timer.tick() => pass(app.clone()).await,
        }
    }
}

fn timer(pause: Duration) -> tokio::time::Interval {
    let mut timer = tokio::time::interval(pause);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer
}

fn report(what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        warn!(error = %Chain(&error), "could not {what}, trying again");
    }
}
