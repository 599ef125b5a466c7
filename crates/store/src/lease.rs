//! Who holds a job: acknowledgement, giving back, losing and finding again. Claims are made in [`crate::claim`].
//!
//! A lease is (agent, attempt). The attempt grows with every claim and adoption, so that whatever an earlier
//! holder says can be told apart.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::job::JobNow;

/// Records acknowledgements. Stale attempts are left out without a word: their agent is told otherwise.
pub async fn job_acked(conn: &mut PgConnection, jobs: &[(Uuid, i32)]) -> Result<(), StoreError> {
    let (id, attempt) = columns(jobs);
    sqlx::query!(
        "UPDATE job j SET acked = true, deadline = NULL FROM unnest($1::uuid[], $2::int4[]) AS t (id, attempt)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.state = 'queued' AND j.agent_id IS NOT NULL AND NOT j.acked",
        &id,
        &attempt,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_acked"))?;
    Ok(())
}

/// Records that jobs run. Answers the runs that they belong to.
pub async fn job_started(
    conn: &mut PgConnection,
    jobs: &[(Uuid, i32)],
) -> Result<Vec<Uuid>, StoreError> {
    let (id, attempt) = columns(jobs);
    sqlx::query_scalar!(
        "UPDATE job j
            SET state = 'running', acked = true, deadline = NULL, started_at = coalesce(j.started_at, now()),
                heartbeat_at = now()
           FROM unnest($1::uuid[], $2::int4[]) AS t (id, attempt)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.agent_id IS NOT NULL
            AND j.state IN ('queued', 'recovering')
      RETURNING j.run_id",
        &id,
        &attempt,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_started"))
}

/// Runs of which a job runs are running themselves.
pub async fn run_started(conn: &mut PgConnection, runs: &[Uuid]) -> Result<(), StoreError> {
    // In the order of ids, like every lock on runs.
    sqlx::query!(
        "UPDATE run SET state = 'running' WHERE id IN (
             SELECT id FROM run WHERE id = ANY($1) AND state IN ('pending', 'held') ORDER BY id FOR NO KEY UPDATE)",
        runs,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("run_started"))?;
    Ok(())
}

/// Records signs of life.
pub async fn job_heartbeat(
    conn: &mut PgConnection,
    jobs: &[(Uuid, i32)],
) -> Result<(), StoreError> {
    let (id, attempt) = columns(jobs);
    sqlx::query!(
        "UPDATE job j SET heartbeat_at = now() FROM unnest($1::uuid[], $2::int4[]) AS t (id, attempt)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.finished_at IS NULL",
        &id,
        &attempt,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_heartbeat"))?;
    Ok(())
}

/// Why a claimed job goes back to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveBack {
    /// The job.
    pub job: Uuid,
    /// The attempt that ends.
    pub attempt: i32,
    /// Pause before it is offered again; without one it keeps its place.
    pub delay: Duration,
    /// Counts as a failed dispatch.
    pub failed: bool,
    /// The agent that refused it.
    pub refused_by: Option<String>,
    /// Only if the agent has not acknowledged it.
    pub only_unacked: bool,
}

/// Puts a job that never started back into the queue. `false`: it is not that agent's any more.
pub async fn job_give_back(conn: &mut PgConnection, back: &GiveBack) -> Result<bool, StoreError> {
    sqlx::query!(
        "UPDATE job SET agent_id = NULL, owner = 0, acked = false, deadline = NULL,
                not_before = CASE WHEN $3::float8 > 0 THEN now() + make_interval(secs => $3) ELSE not_before END,
                failures = failures + $4,
                refused_by = coalesce($5, refused_by)
          WHERE id = $1 AND attempt = $2 AND state = 'queued' AND agent_id IS NOT NULL AND NOT (acked AND $6)",
        back.job,
        back.attempt,
        back.delay.as_secs_f64(),
        i16::from(back.failed),
        back.refused_by.as_deref(),
        back.only_unacked,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::in_call("job_give_back"))
}

/// Jobs of an agent that is gone: those that it had taken wait for it to come back. Claims that it had not
/// acknowledged keep their short deadline. Answers how many wait.
pub async fn job_agent_lost(
    conn: &mut PgConnection,
    agent: &str,
    owner: i32,
    window: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE job SET state = CASE WHEN state = 'running' THEN 'recovering' ELSE state END,
                deadline = now() + make_interval(secs => $3)
          WHERE agent_id = $1 AND owner = $2 AND finished_at IS NULL
            AND (state = 'running' OR (state = 'queued' AND acked))",
        agent,
        owner,
        window.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("job_agent_lost"))
}

