//! Who holds a job: acknowledgement, giving back, losing and finding again. Claims are made in [`crate::claim`].
//!
//! A lease is (agent, attempt). The attempt grows with every claim and adoption, so that whatever an earlier
//! holder says can be told apart.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::job::JobNow;

/// Records acknowledgements; the jobs have to run within `start_within`. Stale attempts are left out without a
/// word: their agent is told otherwise.
pub async fn job_acked(
    conn: &mut PgConnection,
    jobs: &[(Uuid, i32)],
    start_within: Duration,
) -> Result<(), StoreError> {
    let (id, attempt) = columns(jobs);
    sqlx::query!(
        "UPDATE job j SET acked = true, deadline = now() + make_interval(secs => $3)
           FROM unnest($1::uuid[], $2::int4[]) AS t (id, attempt)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.state = 'queued' AND j.agent_id IS NOT NULL AND NOT j.acked",
        &id,
        &attempt,
        start_within.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_acked"))?;
    Ok(())
}

/// Records that jobs run. One with a limit of its own has until `grace` after it; the time that it was away counts.
/// Answers the runs that they belong to.
pub async fn job_started(
    conn: &mut PgConnection,
    jobs: &[(Uuid, i32)],
    grace: Duration,
) -> Result<Vec<Uuid>, StoreError> {
    let (id, attempt) = columns(jobs);
    sqlx::query_scalar!(
        "UPDATE job j
            SET state = 'running', acked = true, started_at = coalesce(j.started_at, now()), heartbeat_at = now(),
                deadline = job_time_up(coalesce(j.started_at, now()), j.timeout_ms, $3),
                wait_reason = CASE WHEN j.state = 'recovering' THEN NULL ELSE j.wait_reason END
           FROM unnest($1::uuid[], $2::int4[]) AS t (id, attempt)
          WHERE j.id = t.id AND j.attempt = t.attempt AND j.agent_id IS NOT NULL
            AND j.state IN ('queued', 'recovering')
      RETURNING j.run_id",
        &id,
        &attempt,
        grace.as_secs_f64(),
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
    /// Why, shown while it pauses.
    pub why: Option<String>,
    /// Only if the agent has not acknowledged it.
    pub only_unacked: bool,
}

/// Puts a job that never started back into the queue. `false`: it is not that agent's any more.
pub async fn job_give_back(conn: &mut PgConnection, back: &GiveBack) -> Result<bool, StoreError> {
    sqlx::query!(
        r#"UPDATE job SET agent_id = NULL, owner = 0, acked = false, deadline = NULL,
                not_before = CASE WHEN $3::float8 > 0 THEN now() + make_interval(secs => $3) ELSE not_before END,
                failures = failures + $4,
                refused_by = coalesce($5, refused_by),
                wait_reason = CASE WHEN $3 > 0 AND $5 IS NOT NULL THEN json_build_object(
                    'kind', 'not_taken', 'agent', $5::text, 'message', coalesce($7, ''),
                    'until', to_char((now() + make_interval(secs => $3)) AT TIME ZONE 'UTC',
                                     'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) END
          WHERE id = $1 AND attempt = $2 AND state = 'queued' AND agent_id IS NOT NULL AND NOT (acked AND $6)"#,
        back.job,
        back.attempt,
        back.delay.as_secs_f64(),
        i16::from(back.failed),
        back.refused_by.as_deref(),
        back.only_unacked,
        back.why.as_deref(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::in_call("job_give_back"))
}

/// Puts a job that had started, and was lost with its agent, back into the queue, unless that has happened to it
/// `limit` times already. `false`: it stays as it is.
pub async fn job_retry(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    limit: i16,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "UPDATE job SET state = 'queued', agent_id = NULL, owner = 0, acked = false, deadline = NULL, lost = lost + 1,
                not_before = now(), ready_at = now(), refused_by = agent_id, started_at = NULL, heartbeat_at = NULL,
                wait_reason = NULL
          WHERE id = $1 AND attempt = $2 AND state IN ('running', 'recovering') AND lost < $3",
        job,
        attempt,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::in_call("job_retry"))
}

/// Jobs of an agent that is gone: those that it had taken wait for it to come back, and one that it was stopping
/// does so no longer than that. Claims that it had not acknowledged keep their short deadline. Answers how many
/// jobs wait. Jobs that the agent has taken to another orchestrator (`owner`) are not touched.
pub async fn job_agent_lost(
    conn: &mut PgConnection,
    agent: &str,
    owner: i32,
    window: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE job SET state = CASE WHEN state = 'running' THEN 'recovering' ELSE state END,
                deadline = CASE WHEN state = 'cancelling' THEN least(deadline, now() + make_interval(secs => $3))
                                ELSE now() + make_interval(secs => $3) END,
                wait_reason = json_build_object('kind', 'agent_away', 'agent', agent_id)
          WHERE agent_id = $1 AND owner = $2 AND finished_at IS NULL
            AND (state IN ('running', 'cancelling') OR (state = 'queued' AND acked))",
        agent,
        owner,
        window.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("job_agent_lost"))
}

/// Takes over the jobs of orchestrators that are gone: their agents have the window to come back, here or elsewhere.
pub async fn job_orphaned(
    conn: &mut PgConnection,
    owner: i32,
    gone: &[i32],
    window: Duration,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE job SET state = CASE WHEN state = 'running' THEN 'recovering' ELSE state END, owner = $1,
                deadline = CASE WHEN state IN ('recovering', 'cancelling') OR (state = 'queued' AND NOT acked)
                                THEN coalesce(deadline, now())
                                ELSE now() + make_interval(secs => $2) END,
                wait_reason = json_build_object('kind', 'agent_away', 'agent', agent_id)
          WHERE agent_id IS NOT NULL AND finished_at IS NULL AND owner = ANY($3)",
        owner,
        window.as_secs_f64(),
        gone,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("job_orphaned"))
}

/// What agents hold that are connected to this orchestrator: (agent, job, attempt).
pub type Held = (String, Uuid, i32);

/// Takes back jobs that another orchestrator took over although their agents never left this one: PostgreSQL was
/// away from here for a moment, and this process looked dead. An agent that has registered elsewhere since keeps
/// its jobs there. Answers the jobs taken back.
pub async fn job_reclaim(
    conn: &mut PgConnection,
    owner: i32,
    grace: Duration,
    held: &[Held],
) -> Result<Vec<Uuid>, StoreError> {
    let agent: Vec<&str> = held.iter().map(|(agent, ..)| agent.as_str()).collect();
    let job: Vec<Uuid> = held.iter().map(|(_, job, _)| *job).collect();
    let attempt: Vec<i32> = held.iter().map(|(.., attempt)| *attempt).collect();
    sqlx::query_scalar!(
        "UPDATE job j
            SET owner = $1, state = CASE WHEN j.state = 'recovering' THEN 'running' ELSE j.state END,
                deadline = CASE WHEN j.state = 'recovering' THEN job_time_up(j.started_at, j.timeout_ms, $5)
                                ELSE j.deadline END,
                wait_reason = NULL, heartbeat_at = now()
           FROM unnest($2::text[], $3::uuid[], $4::int4[]) AS t (agent, job, attempt)
           JOIN agent a ON a.agent_id = t.agent AND a.owner = $1 AND a.disconnected_at IS NULL
          WHERE j.id = t.job AND j.attempt = t.attempt AND j.agent_id = t.agent AND j.owner <> $1
            AND j.finished_at IS NULL
      RETURNING j.id",
        owner,
        &agent as _,
        &job,
        &attempt,
        grace.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_reclaim"))
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
/// new attempt; `None` when it went to another or has ended. One that has not started has to within `start_within`; one
/// that this agent started as an earlier attempt is running, as the agent will not say so again.
pub async fn job_adopt(
    conn: &mut PgConnection,
    job: Uuid,
    agent: &str,
    owner: i32,
    start_within: Duration,
    grace: Duration,
) -> Result<Option<i32>, StoreError> {
    sqlx::query_scalar!(
        "UPDATE job j SET agent_id = $2, owner = $3, acked = true, wait_reason = NULL, heartbeat_at = now(),
                attempt = attempt + CASE WHEN agent_id IS NULL THEN 1 ELSE 0 END,
                started_at = CASE WHEN agent_id IS NULL AND b.ran THEN now() ELSE started_at END,
                deadline = CASE WHEN state = 'cancelling' THEN deadline
                                WHEN agent_id IS NULL AND b.ran THEN job_time_up(now(), timeout_ms, $5)
                                WHEN state = 'queued' THEN now() + make_interval(secs => $4)
                                ELSE job_time_up(started_at, timeout_ms, $5) END,
                state = CASE WHEN state = 'recovering' OR (agent_id IS NULL AND b.ran) THEN 'running' ELSE state END
           FROM (SELECT EXISTS (SELECT FROM attempt WHERE job_id = $1 AND agent_id = $2 AND started_at IS NOT NULL)
                     AS ran) b
          WHERE id = $1 AND finished_at IS NULL AND (agent_id = $2 OR (agent_id IS NULL AND state = 'queued'))
      RETURNING attempt",
        job,
        agent,
        owner,
        start_within.as_secs_f64(),
        grace.as_secs_f64(),
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("job_adopt"))
}

/// Jobs whose deadline has passed: not acknowledged, not recovered, not stopped in time, or longer than their own
/// limit. What another
/// orchestrator holds is left to it, unless it does not see to it for `hung`.
pub async fn job_past_deadline(
    conn: &mut PgConnection,
    owner: i32,
    hung: Duration,
    limit: i64,
) -> Result<Vec<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE deadline <= now() AND finished_at IS NULL
            AND (owner = $1 OR deadline <= now() - make_interval(secs => $2))
          ORDER BY deadline LIMIT $3",
        owner,
        hung.as_secs_f64(),
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_past_deadline"))
}

/// The job, if its deadline has passed: to be asked again once the run is locked, as the agent may just have come back.
pub async fn job_still_due(
    conn: &mut PgConnection,
    job: Uuid,
) -> Result<Option<JobNow>, StoreError> {
    sqlx::query_as!(
        JobNow,
        // Not `now()`: that was before the wait for the lock.
        "SELECT id, run_id, name, kind, state, attempt, agent_id, acked, failures, owner FROM job
          WHERE id = $1 AND deadline <= clock_timestamp() AND finished_at IS NULL",
        job,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("job_still_due"))
}

/// The limit of a job itself, in milliseconds.
pub async fn job_timeout(conn: &mut PgConnection, job: Uuid) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar!("SELECT timeout_ms FROM job WHERE id = $1", job)
        .fetch_one(conn)
        .await
        .map_err(StoreError::in_call("job_timeout"))
}

/// Gives a job that its agent does not list any more a moment longer, because the orchestrator that the agent came
/// from may still have the job's end in hand.
pub async fn job_linger(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    owner: i32,
    moment: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE job SET state = CASE WHEN state = 'running' THEN 'recovering' ELSE state END, owner = $3,
                deadline = now() + make_interval(secs => $4),
                wait_reason = json_build_object('kind', 'agent_away', 'agent', agent_id)
          WHERE id = $1 AND attempt = $2 AND state IN ('running', 'recovering', 'cancelling')",
        job,
        attempt,
        owner,
        moment.as_secs_f64(),
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_linger"))?;
    Ok(())
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
