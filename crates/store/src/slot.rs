//! Places in concurrency groups.
//!
//! A place is active until its run (a job's own: its job) has ended, which is read from there: nothing has to be given
//! back. Places are given out only under the lock of their group ([`slot_lock`]), which is taken before locks of runs.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A place to be made; it waits at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    /// The run, or the job.
    pub holder: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The job, for a job's own group.
    pub job_id: Option<Uuid>,
    /// Which group: kind, routing key and name.
    pub group_key: String,
    /// The group's name.
    pub name: String,
    /// How many may be active at once.
    pub max: i32,
    /// A newer run cancels older ones.
    pub cancel: bool,
    /// An agent asks for it.
    pub asked: bool,
}

/// Makes places. One that is there already stays as it is, but is asked for from now on if the new one is.
pub async fn slot_insert(conn: &mut PgConnection, rows: &[SlotRow]) -> Result<(), StoreError> {
    let holder: Vec<Uuid> = rows.iter().map(|row| row.holder).collect();
    let run: Vec<Uuid> = rows.iter().map(|row| row.run_id).collect();
    let job: Vec<Option<Uuid>> = rows.iter().map(|row| row.job_id).collect();
    let key: Vec<&str> = rows.iter().map(|row| row.group_key.as_str()).collect();
    let name: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let max: Vec<i32> = rows.iter().map(|row| row.max).collect();
    let cancel: Vec<bool> = rows.iter().map(|row| row.cancel).collect();
    let asked: Vec<bool> = rows.iter().map(|row| row.asked).collect();
    sqlx::query!(
        "INSERT INTO slot AS s (holder, run_id, job_id, group_key, name, max, cancel, asked)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int4[], $7::bool[],
                $8::bool[])
             ON CONFLICT (holder) DO UPDATE SET asked = true WHERE excluded.asked AND NOT s.asked",
        &holder,
        &run,
        &job as _,
        &key as _,
        &name as _,
        &max,
        &cancel,
        &asked,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("slot_insert"))?;
    Ok(())
}

/// Groups in which something waits.
pub async fn slot_groups(conn: &mut PgConnection, limit: i64) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        "SELECT DISTINCT group_key FROM slot WHERE NOT active ORDER BY group_key LIMIT $1",
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("slot_groups"))
}

/// Locks a group until the transaction ends. Comes before every lock on runs.
pub async fn slot_lock(conn: &mut PgConnection, group_key: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 1)) IS NULL AS locked",
        group_key
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("slot_lock"))?;
    Ok(())
}

/// A place as a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotNow {
    /// The run, or the job.
    pub holder: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The job, for a job's own group.
    pub job_id: Option<Uuid>,
    /// The group's name.
    pub name: String,
    /// How many may be active at once.
    pub max: i32,
    /// A newer run cancels older ones.
    pub cancel: bool,
    /// It may work.
    pub active: bool,
    /// Its run or job has ended.
    pub ended: bool,
    /// Its run is being stopped.
    pub stopping: bool,
    /// It could start now: some job waits for it, or an agent does.
    pub ready: bool,
    /// How long the job that waits longest has waited, if one does without an agent.
    pub waited_ms: Option<i64>,
    /// Why its jobs wait, as it is shown now, JSON.
    pub shown: Option<String>,
    /// Some job waits without a reason.
    pub unexplained: bool,
}

/// All places of a group, the oldest run first.
pub async fn slot_members(
    conn: &mut PgConnection,
    group_key: &str,
) -> Result<Vec<SlotNow>, StoreError> {
    sqlx::query_as!(
        SlotNow,
        r#"SELECT s.holder, s.run_id, s.job_id, s.name, s.max, s.cancel, s.active,
                  CASE WHEN s.job_id IS NULL THEN r.finished_at IS NOT NULL
                       ELSE j.id IS NULL OR j.finished_at IS NOT NULL END AS "ended!",
                  (r.stop IS NOT NULL) AS "stopping!",
                  (s.asked OR w.waits > 0) AS "ready!",
                  (extract(epoch FROM now() - w.since) * 1000)::int8 AS waited_ms, w.shown,
                  coalesce(w.unexplained, false) AS "unexplained!"
             FROM slot s
             JOIN run r ON r.id = s.run_id
             LEFT JOIN job j ON j.id = s.job_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS waits, min(o.ready_at) FILTER (WHERE o.state = 'waiting') AS since,
                       min(o.wait_reason::text) AS shown, bool_or(o.wait_reason IS NULL) AS unexplained
                  FROM job o
                 WHERE o.run_id = s.run_id AND (s.job_id IS NULL OR o.id = s.job_id)
                   AND (o.state = 'waiting' OR (s.asked AND NOT s.active AND o.state = 'running' AND o.kind = 'job'))
                   AND (s.job_id IS NULL OR NOT EXISTS (
                        SELECT 1 FROM slot w WHERE w.holder = s.run_id AND NOT w.active))) w
            WHERE s.group_key = $1
            ORDER BY s.run_id, j.position"#,
        group_key,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("slot_members"))
}

