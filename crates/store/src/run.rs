//! Runs: making them, locking them for a decision, settling and stopping them. Reading for people is in
//! [`crate::view`].

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A run to be made.
#[derive(Debug, Clone, Default)]
pub struct RunRow {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// The delivery's row; with the workflow's name and the repository it makes the run unique.
    pub delivery: Option<Uuid>,
    /// The delivery's id as shown.
    pub delivery_id: String,
    /// Routing key of the source.
    pub routing_key: String,
    /// `github`, `local`, …
    pub provider: String,
    /// `owner/name`.
    pub repo: String,
    /// Branch or tag.
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// The workflow's name.
    pub workflow_name: String,
    /// The workflow as it was; none for a run that never got so far.
    pub definition: Option<Uuid>,
    /// `pending`, or a final state for a run that cannot start.
    pub state: String,
    /// Event envelope without its payload, JSON.
    pub event: String,
    /// Why the workflow matched, JSON.
    pub decision: Option<String>,
    /// Jobs that have not ended.
    pub open_jobs: i32,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Why it could not start, JSON.
    pub init_failure: Option<String>,
    /// First environment of its jobs.
    pub environment: Option<String>,
    /// Trust in whoever caused it.
    pub trust_tier: Option<String>,
    /// `head` or `base`.
    pub lock_file_source: Option<String>,
    /// Who caused it.
    pub contributor: Option<String>,
    /// Limit of the whole run.
    pub workflow_timeout_ms: Option<i64>,
}

/// A run that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeRun {
    /// Its id.
    pub id: Uuid,
    /// What its jobs count against.
    pub share: i64,
}

/// Makes runs. Those whose delivery has made one of the workflow already are left out; answers the others.
pub async fn run_insert(
    conn: &mut PgConnection,
    rows: &[RunRow],
) -> Result<Vec<MadeRun>, StoreError> {
    let id: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
    let delivery: Vec<Option<Uuid>> = rows.iter().map(|r| r.delivery).collect();
    let definition: Vec<Option<Uuid>> = rows.iter().map(|r| r.definition).collect();
    let open_jobs: Vec<i32> = rows.iter().map(|r| r.open_jobs).collect();
    let timeout: Vec<Option<i64>> = rows.iter().map(|r| r.workflow_timeout_ms).collect();
    let text = |of: fn(&RunRow) -> &str| -> Vec<&str> { rows.iter().map(of).collect() };
    let maybe =
        |of: fn(&RunRow) -> Option<&str>| -> Vec<Option<&str>> { rows.iter().map(of).collect() };
    sqlx::query_as!(
        MadeRun,
        r#"INSERT INTO run (id, org_id, delivery, delivery_id, routing_key, provider, repo, git_ref, sha,
                workflow_name, definition, state, event, decision, open_jobs, failure_reason, init_failure,
                environment, trust_tier, lock_file_source, contributor, workflow_timeout_ms, finished_at)
         SELECT id, org, delivery, delivery_id, routing, provider, repo, git_ref, sha, workflow, definition, state,
                event::json, decision::json, open_jobs, failure, init_failure::json, environment, trust, lock_source,
                contributor, timeout, CASE WHEN state IN ('success', 'failed', 'cancelled') THEN now() END
           FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[], $9::text[], $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[],
                $15::int4[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
                $22::int8[])
             AS t (id, org, delivery, delivery_id, routing, provider, repo, git_ref, sha, workflow, definition, state,
                event, decision, open_jobs, failure, init_failure, environment, trust, lock_source, contributor,
                timeout)
         ON CONFLICT (delivery, workflow_name, repo) WHERE parent_run_id IS NULL DO NOTHING
         RETURNING id, hashtextextended(org_id || '/' || repo, 0) AS "share!""#,
        &id,
        &text(|r| &r.org_id) as _,
        &delivery as _,
        &text(|r| &r.delivery_id) as _,
        &text(|r| &r.routing_key) as _,
        &text(|r| &r.provider) as _,
        &text(|r| &r.repo) as _,
        &text(|r| &r.git_ref) as _,
        &text(|r| &r.sha) as _,
        &text(|r| &r.workflow_name) as _,
        &definition as _,
        &text(|r| &r.state) as _,
        &text(|r| &r.event) as _,
        &maybe(|r| r.decision.as_deref()) as _,
        &open_jobs,
        &maybe(|r| r.failure_reason.as_deref()) as _,
        &maybe(|r| r.init_failure.as_deref()) as _,
        &maybe(|r| r.environment.as_deref()) as _,
        &maybe(|r| r.trust_tier.as_deref()) as _,
        &maybe(|r| r.lock_file_source.as_deref()) as _,
        &maybe(|r| r.contributor.as_deref()) as _,
        &timeout as _,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_insert"))
}

/// The first run that a delivery made.
pub async fn run_of_delivery(
    conn: &mut PgConnection,
    delivery: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT id FROM run WHERE delivery = $1 AND parent_run_id IS NULL ORDER BY id LIMIT 1",
        delivery
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("run_of_delivery"))
}

/// A run that is locked until the transaction ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRun {
    /// Its id.
    pub id: Uuid,
    /// Its state.
    pub state: String,
    /// Set by a cancel.
    pub stop: Option<String>,
    /// Why it fails or is cancelled, as far as known.
    pub failure_reason: Option<String>,
    /// Jobs that have not ended.
    pub open_jobs: i32,
    /// Since it was made.
    pub age_ms: i64,
}

