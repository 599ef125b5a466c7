//! Attempts that ended otherwise than by a result of their agent: refused, not acknowledged, lost, silent.
//!
//! A row is written in the transaction that ends the attempt, before the job's row forgets who had it. An attempt
//! that its agent reported on needs none: the job's own row tells all about it.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// Records why the present attempt of a job ended.
pub async fn attempt_end(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO attempt (job_id, attempt, agent_id, reason, started_at)
         SELECT id, attempt, agent_id, $3::text::json, started_at FROM job
          WHERE id = $1 AND attempt = $2 AND agent_id IS NOT NULL AND finished_at IS NULL
         ON CONFLICT DO NOTHING",
        job,
        attempt,
        reason,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("attempt_end"))?;
    Ok(())
}

/// An attempt that did not end with a result.
#[derive(Debug, Clone)]
pub struct AttemptView {
    /// The job.
    pub job_id: Uuid,
    /// Its number.
    pub attempt: i32,
    /// The agent that had it.
    pub agent_id: String,
    /// Why it ended, JSON.
    pub reason: String,
    /// When the agent said that it runs.
    pub started_at: Option<Time>,
    /// When it was given up.
    pub ended_at: Time,
}

/// Such attempts of a run's jobs, oldest first.
pub async fn attempt_of_run(
    conn: &mut PgConnection,
    run: Uuid,
) -> Result<Vec<AttemptView>, StoreError> {
    sqlx::query_as!(
        AttemptView,
        r#"SELECT a.job_id, a.attempt, a.agent_id, a.reason::text AS "reason!", a.started_at AS "started_at: Time",
                  a.ended_at AS "ended_at: Time"
             FROM job j JOIN attempt a ON a.job_id = j.id WHERE j.run_id = $1 ORDER BY j.position, a.attempt"#,
        run,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("attempt_of_run"))
}

/// Such attempts of a job, oldest first.
pub async fn attempt_of_job(
    conn: &mut PgConnection,
    job: Uuid,
) -> Result<Vec<AttemptView>, StoreError> {
    sqlx::query_as!(
        AttemptView,
        r#"SELECT job_id, attempt, agent_id, reason::text AS "reason!", started_at AS "started_at: Time",
                  ended_at AS "ended_at: Time"
             FROM attempt WHERE job_id = $1 ORDER BY attempt"#,
        job,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("attempt_of_job"))
}
