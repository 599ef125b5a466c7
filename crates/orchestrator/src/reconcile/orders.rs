//! Sends the orders that other orchestrators have for agents that are connected here.
//!
//! NOTIFY says so at once; the table is looked at every second in any case.

use std::time::Duration;

use kici_store::stop_order::{CHANNEL, stop_order_take};
use kici_store::{Heard, Listener, StoreError};
use tracing::{debug, warn};

use crate::app::App;
use crate::jobs::stop::deliver;
use crate::logging::Chain;

/// How often the table is looked at without being asked to.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until the process stops.
pub(super) async fn follow(app: App) {
    let mut listener = None;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if listener.is_none() {
            listener = app.store.listen(&[CHANNEL]).await.ok();
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            lost = heard(&app, &mut listener) => if lost {
                listener = None;
            },
            _ = look.tick() => {}
        }
        if let Err(error) = pass(&app).await {
            warn!(error = %Chain(&error), "could not look for orders to stop jobs, trying again");
            look.tick().await;
        }
    }
}

/// Waits for an announcement that concerns this process. `true`: the connection is lost.
async fn heard(app: &App, listener: &mut Option<Listener>) -> bool {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.next().await {
            Ok(Heard::Said { payload, .. }) if payload.parse() != Ok(app.number) => {}
            Ok(_) => return false,
            Err(_) => return true,
        }
    }
}

async fn pass(app: &App) -> Result<(), StoreError> {
    let orders = {
        let mut conn = app.store.connection().await?;
        stop_order_take(&mut conn, app.number).await?
    };
    for order in &orders {
        debug!(job.id = %order.job_id, agent.id = %order.agent_id, "order to stop a job, from another orchestrator");
    }
    deliver(app, &orders);
    Ok(())
}
