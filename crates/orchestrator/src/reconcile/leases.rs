//! Takes over deliveries and jobs that an orchestrator held when it died. PostgreSQL has dropped its lock by then.

use kici_store::StoreError;
use kici_store::delivery::delivery_reclaim;
use kici_store::lease::job_orphaned;
use tracing::info;

use crate::app::App;

pub(super) async fn pass(app: &App) -> Result<(), StoreError> {
    let mut conn = app.store.connection().await?;
    let deliveries = delivery_reclaim(&mut conn).await?;
    if deliveries > 0 {
        info!(deliveries, "deliveries of a dead orchestrator are due again");
        app.inbox.wake();
    }
    let jobs = job_orphaned(&mut conn, app.number, app.config.agents.recovery_window()).await?;
    if jobs > 0 {
        info!(jobs, "jobs of a dead orchestrator wait for their agents to come back");
    }
    Ok(())
}
