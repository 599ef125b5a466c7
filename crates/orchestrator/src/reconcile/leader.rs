//! What only one orchestrator does: passes that would gain nothing by being made several times.
//!
//! The lease is a row with a fencing number ([`kici_store::leader`]). Whatever is done with it begins with a look at
//! that row in the same transaction, so that one that hung and woke up late changes nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use kici_store::StoreError;
use kici_store::leader::{Leader, leader_leave, leader_take};
use tracing::{info, warn};

use super::{SELDOM, queue, repair, report, silent, waits};
use crate::app::App;
use crate::logging::Chain;
use crate::metrics::QueueDepth;

/// The name of the lease in the table.
const NAME: &str = "reconcile";

/// How long the lease lasts. A leader that died is replaced sooner: its lock is gone.
const LEASE: Duration = Duration::from_secs(15);

/// How often it is prolonged, or tried for.
const LOOK: Duration = Duration::from_secs(1);

/// Whether this process is the leader.
#[derive(Debug, Default)]
pub(crate) struct Leadership(Mutex<Option<Leader>>);

impl Leadership {
    /// The lease, if this process has it. What is done with it has to be confirmed in the same transaction.
    pub(crate) fn lease(&self) -> Option<Leader> {
        self.0.lock().expect("nothing panics while it is held").clone()
    }

    fn set(&self, lease: Option<Leader>) {
        *self.0.lock().expect("nothing panics while it is held") = lease;
    }
}

/// Runs until the process stops.
pub(super) async fn lead(app: App) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watch = queue::Watch::default();
    let mut waits = waits::Waits::default();
    let mut suspects = silent::Suspects::default();
    let mut seldom = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return leave(&app).await,
            _ = look.tick() => {}
        }
        let Some(leader) = take(&app).await else {
            watch = queue::Watch::default();
            waits = waits::Waits::default();
            continue;
        };
        // First why jobs wait, then which have waited for too long: the reason of their end is of this moment.
        report("write down why jobs wait", waits.look(&app, &leader).await);
        report("look after the queue", watch.look(&app, &leader).await);
        if seldom <= tokio::time::Instant::now() {
            seldom = tokio::time::Instant::now() + SELDOM.min(app.config.agents.stale_scan);
            report("end jobs that went silent", suspects.pass(&app, &leader).await);
            report("settle what was left half done", repair::pass(&app, &leader).await);
        }
    }
}

/// Takes or prolongs the lease.
async fn take(app: &App) -> Option<Leader> {
    let taken = async {
        let mut conn = app.store.connection().await?;
        leader_take(&mut conn, NAME, app.number, LEASE).await
    };
    let taken: Result<Option<Leader>, StoreError> = taken.await;
    let before = app.leader.lease();
    let now = taken.unwrap_or_else(|error| {
        warn!(error = %Chain(&error), "could not look who does what only one orchestrator does");
        None
    });
    match (&before, &now) {
        (None, Some(leader)) => info!(fence = leader.fence(), "this orchestrator leads now"),
        (Some(_), None) => {
            info!("this orchestrator does not lead any more");
            // One of them says how long the queue is, so that the sum over all is right.
            app.metrics.set_queue(QueueDepth::default());
            app.metrics.set_queue_by_label(BTreeMap::new());
            app.metrics.set_backpressure(false);
        }
        _ => {}
    }
    app.leader.set(now.clone());
    now
}

async fn leave(app: &App) {
    let Some(leader) = app.leader.lease() else { return };
    app.leader.set(None);
    let left = async {
        let mut conn = app.store.connection().await?;
        leader_leave(&mut conn, &leader).await
    };
    if let Err(error) = left.await {
        warn!(error = %Chain(&error), "could not give the leader's lease back; it ends by itself");
    }
}