/// Takes over the jobs of orchestrators that are gone: their agents have the window to come back here.
pub async fn job_orphaned(
    conn: &mut PgConnection,
    owner: i32,
    window: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE job SET state = CASE WHEN state = 'running' THEN 'recovering' ELSE state END, owner = $1,
                deadline = CASE WHEN state IN ('recovering', 'cancelling') OR (state = 'queued' AND NOT acked)
                                THEN coalesce(deadline, now())
                                ELSE now() + make_interval(secs => $2) END
          WHERE agent_id IS NOT NULL AND finished_at IS NULL AND owner <> $1 AND owner NOT IN (
                SELECT objid::int4 FROM pg_locks
                 WHERE locktype = 'advisory' AND classid::int4 = $3 AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        owner,
        window.as_secs_f64(),
        crate::lock::LOCK_CLASS,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("job_orphaned"))
}

/// All open jobs that an agent holds, for when it registers.
pub async fn job_of_agent(conn: &mut PgConnection, agent: &str) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE agent_id = $1 AND finished_at IS NULL",
        agent,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_of_agent"))
}

/// Gives a job to the agent that says it is running it: its own, or one that waits in the queue. Answers the
/// new attempt; `None` when it went to another or has ended.
pub async fn job_adopt(
    conn: &mut PgConnection,
    job: Uuid,
    agent: &str,
    owner: i32,
) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!(
        "UPDATE job SET agent_id = $2, owner = $3, attempt = attempt + CASE WHEN agent_id IS NULL THEN 1 ELSE 0 END,
                acked = true, deadline = CASE WHEN state = 'cancelling' THEN deadline END,
                state = CASE WHEN state = 'recovering' THEN 'running' ELSE state END, heartbeat_at = now()
          WHERE id = $1 AND finished_at IS NULL AND (agent_id = $2 OR (agent_id IS NULL AND state = 'queued'))
      RETURNING attempt",
        job,
        agent,
        owner,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("job_adopt"))
}

/// Jobs whose deadline has passed: not acknowledged, not recovered, or not stopped in time.
pub async fn job_past_deadline(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE deadline <= now() AND finished_at IS NULL ORDER BY deadline LIMIT $1",
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_past_deadline"))
}

/// Marks jobs that run as being stopped, until `within` at the latest. Answers those that are.
pub async fn job_cancelling(
    conn: &mut PgConnection,
    jobs: &[Uuid],
    within: Duration,
) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "UPDATE job SET state = 'cancelling', deadline = now() + make_interval(secs => $2)
          WHERE id = ANY($1) AND finished_at IS NULL AND agent_id IS NOT NULL
            AND state IN ('running', 'cancelling')
      RETURNING id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner",
        jobs,
        within.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_cancelling"))
}

/// How many jobs wait for an agent (up to a bound) and how many are with one.
pub async fn queue_depth(conn: &mut PgConnection, bound: i64) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued' AND agent_id IS NULL LIMIT $1) w)
                      AS "waiting!",
                  (SELECT count(*) FROM job WHERE agent_id IS NOT NULL AND finished_at IS NULL) AS "dispatched!""#,
        bound,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("queue_depth"))?;
    Ok((row.waiting, row.dispatched))
}

fn columns(jobs: &[(Uuid, i32)]) -> (Vec<Uuid>, Vec<i32>) {
    jobs.iter().copied().unzip()
}
