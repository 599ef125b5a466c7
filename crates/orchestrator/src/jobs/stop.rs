//! Tells agents to stop jobs, wherever they are connected.
//!
//! A decision to stop a job is written with the job. The agent hears of it in one of three ways: it is connected here
//! and told at once; it is connected to another orchestrator, which finds the order in the table
//! ([`crate::reconcile`]); or it is away, and is told when it registers.

use kici_store::stop_order::{StopOrder, stop_order_give};
use kici_store::{PgConnection, StoreError};

use crate::app::App;

/// Notes the orders for agents of other orchestrators, in the caller's transaction.
pub(crate) async fn order(
    app: &App,
    conn: &mut PgConnection,
    orders: &[StopOrder],
) -> Result<(), StoreError> {
    let elsewhere: Vec<StopOrder> =
        orders.iter().filter(|order| order.owner != app.number).cloned().collect();
    if elsewhere.is_empty() { Ok(()) } else { stop_order_give(conn, &elsewhere).await }
}

/// Sends the orders for agents that are connected here, once the caller has committed. Answers how many agents are
/// told, here or by their orchestrator.
pub(crate) fn deliver(app: &App, orders: &[StopOrder]) -> usize {
    let told = |order: &&StopOrder| {
        // One whose writer is stuck is hung up on, and hears of it when it is back.
        order.owner != app.number
            || app.agents.cancel(
                &order.agent_id,
                order.run_id,
                order.job_id,
                &order.reason,
                order.force,
            )
    };
    orders.iter().filter(told).count()
}
