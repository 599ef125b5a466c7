//! Claiming waiting jobs in batches. What becomes of a claim is in [`crate::lease`]; whose turn it is, in
//! [`crate::share`].

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A line of the queue: the waiting jobs of one repository that want the same agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which agents they want.
    pub selector: Uuid,
    /// The repository.
    pub share: i64,
    /// The first of them may be given to an agent now.
    pub due: bool,
    /// Where the first of them stands, in microseconds since 1970.
    pub place: i64,
}

/// All lines of the queue. Skips from one to the next in the index, so a long line costs no more than a short one.
pub async fn waiting_lines(conn: &mut PgConnection) -> Result<Vec<Line>, StoreError> {
    sqlx::query_as!(
        Line,
        r#"WITH RECURSIVE seen AS (
               (SELECT selector, share, not_before FROM job WHERE state = 'queued' AND agent_id IS NULL
                 ORDER BY selector, share, not_before, id LIMIT 1)
               UNION ALL
               (SELECT n.selector, n.share, n.not_before
                  FROM seen CROSS JOIN LATERAL (
                       SELECT selector, share, not_before FROM job
                        WHERE state = 'queued' AND agent_id IS NULL AND (selector, share) > (seen.selector, seen.share)
                        ORDER BY selector, share, not_before, id LIMIT 1) n))
           SELECT selector AS "selector!", share AS "share!", not_before <= now() AS "due!",
                  (extract(epoch FROM not_before) * 1000000)::int8 AS "place!"
             FROM seen"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("waiting_lines"))
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
    /// Its repository.
    pub share: i64,
    /// Where it stands, in microseconds since 1970.
    pub place: i64,
    /// The agent that refused it last.
    pub refused_by: Option<String>,
}

/// How many jobs of a line to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The line's selector.
    pub selector: Uuid,
    /// The line's repository.
    pub share: i64,
    /// At most this many.
    pub jobs: i32,
}

/// Locks the first jobs of each line, up to its limit; rows that another orchestrator looks at are left to it.
pub async fn job_candidates(
    conn: &mut PgConnection,
    limits: &[Limit],
) -> Result<Vec<Waiting>, StoreError> {
    let selector: Vec<Uuid> = limits.iter().map(|limit| limit.selector).collect();
    let share: Vec<i64> = limits.iter().map(|limit| limit.share).collect();
    let jobs: Vec<i32> = limits.iter().map(|limit| limit.jobs).collect();
    sqlx::query_as!(
        Waiting,
        r#"SELECT j.id AS "id!", j.run_id AS "run_id!", j.selector AS "selector!", j.share AS "share!",
                  (extract(epoch FROM j.not_before) * 1000000)::int8 AS "place!", j.refused_by
             FROM unnest($1::uuid[], $2::int8[], $3::int4[]) AS t (selector, share, n)
            CROSS JOIN LATERAL (
                SELECT id, run_id, selector, share, not_before, refused_by FROM job
                 WHERE state = 'queued' AND agent_id IS NULL AND selector = t.selector AND share = t.share
                   AND not_before <= now()
                 ORDER BY not_before, id LIMIT t.n FOR UPDATE SKIP LOCKED) j"#,
        &selector,
        &share,
        &jobs,
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
///
/// The condition on the agent is written so that the index of waiting jobs does not serve it: a plan made while the
/// queue was empty would read the whole queue for each job.
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
            SET agent_id = t.agent, owner = $3, log_writer = $3, attempt = j.attempt + 1, acked = false,
                deadline = now() + make_interval(secs => $4), wait_reason = NULL
           FROM unnest($1::uuid[], $2::text[]) AS t (job, agent)
          WHERE j.id = t.job AND j.state = 'queued' AND coalesce(j.agent_id, '') = ''
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
