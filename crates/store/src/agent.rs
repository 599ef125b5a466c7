//! The roster of agents: who is connected to which orchestrator, and who was a moment ago.
//!
//! Every connection has a number that grows over all orchestrators. A row belongs to the highest number that
//! wrote it, so that an old connection, or an orchestrator that was away, never overwrites a newer one. What is
//! read from here for people and for fan-outs is in [`crate::roster`].

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::lock::LOCK_CLASS;

/// An agent as it registers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentRow {
    /// Its id.
    pub agent_id: String,
    /// The name of its host.
    pub hostname: Option<String>,
    /// What it offers.
    pub labels: Vec<String>,
    /// What every job on it has to ask for.
    pub mandatory_labels: Vec<String>,
    /// `linux`, `darwin`, `win32`.
    pub platform: String,
    /// `x64`, `arm64`.
    pub arch: String,
    /// Its version.
    pub version: Option<String>,
    /// What it says about its host, JSON.
    pub facts: String,
    /// What its operator says about it, JSON.
    pub properties: String,
    /// Jobs at once.
    pub max_concurrency: i32,
    /// The token that it showed.
    pub token: Option<Uuid>,
    /// Started by a scaler.
    pub scaler_managed: bool,
    /// Where it connects from.
    pub remote_address: String,
    /// The number of its connection.
    pub connection: i64,
    /// The orchestrator that it is connected to.
    pub owner: i32,
    /// Its clock minus ours.
    pub clock_skew_ms: Option<i64>,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is in the roster.
    In,
    /// A later connection of the same agent is.
    Superseded,
    /// The id belongs to an agent that is connected with another token.
    Taken,
}

/// Numbers a connection.
pub async fn agent_connection(conn: &mut PgConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar!(r#"SELECT nextval('agent_connection') AS "number!""#)
        .fetch_one(conn)
        .await
        .map_err(StoreError::in_call("agent_connection"))
}

/// Enters an agent, unless a later connection is there or another token holds the id.
///
/// Tells every orchestrator (NOTIFY `agent_moved`, payload `<connection> <agent id>`) when it was connected
/// before, so that an older connection is closed wherever it is.
pub async fn agent_register(
    conn: &mut PgConnection,
    row: &AgentRow,
) -> Result<Registered, StoreError> {
    let entered = sqlx::query_scalar!(
        r#"WITH before AS (
               SELECT 1 FROM agent WHERE agent_id = $1 AND disconnected_at IS NULL AND connection < $15),
           entered AS (
               INSERT INTO agent (agent_id, hostname, labels, mandatory_labels, platform, arch, version, facts,
                      properties, max_concurrency, token, scaler_managed, remote_address, owner, connection,
                      clock_skew_ms)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9::text::json, $10, $11, $12, $13, $14, $15, $16)
               ON CONFLICT (agent_id) DO UPDATE
                  SET hostname = excluded.hostname, labels = excluded.labels,
                      mandatory_labels = excluded.mandatory_labels, platform = excluded.platform,
                      arch = excluded.arch, version = excluded.version, facts = excluded.facts,
                      properties = excluded.properties, max_concurrency = excluded.max_concurrency,
                      token = excluded.token, scaler_managed = excluded.scaler_managed,
                      remote_address = excluded.remote_address, owner = excluded.owner,
                      connection = excluded.connection, clock_skew_ms = excluded.clock_skew_ms, draining = false,
                      connected_at = now(), last_seen_at = now(), disconnected_at = NULL, disconnect_reason = NULL
                WHERE agent.connection <= excluded.connection
                  AND (agent.disconnected_at IS NOT NULL OR agent.token IS NOT DISTINCT FROM excluded.token
                       OR agent.owner NOT IN (
                          SELECT objid::int4 FROM pg_locks
                           WHERE locktype = 'advisory' AND classid::int4 = $17 AND granted
                             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
            RETURNING agent_id, connection)
           SELECT CASE WHEN EXISTS (SELECT FROM before)
                       THEN pg_notify('agent_moved', connection || ' ' || agent_id)::text IS NULL
                       ELSE true END AS "told!"
             FROM entered"#,
        row.agent_id,
        row.hostname.as_deref(),
        &row.labels,
        &row.mandatory_labels,
        row.platform,
        row.arch,
        row.version.as_deref(),
        row.facts,
        row.properties,
        row.max_concurrency,
        row.token,
        row.scaler_managed,
        row.remote_address,
        row.owner,
        row.connection,
        row.clock_skew_ms,
        LOCK_CLASS,
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::in_call("agent_register"))?;
    if entered.is_some() {
        return Ok(Registered::In);
    }
    let later = sqlx::query_scalar!(
        r#"SELECT connection > $2 AS "later!" FROM agent WHERE agent_id = $1"#,
        row.agent_id,
        row.connection,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("agent_register"))?;
    Ok(if later == Some(true) { Registered::Superseded } else { Registered::Taken })
}

/// A sign of life of a connected agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The agent.
    pub agent_id: String,
    /// Its connection.
    pub connection: i64,
    /// How long ago.
    pub silent_ms: i64,
    /// Its clock minus ours.
    pub clock_skew_ms: Option<i64>,
    /// It takes no more jobs.
    pub draining: bool,
}

