//! Steps as agents report them.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// One report about a step.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// The job.
    pub job_id: Uuid,
    /// The attempt.
    pub attempt: i32,
    /// Its index.
    pub index: i32,
    /// Its name, part of its identity.
    pub name: String,
    /// `step`, `hook:cleanup`, …
    pub step_type: String,
    /// Its state.
    pub state: String,
    /// Exit code of the failed command.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long it took, as the agent measured it.
    pub duration_ms: Option<i64>,
    /// Parallel group.
    pub group_id: Option<String>,
    /// Names of secrets that it read, JSON array.
    pub secrets: Option<String>,
    /// Further fields, JSON.
    pub data: Option<String>,
}

/// Records reports, one for each step at most. A step that has ended stays as it is, and reports about an
/// attempt that is not the present one are left out.
pub async fn step_upsert(conn: &mut PgConnection, rows: &[StepRow]) -> Result<(), StoreError> {
    let job: Vec<Uuid> = rows.iter().map(|r| r.job_id).collect();
    let attempt: Vec<i32> = rows.iter().map(|r| r.attempt).collect();
    let index: Vec<i32> = rows.iter().map(|r| r.index).collect();
    let exit: Vec<Option<i32>> = rows.iter().map(|r| r.exit_code).collect();
    let duration: Vec<Option<i64>> = rows.iter().map(|r| r.duration_ms).collect();
    let text = |of: fn(&StepRow) -> &str| -> Vec<&str> { rows.iter().map(of).collect() };
    let maybe =
        |of: fn(&StepRow) -> Option<&str>| -> Vec<Option<&str>> { rows.iter().map(of).collect() };
    sqlx::query!(
        "INSERT INTO step AS s (job_id, attempt, idx, name, step_type, state, exit_code, signal, error, duration_ms,
                group_id, secrets, data, started_at, finished_at)
         SELECT t.job, t.attempt, t.idx, t.name, t.kind, t.state, t.exit, t.signal, t.error, t.duration, t.grp,
                coalesce((SELECT array_agg(v) FROM json_array_elements_text(t.secrets::json) v), '{}'), t.data::json,
                CASE WHEN t.state <> 'pending' THEN now() END,
                CASE WHEN t.state NOT IN ('pending', 'running') THEN now() END
           FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::int4[],
                $8::text[], $9::text[], $10::int8[], $11::text[], $12::text[], $13::text[])
             AS t (job, attempt, idx, name, kind, state, exit, signal, error, duration, grp, secrets, data)
           JOIN job j ON j.id = t.job AND j.attempt = t.attempt
         ON CONFLICT (job_id, attempt, idx, name) DO UPDATE
            SET state = excluded.state, step_type = excluded.step_type, exit_code = excluded.exit_code,
                signal = excluded.signal, error = excluded.error, duration_ms = excluded.duration_ms,
                group_id = coalesce(excluded.group_id, s.group_id), secrets = excluded.secrets,
                data = coalesce(excluded.data, s.data), started_at = coalesce(s.started_at, excluded.started_at),
                finished_at = excluded.finished_at
          WHERE s.finished_at IS NULL",
        &job,
        &attempt,
        &index,
        &text(|r| &r.name) as _,
        &text(|r| &r.step_type) as _,
        &text(|r| &r.state) as _,
        &exit as _,
        &maybe(|r| r.signal.as_deref()) as _,
        &maybe(|r| r.error.as_deref()) as _,
        &duration as _,
        &maybe(|r| r.group_id.as_deref()) as _,
        &maybe(|r| r.secrets.as_deref()) as _,
        &maybe(|r| r.data.as_deref()) as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("step_upsert"))?;
    Ok(())
}

/// Ends the open steps of jobs that ended without them: a step cannot outlive its job.
pub async fn step_abandon(conn: &mut PgConnection, jobs: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE step SET state = 'cancelled', finished_at = now() WHERE job_id = ANY($1) AND finished_at IS NULL",
        jobs,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("step_abandon"))?;
    Ok(())
}
