//! Ends holds whose time is up: what waits for people fails, what waits for a timer goes on.

use kici_model::state::HoldState;
use kici_store::hold::{hold_due, hold_tidy};
use kici_store::hold_view::hold_get;
use kici_store::run::run_lock;
use kici_store::{Store, StoreError};
use tracing::info;
use uuid::Uuid;

use super::settle;
use crate::app::App;
use crate::jobs::apply::announce;
use crate::reconcile::ROWS;

/// The kind of hold that is over when its time is.
const TIMER: &str = "wait_timer";

/// One pass over the holds that are due.
pub(crate) async fn expire(app: &App) -> Result<(), StoreError> {
    let due = {
        let mut conn = app.store.connection().await?;
        hold_due(&mut conn, ROWS).await?
    };
    for id in due {
        one(app, id).await?;
    }
    Ok(())
}

async fn one(app: &App, id: Uuid) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let Some(hold) = hold_get(&mut tx, &[id]).await?.pop() else { return Ok(()) };
    run_lock(&mut tx, &[hold.run_id]).await?;
    // Again, now that nobody else decides about it.
    let Some(hold) = hold_get(&mut tx, &[id]).await?.pop() else { return Ok(()) };
    if settle::state(&hold)? != HoldState::Pending {
        // Decided in the meantime, or what it kept has ended: that is written down, so that it is not due again.
        hold_tidy(&mut tx, ROWS).await?;
        return Store::commit(tx).await;
    }
    let settled = if hold.kind == TIMER {
        settle::open(&mut tx, &hold, HoldState::Released, None, None).await?;
        None
    } else {
        Some(settle::close(&mut tx, &hold, HoldState::Expired, None, None).await?)
    };
    Store::commit(tx).await?;
    app.audit.hold(id, "held_run.expire", None);
    info!(hold.id = %id, run.id = %hold.run_id, "the time of a {} hold is up", hold.scope);
    if let Some(settled) = settled {
        announce(app, &settled);
    }
    app.dispatch.wake();
    Ok(())
}
