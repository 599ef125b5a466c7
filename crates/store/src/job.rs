//! Jobs of a run: making them (`made`), and the writes by which they end. Who holds a job is in [`crate::lease`].
//!
//! Every write names the state that it was decided from. A row that has moved on is left alone and missing from
//! the answer, which the caller takes as: read again and decide again.

mod made;

use sqlx::PgConnection;
use uuid::Uuid;

pub use self::made::{JobRow, NeedRow, job_insert, job_insert_plain, need_insert};
use crate::StoreError;
use crate::hold::hold_open;

/// A job as a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobNow {
    /// Its id.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Expanded name.
    pub name: String,
    /// What it is for.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// Fencing number.
    pub attempt: i32,
    /// The agent that holds or held it.
    pub agent_id: Option<String>,
    /// The agent acknowledged it.
    pub acked: bool,
    /// Dispatches that failed.
    pub failures: i16,
    /// The orchestrator that its agent is connected to.
    pub owner: i32,
}

/// Jobs by id.
pub async fn job_now(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job WHERE id = ANY($1)",
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_now"))
}

/// The jobs of a run that have not ended, in order.
pub async fn job_open(conn: &mut PgConnection, run: Uuid) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE run_id = $1 AND finished_at IS NULL ORDER BY position",
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_open"))
}

/// How a job ends.
#[derive(Debug, Clone)]
pub struct JobEnd {
    /// The job.
    pub id: Uuid,
    /// The attempt that it was decided for.
    pub attempt: i32,
    /// The state that it was decided from.
    pub from: String,
    /// Its final state.
    pub to: String,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The same as data, JSON.
    pub reason: Option<String>,
    /// Step name → outputs, JSON.
    pub outputs: Option<String>,
}

/// A job that was ended, with what its siblings have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedJob {
    /// Its id.
    pub id: Uuid,
    /// The name that it shares with its siblings.
    pub base_name: String,
    /// How many of its fan-out may be under way at once, when not all.
    pub max_parallel: Option<i32>,
    /// A child that does not succeed stops those that wait for their turn.
    pub fail_fast: bool,
    /// It still waited for its turn.
    pub gated: bool,
}

