//! Holds: what waits for people, and what they decided. Reading them for people is in [`crate::hold_view`].
//!
//! Whoever opens, resolves or cancels a hold holds the lock of its run, so that a hold has one outcome.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A hold to be made with its run or job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRow {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The job; none for a whole run.
    pub job_id: Option<Uuid>,
    /// `workflow` or `job`.
    pub scope: &'static str,
    /// `approval`.
    pub kind: &'static str,
    /// The author's words.
    pub reason: Option<String>,
    /// Who has to approve, JSON.
    pub clauses: String,
    /// What its job shows, JSON.
    pub wait_reason: String,
    /// The author's limit.
    pub timeout_secs: Option<i64>,
    /// `pending`, or `planned` while its job waits for something else.
    pub state: &'static str,
}

/// Makes holds. The time of those that are pending starts now.
pub async fn hold_insert(conn: &mut PgConnection, rows: &[HoldRow]) -> Result<(), StoreError> {
    let id: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
    let run: Vec<Uuid> = rows.iter().map(|r| r.run_id).collect();
    let job: Vec<Option<Uuid>> = rows.iter().map(|r| r.job_id).collect();
    let timeout: Vec<Option<i64>> = rows.iter().map(|r| r.timeout_secs).collect();
    let text = |of: fn(&HoldRow) -> &str| -> Vec<&str> { rows.iter().map(of).collect() };
    let reason: Vec<Option<&str>> = rows.iter().map(|r| r.reason.as_deref()).collect();
    sqlx::query!(
        "INSERT INTO hold (id, run_id, job_id, scope, kind, queue, source, reason, clauses, wait_reason, timeout_secs,
                state, opened_at, expires_at)
         SELECT t.id, t.run, t.job, t.scope, t.kind, 'environment', 'explicit', t.reason, t.clauses::json, t.wait::json,
                t.timeout, t.state, CASE WHEN t.state = 'pending' THEN now() END,
                CASE WHEN t.state = 'pending' THEN now() + make_interval(
                    secs => coalesce(t.timeout, s.approval_expiry_seconds, 86400)::float8) END
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::int8[], $10::text[])
             AS t (id, run, job, scope, kind, reason, clauses, wait, timeout, state)
           JOIN run r ON r.id = t.run LEFT JOIN org_setting s ON s.org_id = r.org_id",
        &id,
        &run,
        &job as _,
        &text(|r| r.scope) as _,
        &text(|r| r.kind) as _,
        &reason as _,
        &text(|r| &r.clauses) as _,
        &text(|r| &r.wait_reason) as _,
        &timeout as _,
        &text(|r| r.state) as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("hold_insert"))?;
    Ok(())
}

/// Asks for what jobs were to be held for: nothing else keeps them any more.
pub async fn hold_open(conn: &mut PgConnection, jobs: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH opened AS (
             UPDATE hold h
                SET state = 'pending', opened_at = now(),
                    expires_at = now() + make_interval(secs => coalesce(h.timeout_secs,
                        (SELECT s.approval_expiry_seconds FROM run r JOIN org_setting s ON s.org_id = r.org_id
                          WHERE r.id = h.run_id), 86400)::float8)
              WHERE h.job_id = ANY($1) AND h.scope = 'job' AND h.state = 'planned'
          RETURNING h.job_id, h.wait_reason)
         UPDATE job j SET wait_reason = o.wait_reason FROM opened o WHERE j.id = o.job_id",
        jobs,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("hold_open"))?;
    Ok(())
}

/// A decision of one person.
#[derive(Debug, Clone)]
pub struct DecisionRow<'a> {
    /// The hold.
    pub hold_id: Uuid,
    /// Their name.
    pub who: &'a str,
    /// The token that they came with.
    pub token: Uuid,
    /// Their teams at this moment.
    pub teams: &'a [String],
    /// Yes or no.
    pub approves: bool,
    /// Their words.
    pub comment: Option<&'a str>,
}

