//! Orders to stop jobs whose agents are connected to another orchestrator.
//!
//! An order is given in the transaction that decides about the job, and taken by the orchestrator that the job's
//! lease names. It only has to reach a connection that is up: when an agent registers, whatever it holds of a stopped
//! run is stopped then, so an order that dies with its orchestrator is not missed.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Announces orders; the payload is the number of the orchestrator that they are for.
pub const CHANNEL: &str = "kici_stop_order";

/// An order for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopOrder {
    /// The orchestrator that the agent is connected to.
    pub owner: i32,
    /// The agent.
    pub agent_id: String,
    /// The job's run.
    pub run_id: Uuid,
    /// The job.
    pub job_id: Uuid,
    /// Why, for the agent.
    pub reason: String,
    /// Kill instead of asking.
    pub force: bool,
}

/// Gives orders. They are announced when the caller's transaction commits.
pub async fn stop_order_give(
    conn: &mut PgConnection,
    orders: &[StopOrder],
) -> Result<(), StoreError> {
    let owner: Vec<i32> = orders.iter().map(|o| o.owner).collect();
    let agent: Vec<&str> = orders.iter().map(|o| o.agent_id.as_str()).collect();
    let run: Vec<Uuid> = orders.iter().map(|o| o.run_id).collect();
    let job: Vec<Uuid> = orders.iter().map(|o| o.job_id).collect();
    let reason: Vec<&str> = orders.iter().map(|o| o.reason.as_str()).collect();
    let force: Vec<bool> = orders.iter().map(|o| o.force).collect();
    sqlx::query!(
        "WITH given AS (
             INSERT INTO stop_order (owner, agent_id, run_id, job_id, reason, force)
             SELECT * FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::bool[])
             RETURNING owner)
         SELECT pg_notify($7, owner::text) FROM (SELECT DISTINCT owner FROM given) o",
        &owner,
        &agent as _,
        &run,
        &job,
        &reason as _,
        &force,
        CHANNEL,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("stop_order_give"))?;
    Ok(())
}

/// Takes the orders for an orchestrator, oldest first. They are its own from now on.
pub async fn stop_order_take(
    conn: &mut PgConnection,
    owner: i32,
) -> Result<Vec<StopOrder>, StoreError> {
    sqlx::query_as!(
        StopOrder,
        r#"WITH taken AS (
               DELETE FROM stop_order WHERE owner = $1
               RETURNING id, owner, agent_id, run_id, job_id, reason, force)
           SELECT owner, agent_id, run_id, job_id, reason, force FROM taken ORDER BY id"#,
        owner,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("stop_order_take"))
}

/// Drops orders that nobody will take: their orchestrators are gone.
pub async fn stop_order_drop(conn: &mut PgConnection, gone: &[i32]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM stop_order WHERE owner = ANY($1)", gone)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("stop_order_drop"))?;
    Ok(())
}
