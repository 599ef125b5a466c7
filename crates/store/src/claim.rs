//! Claiming waiting jobs in batches. What becomes of a claim is in [`crate::lease`].

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// The selectors of all jobs that wait for an agent. Skips from one to the next in the index, so a long queue
/// costs no more than a short one.
pub async fn waiting_selectors(conn: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE seen AS (
               (SELECT selector FROM job WHERE state = 'queued' AND agent_id IS NULL ORDER BY selector LIMIT 1)
               UNION ALL
               SELECT (SELECT selector FROM job WHERE state = 'queued' AND agent_id IS NULL
                          AND selector > seen.selector ORDER BY selector LIMIT 1)
                 FROM seen WHERE seen.selector IS NOT NULL)
           SELECT selector AS "selector!" FROM seen WHERE selector IS NOT NULL"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("waiting_selectors"))
}

/// A waiting job, locked until the transaction ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The job.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// Its selector.
    pub selector: Uuid,
    /// The agent that refused it last.
    pub refused_by: Option<String>,
}

/// Locks the oldest waiting jobs of each selector, up to its limit; rows that another orchestrator looks at are
/// left to it.
pub async fn job_candidates(
    conn: &mut PgConnection,
    limits: &[(Uuid, i32)],
) -> Result<Vec<Waiting>, StoreError> {
    let selector: Vec<Uuid> = limits.iter().map(|(selector, _)| *selector).collect();
    let limit: Vec<i32> = limits.iter().map(|(_, limit)| *limit).collect();
    sqlx::query_as!(
        Waiting,
        r#"SELECT j.id AS "id!", j.run_id AS "run_id!", j.selector AS "selector!", j.refused_by
             FROM unnest($1::uuid[], $2::int4[]) AS t (selector, n)
            CROSS JOIN LATERAL (
                SELECT id, run_id, selector, refused_by FROM job
                 WHERE state = 'queued' AND agent_id IS NULL AND selector = t.selector AND not_before <= now()
                 ORDER BY not_before, id LIMIT t.n FOR UPDATE SKIP LOCKED) j"#,
        &selector,
        &limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_candidates"))
}

/// A claim: this job for this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: Uuid,
    /// The agent.
    pub agent: String,
}

/// Gives candidates to agents. Answers job and its new attempt.
pub async fn job_claim(
    conn: &mut PgConnection,
    owner: i32,
    ack_within: Duration,
    claims: &[Claim],
) -> Result<Vec<(Uuid, i32)>, StoreError> {
    let job: Vec<Uuid> = claims.iter().map(|c| c.job).collect();
    let agent: Vec<&str> = claims.iter().map(|c| c.agent.as_str()).collect();
    let rows = sqlx::query!(
        "UPDATE job j
            SET agent_id = t.agent, owner = $3, attempt = j.attempt + 1, acked = false,
                deadline = now() + make_interval(secs => $4), wait_reason = NULL
           FROM unnest($1::uuid[], $2::text[]) AS t (job, agent)
          WHERE j.id = t.job AND j.state = 'queued' AND j.agent_id IS NULL
      RETURNING j.id, j.attempt",
        &job,
        &agent as _,
        owner,
        ack_within.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_claim"))?;
    Ok(rows.into_iter().map(|row| (row.id, row.attempt)).collect())
}