/// Records signs of life. Answers the agents whose row is still that connection's: the others are connected anew.
///
/// Who was taken for gone because its orchestrator seemed to be (a lost lock) is there again.
pub async fn agent_seen(conn: &mut PgConnection, seen: &[Seen]) -> Result<Vec<String>, StoreError> {
    let id: Vec<&str> = seen.iter().map(|s| s.agent_id.as_str()).collect();
    let connection: Vec<i64> = seen.iter().map(|s| s.connection).collect();
    let silent: Vec<i64> = seen.iter().map(|s| s.silent_ms).collect();
    let skew: Vec<Option<i64>> = seen.iter().map(|s| s.clock_skew_ms).collect();
    let draining: Vec<bool> = seen.iter().map(|s| s.draining).collect();
    sqlx::query_scalar!(
        "UPDATE agent a
            SET last_seen_at = greatest(a.last_seen_at, now() - t.silent * interval '1 millisecond'),
                clock_skew_ms = coalesce(t.skew, a.clock_skew_ms), draining = t.draining,
                disconnected_at = NULL, disconnect_reason = NULL
           FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::bool[])
             AS t (id, connection, silent, skew, draining)
          WHERE a.agent_id = t.id AND a.connection = t.connection
      RETURNING a.agent_id",
        &id as _,
        &connection,
        &silent,
        &skew as _,
        &draining,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("agent_seen"))
}

/// A connection that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The agent.
    pub agent_id: String,
    /// Its connection.
    pub connection: i64,
    /// Why it ended.
    pub reason: String,
}

/// Records that connections ended. One that has been followed by another changes nothing.
pub async fn agent_left(conn: &mut PgConnection, left: &[Left]) -> Result<(), StoreError> {
    let id: Vec<&str> = left.iter().map(|l| l.agent_id.as_str()).collect();
    let connection: Vec<i64> = left.iter().map(|l| l.connection).collect();
    let reason: Vec<&str> = left.iter().map(|l| l.reason.as_str()).collect();
    sqlx::query!(
        "UPDATE agent a SET disconnected_at = now(), disconnect_reason = t.reason
           FROM unnest($1::text[], $2::int8[], $3::text[]) AS t (id, connection, reason)
          WHERE a.agent_id = t.id AND a.connection = t.connection AND a.disconnected_at IS NULL",
        &id as _,
        &connection,
        &reason as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("agent_left"))?;
    Ok(())
}

/// Agents of orchestrators that are gone are connected to nobody. Answers how many there were.
pub async fn agent_orphaned(conn: &mut PgConnection) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE agent SET disconnected_at = now(), disconnect_reason = 'its orchestrator is gone'
          WHERE disconnected_at IS NULL AND owner NOT IN (
                SELECT objid::int4 FROM pg_locks
                 WHERE locktype = 'advisory' AND classid::int4 = $1 AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        LOCK_CLASS,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("agent_orphaned"))
}

/// Forgets agents that have been away for `ttl`, up to a bound, but not declared hosts. Answers how many.
pub async fn agent_forget(
    conn: &mut PgConnection,
    ttl: Duration,
    limit: i64,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "DELETE FROM agent WHERE agent_id IN (
             SELECT agent_id FROM agent
              WHERE disconnected_at < now() - make_interval(secs => $1) AND NOT durable LIMIT $2)
            AND disconnected_at IS NOT NULL",
        ttl.as_secs_f64(),
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("agent_forget"))
}