/// Records a decision. One person decides once about a hold.
pub async fn hold_decide(
    conn: &mut PgConnection,
    decision: &DecisionRow<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO hold_decision (hold_id, who, token, teams, approves, comment) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (hold_id, who) DO UPDATE
            SET approves = excluded.approves, comment = excluded.comment, decided_at = now(), token = excluded.token",
        decision.hold_id,
        decision.who,
        decision.token,
        decision.teams,
        decision.approves,
        decision.comment,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("hold_decide"))?;
    Ok(())
}

/// Resolves a pending hold; `false` when it is not pending.
pub async fn hold_resolve(
    conn: &mut PgConnection,
    id: Uuid,
    state: &str,
    by: Option<&str>,
    comment: Option<&str>,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "UPDATE hold SET state = $2, resolved_at = now(), resolved_by = $3, comment = $4
          WHERE id = $1 AND state = 'pending'",
        id,
        state,
        by,
        comment,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::in_call("hold_resolve"))
}

/// The jobs of a run that are held.
pub async fn job_held(conn: &mut PgConnection, run: Uuid) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT id FROM job WHERE run_id = $1 AND state = 'held' ORDER BY position",
        run
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_held"))
}

/// Lets held jobs go on to their next gate, except those that something still holds. Answers how many were let go,
/// and how many of them are `queued`.
pub async fn job_release(
    conn: &mut PgConnection,
    jobs: &[Uuid],
) -> Result<(usize, usize), StoreError> {
    let queued = sqlx::query_scalar!(
        r#"UPDATE job j
            SET hold = false, state = CASE WHEN j.slot THEN 'waiting' ELSE 'queued' END, ready_at = now(),
                priority = greatest(j.priority, 1::int2), not_before = queue_place(greatest(j.priority, 1::int2)),
                wait_reason = NULL
          WHERE j.id = ANY($1) AND j.state = 'held'
            AND NOT EXISTS (SELECT FROM hold h WHERE h.job_id = j.id AND h.scope = 'job'
                               AND h.state IN ('planned', 'pending'))
            AND NOT EXISTS (SELECT FROM hold h WHERE h.run_id = j.run_id AND h.scope = 'workflow'
                               AND h.state = 'pending')
      RETURNING (j.state = 'queued') AS "queued!""#,
        jobs,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_release"))?;
    Ok((queued.len(), queued.into_iter().filter(|queued| *queued).count()))
}

/// A held run of which something was let go waits like any other.
pub async fn run_released(conn: &mut PgConnection, run: Uuid) -> Result<(), StoreError> {
    sqlx::query!("UPDATE run SET state = 'pending' WHERE id = $1 AND state = 'held'", run)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("run_released"))?;
    Ok(())
}

/// Pending holds whose time is up.
pub async fn hold_due(conn: &mut PgConnection, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT id FROM hold WHERE state = 'pending' AND expires_at <= now() ORDER BY expires_at LIMIT $1",
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_due"))
}

/// Writes down which open holds have nothing left to hold; answers how many.
pub async fn hold_tidy(conn: &mut PgConnection, limit: i64) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE hold SET state = 'cancelled', resolved_at = now()
          WHERE state IN ('planned', 'pending') AND id IN (
                SELECT h.id FROM hold h JOIN run r ON r.id = h.run_id LEFT JOIN job j ON j.id = h.job_id
                 WHERE h.state IN ('planned', 'pending')
                   AND (r.finished_at IS NOT NULL OR j.finished_at IS NOT NULL
                        OR (h.scope = 'step' AND j.attempt <> h.attempt))
                 LIMIT $1)",
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("hold_tidy"))
}

/// A question of a step.
#[derive(Debug, Clone)]
pub struct StepAsk<'a> {
    /// Id if it is new.
    pub id: Uuid,
    /// The run.
    pub run: Uuid,
    /// The job.
    pub job: Uuid,
    /// The attempt that asks.
    pub attempt: i32,
    /// The step.
    pub index: i32,
    /// Its name.
    pub name: &'a str,
    /// The author's words.
    pub reason: Option<&'a str>,
    /// Who has to approve, JSON.
    pub clauses: &'a str,
    /// What the job shows, JSON.
    pub wait_reason: &'a str,
    /// The author's limit.
    pub timeout_secs: Option<i64>,
    /// Names what is asked.
    pub content: Uuid,
    /// What is shown to whoever decides, JSON.
    pub payload: Option<&'a str>,
    /// The message to answer.
    pub request_id: &'a str,
}