/// Ends jobs, with their outputs in the same write. Answers those that it ended.
pub async fn job_end(
    conn: &mut PgConnection,
    ends: &[JobEnd],
) -> Result<Vec<EndedJob>, StoreError> {
    let id: Vec<Uuid> = ends.iter().map(|e| e.id).collect();
    let attempt: Vec<i32> = ends.iter().map(|e| e.attempt).collect();
    let text = |of: fn(&JobEnd) -> &str| -> Vec<&str> { ends.iter().map(of).collect() };
    let maybe =
        |of: fn(&JobEnd) -> Option<&str>| -> Vec<Option<&str>> { ends.iter().map(of).collect() };
    sqlx::query_as!(
        EndedJob,
        "UPDATE job j
            SET state = t.final, finished_at = now(), error_message = t.error, end_reason = t.reason::json,
                outputs = coalesce(t.outputs::json, j.outputs), wait_reason = NULL, deadline = NULL
           FROM unnest($1::uuid[], $2::int4[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
             AS t (id, attempt, origin, final, error, reason, outputs)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.state = t.origin AND j.finished_at IS NULL
      RETURNING j.id, j.base_name, j.max_parallel, j.fail_fast, j.gated",
        &id,
        &attempt,
        &text(|e| &e.from) as _,
        &text(|e| &e.to) as _,
        &maybe(|e| e.error.as_deref()) as _,
        &maybe(|e| e.reason.as_deref()) as _,
        &maybe(|e| e.outputs.as_deref()) as _,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_end"))
}

/// A job that waits for one that ended, and what it makes of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// The job that waits.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Its name.
    pub name: String,
    /// Its fencing number.
    pub attempt: i32,
    /// Edges not met yet, before this end.
    pub open_needs: i32,
    /// The job that ended.
    pub upstream: Uuid,
    /// Final states that are good.
    pub run_on: Vec<String>,
}

/// Jobs that still wait for one of these.
pub async fn job_dependants(
    conn: &mut PgConnection,
    ended: &[Uuid],
) -> Result<Vec<Dependant>, StoreError> {
    sqlx::query_as!(
        Dependant,
        "SELECT j.id, j.run_id, j.name, j.attempt, j.open_needs, n.upstream, n.run_on
           FROM job_need n JOIN job j ON j.id = n.job_id
          WHERE n.upstream = ANY($1) AND j.state = 'pending' ORDER BY j.position",
        ended,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_dependants"))
}

/// The same for jobs that are skipped, and for those that are skipped because of them, to the end.
pub async fn job_dependants_of_skipped(
    conn: &mut PgConnection,
    skipped: &[Uuid],
) -> Result<Vec<Dependant>, StoreError> {
    sqlx::query_as!(
        Dependant,
        r#"WITH RECURSIVE gone (id) AS (
               SELECT unnest($1::uuid[])
               UNION
               SELECT n.job_id
                 FROM gone g JOIN job_need n ON n.upstream = g.id JOIN job j ON j.id = n.job_id
                WHERE j.state = 'pending' AND NOT 'skipped' = ANY (n.run_on))
           SELECT j.id AS "id!", j.run_id AS "run_id!", j.name AS "name!", j.attempt AS "attempt!",
                  j.open_needs AS "open_needs!", n.upstream AS "upstream!", n.run_on AS "run_on!"
             FROM gone g JOIN job_need n ON n.upstream = g.id JOIN job j ON j.id = n.job_id
            WHERE j.state = 'pending' ORDER BY j.position"#,
        skipped,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_dependants_of_skipped"))
}

/// What has happened for a waiting job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// The job.
    pub job: Uuid,
    /// Edges that are met.
    pub edges: i32,
    /// Its turn has come.
    pub turn: bool,
}

/// Takes what has happened off waiting jobs; one that waits for nothing else goes to its next gate: `held` (and its
/// approval is asked for), `waiting` or `queued`. Answers how many became `queued`.
pub async fn job_needs_met(conn: &mut PgConnection, met: &[Met]) -> Result<u64, StoreError> {
    let id: Vec<Uuid> = met.iter().map(|met| met.job).collect();
    let turn: Vec<bool> = met.iter().map(|met| met.turn).collect();
    let count: Vec<i32> = met.iter().map(|met| met.edges + i32::from(met.turn)).collect();
    let ready = sqlx::query!(
        r#"UPDATE job j
            SET open_needs = j.open_needs - t.met, gated = j.gated AND NOT t.turn,
                state = CASE WHEN j.open_needs > t.met THEN j.state
                             WHEN j.hold THEN 'held' WHEN j.slot THEN 'waiting' ELSE 'queued' END,
                ready_at = CASE WHEN j.open_needs = t.met THEN now() END,
                not_before = CASE WHEN j.open_needs = t.met THEN queue_place(j.priority) ELSE j.not_before END,
                wait_reason = CASE WHEN j.open_needs = t.met THEN NULL
                                   WHEN j.open_needs = t.met + 1 AND j.gated AND NOT t.turn
                                   THEN json_build_object('kind', 'wave', 'maxParallel', j.max_parallel)
                                   ELSE j.wait_reason END
           FROM unnest($1::uuid[], $2::int4[], $3::bool[]) AS t (id, met, turn)
          WHERE j.id = t.id AND j.state = 'pending'
      RETURNING j.id, (j.state = 'queued') AS "ready!", (j.state = 'held') AS "held!""#,
        &id,
        &count,
        &turn,
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::in_call("job_needs_met"))?;
    let held: Vec<Uuid> = ready.iter().filter(|job| job.held).map(|job| job.id).collect();
    if !held.is_empty() {
        hold_open(conn, &held).await?;
    }
    Ok(ready.into_iter().filter(|job| job.ready).count() as u64)
}

/// Waiting jobs whose edges are all met although they count some as open: left behind by a bug or a repair.
/// Answers job and the edges to take off.
pub async fn job_stuck(conn: &mut PgConnection, limit: i64) -> Result<Vec<Dependant>, StoreError> {
    sqlx::query_as!(
        Dependant,
        "SELECT j.id, j.run_id, j.name, j.attempt, j.open_needs, n.upstream, n.run_on
           FROM job j JOIN job_need n ON n.job_id = j.id
          WHERE j.id IN (SELECT w.id FROM job w
                          WHERE w.state = 'pending' AND NOT w.gated AND NOT EXISTS (
                                SELECT 1 FROM job_need o JOIN job u ON u.id = o.upstream
                                 WHERE o.job_id = w.id AND u.finished_at IS NULL)
                          LIMIT $1)",
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_stuck"))
}

/// Running jobs of connected agents that have not been heard of since before `silent_secs`; of these jobs only, if
/// some are named.
pub async fn job_silent(
    conn: &mut PgConnection,
    only: &[Uuid],
    silent_secs: f64,
    rows: i64,
) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE agent_id IS NOT NULL AND finished_at IS NULL AND state = 'running'
            AND (cardinality($1::uuid[]) = 0 OR id = ANY($1))
            AND coalesce(heartbeat_at, started_at) < now() - make_interval(secs => $2)
          LIMIT $3",
        only,
        silent_secs,
        rows,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_silent"))
}