/// Forgets places whose run or job has ended.
pub async fn slot_forget(conn: &mut PgConnection, holders: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM slot WHERE holder = ANY($1)", holders)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("slot_forget"))?;
    Ok(())
}

/// Gives out places. Jobs that nothing else keeps go to the queue; the caller holds the locks of their runs. Answers
/// how many did.
pub async fn slot_grant(conn: &mut PgConnection, holders: &[Uuid]) -> Result<u64, StoreError> {
    // Jobs that wait with their agents go on where they are.
    sqlx::query!(
        "WITH granted AS (
             UPDATE slot SET active = true, granted_at = now() WHERE holder = ANY($1) AND NOT active
             RETURNING run_id, asked)
         UPDATE job j SET wait_reason = NULL FROM granted g
          WHERE g.asked AND j.run_id = g.run_id AND j.state = 'running'
            AND j.wait_reason->>'kind' = 'concurrency_limit'",
        holders,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("slot_grant"))?;
    let ready = sqlx::query_scalar!(
        r#"UPDATE job j
              SET slot = keeps.on, wait_reason = CASE WHEN keeps.on THEN j.wait_reason END,
                  state = CASE WHEN j.state = 'waiting' AND NOT keeps.on THEN 'queued' ELSE j.state END,
                  ready_at = CASE WHEN j.state = 'waiting' AND NOT keeps.on THEN now() ELSE j.ready_at END,
                  not_before = CASE WHEN j.state = 'waiting' AND NOT keeps.on THEN queue_place(j.priority)
                                    ELSE j.not_before END
             FROM (SELECT o.id, EXISTS (SELECT 1 FROM slot s WHERE s.holder IN (o.id, o.run_id) AND NOT s.active) AS on
                     FROM slot g JOIN job o ON o.run_id = g.run_id AND (g.job_id IS NULL OR o.id = g.job_id)
                    WHERE g.holder = ANY($1)) keeps
            WHERE j.id = keeps.id AND j.slot AND j.state IN ('pending', 'held', 'waiting')
        RETURNING (j.state = 'queued') AS "ready!""#,
        holders,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("slot_grant"))?;
    Ok(ready.into_iter().filter(|ready| *ready).count() as u64)
}

/// Writes why the waiting jobs of these places wait, where that has changed: also those that wait with their agents,
/// because only these could name the group.
pub async fn slot_explain(
    conn: &mut PgConnection,
    reasons: &[(Uuid, String)],
) -> Result<(), StoreError> {
    let holder: Vec<Uuid> = reasons.iter().map(|(holder, _)| *holder).collect();
    let reason: Vec<&str> = reasons.iter().map(|(_, reason)| reason.as_str()).collect();
    sqlx::query!(
        "UPDATE job j SET wait_reason = t.reason::json
           FROM unnest($1::uuid[], $2::text[]) AS t (holder, reason)
           JOIN slot s ON s.holder = t.holder
          WHERE j.run_id = s.run_id AND (s.job_id IS NULL OR j.id = s.job_id)
            AND (j.state = 'waiting' OR (s.asked AND NOT s.active AND j.state = 'running' AND j.kind = 'job'))
            AND j.wait_reason::text IS DISTINCT FROM t.reason",
        &holder,
        &reason as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("slot_explain"))?;
    Ok(())
}

/// The run's own place: its group, and whether it may work.
pub async fn slot_of_run(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Option<(String, bool)>, StoreError> {
    let row = sqlx::query!("SELECT group_key, active FROM slot WHERE holder = $1", run)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::in_call("slot_of_run"))?;
    Ok(row.map(|row| (row.group_key, row.active)))
}

/// Which of these runs may work.
pub async fn slot_active(conn: &mut PgConnection, runs: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!("SELECT holder FROM slot WHERE holder = ANY($1) AND active", runs)
        .fetch_all(conn)
        .await
        .map_err(StoreError::in_call("slot_active"))
}

/// What is needed to find the policy of a run: its routing key and its workflow's row.
pub async fn slot_policy(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Option<(String, Option<Uuid>)>, StoreError> {
    let row = sqlx::query!("SELECT routing_key, definition FROM run WHERE id = $1", run)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::in_call("slot_policy"))?;
    Ok(row.map(|row| (row.routing_key, row.definition)))
}