/// A question as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The hold.
    pub id: Uuid,
    /// Its state.
    pub state: String,
    /// Who decided.
    pub resolved_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
}

/// Asks for a step, or finds that this very thing was asked before. Earlier questions of the step that asked for
/// something else are void.
pub async fn hold_step_ask(
    conn: &mut PgConnection,
    ask: &StepAsk<'_>,
) -> Result<Asked, StoreError> {
    sqlx::query!(
        "UPDATE hold SET state = 'cancelled', resolved_at = now()
          WHERE job_id = $1 AND scope = 'step' AND step_index = $2 AND state = 'pending'
            AND (attempt <> $3 OR content <> $4)",
        ask.job,
        ask.index,
        ask.attempt,
        ask.content,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("hold_step_ask"))?;
    let asked = sqlx::query_as!(
        Asked,
        "INSERT INTO hold (id, run_id, job_id, scope, kind, queue, source, reason, clauses, wait_reason, timeout_secs,
                state, opened_at, expires_at, attempt, step_index, step_name, content, payload, request_id)
         SELECT $1, r.id, $3, 'step', 'approval', 'environment', 'explicit', $4, $5::text::json, $6::text::json, $7,
                'pending', now(),
                now() + make_interval(secs => coalesce($7, s.approval_expiry_seconds, 86400)::float8),
                $8, $9, $10, $11, $12::text::json, $13
           FROM run r LEFT JOIN org_setting s ON s.org_id = r.org_id WHERE r.id = $2
         ON CONFLICT (job_id, attempt, step_index, content) WHERE scope = 'step'
         DO UPDATE SET request_id = excluded.request_id, told = false
         RETURNING id, state, resolved_by, comment",
        ask.id,
        ask.run,
        ask.job,
        ask.reason,
        ask.clauses,
        ask.wait_reason,
        ask.timeout_secs,
        ask.attempt,
        ask.index,
        ask.name,
        ask.content,
        ask.payload,
        ask.request_id,
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::in_call("hold_step_ask"))?;
    job_step_wait(conn, ask.job).await?;
    Ok(asked)
}

/// Shows on a running job what its steps wait for, or that they wait for nobody.
pub async fn job_step_wait(conn: &mut PgConnection, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE job j SET wait_reason = (
                SELECT h.wait_reason FROM hold h
                 WHERE h.job_id = j.id AND h.scope = 'step' AND h.state = 'pending' ORDER BY h.id LIMIT 1)
          WHERE j.id = $1 AND j.finished_at IS NULL AND j.agent_id IS NOT NULL",
        job,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("job_step_wait"))?;
    Ok(())
}

/// An answer that an agent has not been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The hold.
    pub id: Uuid,
    /// The question.
    pub request_id: String,
    /// The run.
    pub run_id: Uuid,
    /// The job.
    pub job_id: Uuid,
    /// The step.
    pub step_index: i32,
    /// `approved`, `rejected` or `expired`.
    pub state: String,
    /// Who decided.
    pub resolved_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// The agent that asked.
    pub agent_id: Option<String>,
}

/// Answers for the agents that are connected to this orchestrator.
pub async fn hold_untold(
    conn: &mut PgConnection,
    owner: i32,
    limit: i64,
) -> Result<Vec<Untold>, StoreError> {
    sqlx::query_as!(
        Untold,
        r#"SELECT h.id, h.request_id AS "request_id!", h.run_id, h.job_id AS "job_id!",
                  h.step_index AS "step_index!", h.state, h.resolved_by, h.comment, j.agent_id
             FROM hold h JOIN job j ON j.id = h.job_id
            WHERE h.scope = 'step' AND NOT h.told AND h.state IN ('approved', 'rejected', 'expired')
              AND j.owner = $1 AND j.finished_at IS NULL AND j.attempt = h.attempt
            ORDER BY h.id LIMIT $2"#,
        owner,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("hold_untold"))
}

/// These answers have been sent, or nobody waits for them any more.
pub async fn hold_told(conn: &mut PgConnection, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("UPDATE hold SET told = true WHERE id = ANY($1)", ids)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("hold_told"))?;
    Ok(())
}