/// Locks runs, always in the order of their ids, so that two decisions about the same runs never wait for each
/// other in a circle. Whoever changes jobs of a run holds this lock.
pub async fn run_lock(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<LockedRun>, StoreError> {
    sqlx::query_as!(
        LockedRun,
        r#"SELECT id, state, stop, failure_reason, open_jobs,
                  (extract(epoch FROM now() - created_at) * 1000)::int8 AS "age_ms!"
             FROM run WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_lock"))
}

/// How many jobs ended in a run, and its state after that.
#[derive(Debug, Clone)]
pub struct RunChange {
    /// The run, locked by the caller.
    pub id: Uuid,
    /// Jobs that ended.
    pub ended: i32,
    /// Its state now.
    pub state: String,
    /// Why it failed or was cancelled; `None` clears it.
    pub failure_reason: Option<String>,
}

/// Writes what was decided about locked runs. A run that has ended stays as it is.
pub async fn run_update(conn: &mut PgConnection, changes: &[RunChange]) -> Result<(), StoreError> {
    let id: Vec<Uuid> = changes.iter().map(|c| c.id).collect();
    let ended: Vec<i32> = changes.iter().map(|c| c.ended).collect();
    let state: Vec<&str> = changes.iter().map(|c| c.state.as_str()).collect();
    let reason: Vec<Option<&str>> = changes.iter().map(|c| c.failure_reason.as_deref()).collect();
    sqlx::query!(
        "UPDATE run r
            SET state = t.state, open_jobs = r.open_jobs - t.ended, failure_reason = t.reason,
                finished_at = CASE WHEN t.state IN ('success', 'failed', 'cancelled') THEN now() END
           FROM unnest($1::uuid[], $2::int4[], $3::text[], $4::text[]) AS t (id, ended, state, reason)
          WHERE r.id = t.id AND r.finished_at IS NULL",
        &id,
        &ended,
        &state as _,
        &reason as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("run_update"))?;
    Ok(())
}

/// How a run's jobs ended, for deriving its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// The run.
    pub run_id: Uuid,
    /// The job.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Set when it was held and refused, or not approved in time: in words.
    pub refused: Option<String>,
}

/// The jobs of these runs that did not end well, in order; all others are `success` or `skipped`.
pub async fn run_outcomes(
    conn: &mut PgConnection,
    runs: &[Uuid],
) -> Result<Vec<JobOutcome>, StoreError> {
    sqlx::query_as!(
        JobOutcome,
        "SELECT run_id, name, state,
                CASE WHEN end_reason ->> 'kind' IN ('approval_rejected', 'approval_expired') THEN error_message END
                    AS refused
           FROM job
          WHERE run_id = ANY($1) AND state NOT IN ('success', 'skipped') ORDER BY run_id, position",
        runs,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_outcomes"))
}

/// Marks a locked run as to be stopped; nothing of it starts afterwards. `force` outweighs `graceful`.
pub async fn run_stop(
    conn: &mut PgConnection,
    id: Uuid,
    stop: &str,
    by: &str,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run SET stop = CASE WHEN stop = 'force' THEN stop ELSE $2 END, state = 'cancelling',
                cancelled_by = coalesce(cancelled_by, $3), failure_reason = coalesce(failure_reason, $4)
          WHERE id = $1 AND finished_at IS NULL",
        id,
        stop,
        by,
        reason,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("run_stop"))?;
    Ok(())
}

/// Open runs that have no open job.
pub async fn run_unsettled(conn: &mut PgConnection, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT r.id FROM run r
            WHERE r.finished_at IS NULL AND r.open_jobs = 0 ORDER BY r.id LIMIT $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_unsettled"))
}

/// Counts the open jobs of a locked run again.
pub async fn run_recount(conn: &mut PgConnection, run: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE run SET open_jobs = (SELECT count(*) FROM job WHERE run_id = $1 AND finished_at IS NULL)
          WHERE id = $1 AND finished_at IS NULL",
        run,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("run_recount"))?;
    Ok(())
}

/// An open run whose time is up, or soon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunDue {
    /// The run.
    pub id: Uuid,
    /// How long it may take, ms.
    pub timeout_ms: i64,
    /// How much of that is left, ms.
    pub left_ms: i64,
}

/// Open runs whose time is up, or will be within `ahead`.
pub async fn run_overdue(
    conn: &mut PgConnection,
    ahead: Duration,
    limit: i64,
) -> Result<Vec<RunDue>, StoreError> {
    sqlx::query_as!(
        RunDue,
        r#"SELECT r.id, r.workflow_timeout_ms AS "timeout_ms!",
                  greatest(0, ceil(extract(epoch FROM due.at - now()) * 1000))::int8 AS "left_ms!"
             FROM run r
            CROSS JOIN LATERAL (SELECT job_time_up(r.created_at, r.workflow_timeout_ms, 0) AS at) due
            WHERE r.finished_at IS NULL AND r.stop IS NULL AND r.workflow_timeout_ms IS NOT NULL
              AND due.at < now() + make_interval(secs => $2)
            ORDER BY r.id LIMIT $1"#,
        limit,
        ahead.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_overdue"))
}
