//! Reads the roster of agents: for people, for jobs that ask about hosts, and for fan-outs over all hosts.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// An agent of the roster.
#[derive(Debug, Clone)]
pub struct RosterRow {
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
    /// Started by a scaler: gone for good when it goes.
    pub scaler_managed: bool,
    /// A declared host.
    pub durable: bool,
    /// Where it connects from.
    pub remote_address: String,
    /// The orchestrator that it is or was connected to.
    pub owner: i32,
    /// It takes no more jobs.
    pub draining: bool,
    /// Its clock minus ours.
    pub clock_skew_ms: Option<i64>,
    /// When it registered for the first time.
    pub first_seen_at: Time,
    /// When it registered last.
    pub connected_at: Time,
    /// When it was last heard of.
    pub last_seen_at: Time,
    /// How long ago that is.
    pub silent_ms: i64,
    /// When its connection ended; `None` while it is connected.
    pub disconnected_at: Option<Time>,
    /// Why it ended.
    pub disconnect_reason: Option<String>,
}

/// Agents by id, after the one named, up to a bound.
pub async fn roster_list(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<RosterRow>, StoreError> {
    sqlx::query_as!(
        RosterRow,
        r#"SELECT agent_id, hostname, labels, mandatory_labels, platform, arch, version, facts::text AS "facts!",
                  properties::text AS "properties!", max_concurrency, scaler_managed, durable, remote_address, owner,
                  draining, clock_skew_ms, first_seen_at AS "first_seen_at: Time",
                  connected_at AS "connected_at: Time", last_seen_at AS "last_seen_at: Time",
                  (extract(epoch FROM now() - last_seen_at) * 1000)::int8 AS "silent_ms!",
                  disconnected_at AS "disconnected_at: Time", disconnect_reason
             FROM agent WHERE agent_id > $1 ORDER BY agent_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("roster_list"))
}

/// One agent.
pub async fn roster_get(
    conn: &mut PgConnection,
    agent_id: &str,
) -> Result<Option<RosterRow>, StoreError> {
    sqlx::query_as!(
        RosterRow,
        r#"SELECT agent_id, hostname, labels, mandatory_labels, platform, arch, version, facts::text AS "facts!",
                  properties::text AS "properties!", max_concurrency, scaler_managed, durable, remote_address, owner,
                  draining, clock_skew_ms, first_seen_at AS "first_seen_at: Time",
                  connected_at AS "connected_at: Time", last_seen_at AS "last_seen_at: Time",
                  (extract(epoch FROM now() - last_seen_at) * 1000)::int8 AS "silent_ms!",
                  disconnected_at AS "disconnected_at: Time", disconnect_reason
             FROM agent WHERE agent_id = $1"#,
        agent_id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("roster_get"))
}

/// What a host fan-out asks about a host.
#[derive(Debug, Clone)]
pub struct HostRow {
    /// Its agent.
    pub agent_id: String,
    /// Its name.
    pub host: String,
    /// What its agent offers.
    pub labels: Vec<String>,
    /// What every job on it has to ask for.
    pub mandatory_labels: Vec<String>,
    /// Its agent is connected, or was heard of a moment ago.
    pub live: bool,
    /// It comes back when it is away: no scaler started it, or it is declared.
    pub durable: bool,
}

/// Hosts by agent, after the one named, up to a bound. `grace` is how long ago a moment may be.
pub async fn host_list(
    conn: &mut PgConnection,
    after: &str,
    grace: Duration,
    limit: i64,
) -> Result<Vec<HostRow>, StoreError> {
    sqlx::query_as!(
        HostRow,
        r#"SELECT agent_id, coalesce(hostname, agent_id) AS "host!", labels, mandatory_labels,
                  (disconnected_at IS NULL OR last_seen_at > now() - make_interval(secs => $2)) AS "live!",
                  (durable OR NOT scaler_managed) AS "durable!"
             FROM agent WHERE agent_id > $1 ORDER BY agent_id LIMIT $3"#,
        after,
        grace.as_secs_f64(),
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("host_list"))
}

/// Which of these are ids of agents, connected or remembered: id and name of the host.
pub async fn roster_known(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT agent_id, coalesce(hostname, agent_id) AS "host!" FROM agent WHERE agent_id = ANY($1)"#,
        ids as _,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("roster_known"))?;
    Ok(rows.into_iter().map(|row| (row.agent_id, row.host)).collect())
}

/// An agent as far as waiting jobs care.
#[derive(Debug, Clone)]
pub struct RosterPresence {
    /// Its id.
    pub agent_id: String,
    /// The name of its host.
    pub host: String,
    /// What it offers.
    pub labels: Vec<String>,
    /// What every job on it has to ask for.
    pub mandatory_labels: Vec<String>,
    /// Jobs at once.
    pub max_concurrency: i32,
    /// Jobs that it has.
    pub jobs: i64,
    /// It takes no more jobs.
    pub draining: bool,
    /// It is connected, to whichever orchestrator.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen_at: Time,
}

/// All agents by id, up to a bound, with what they have to do.
pub async fn roster_presence(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<RosterPresence>, StoreError> {
    sqlx::query_as!(
        RosterPresence,
        r#"SELECT agent_id, coalesce(hostname, agent_id) AS "host!", labels, mandatory_labels, max_concurrency,
                  (SELECT count(*) FROM job j WHERE j.agent_id = a.agent_id AND j.finished_at IS NULL) AS "jobs!",
                  draining, disconnected_at IS NULL AS "connected!", last_seen_at AS "last_seen_at: Time"
             FROM agent a ORDER BY agent_id LIMIT $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("roster_presence"))
}

/// A job that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentJob {
    /// The agent.
    pub agent_id: String,
    /// The job.
    pub job_id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
}

/// What these agents hold, oldest first.
pub async fn roster_jobs(
    conn: &mut PgConnection,
    agents: &[String],
) -> Result<Vec<AgentJob>, StoreError> {
    sqlx::query_as!(
        AgentJob,
        r#"SELECT agent_id AS "agent_id!", id AS job_id, run_id, name, state FROM job
            WHERE agent_id = ANY($1) AND finished_at IS NULL ORDER BY id"#,
        agents,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("roster_jobs"))
}
