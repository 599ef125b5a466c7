//! The queue as its keepers and its readers see it. Claims are made in [`crate::claim`].

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A job that waited for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// Its run.
    pub run_id: Uuid,
    /// The job.
    pub id: Uuid,
    /// Its attempt.
    pub attempt: i32,
    /// Why it waits, JSON.
    pub reason: Option<String>,
}

/// Jobs that waited for an agent for longer than `limit_secs`.
pub async fn queue_waited_too_long(
    conn: &mut PgConnection,
    limit_secs: f64,
    rows: i64,
) -> Result<Vec<Waited>, StoreError> {
    sqlx::query_as!(
        Waited,
        "SELECT j.run_id, j.id, j.attempt, s.wait_reason::text AS reason
           FROM job j JOIN selector s ON s.id = j.selector
          WHERE j.state = 'queued' AND j.agent_id IS NULL AND j.ready_at < now() - make_interval(secs => $1)
          LIMIT $2",
        limit_secs,
        rows,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("queue_waited_too_long"))
}

/// The newest waiting jobs of a repository: run, job and attempt.
pub async fn queue_last(
    conn: &mut PgConnection,
    share: i64,
    rows: i64,
) -> Result<Vec<(Uuid, Uuid, i32)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT run_id, id, attempt FROM job
          WHERE state = 'queued' AND agent_id IS NULL AND share = $1 ORDER BY id DESC LIMIT $2",
        share,
        rows,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("queue_last"))?;
    Ok(rows.into_iter().map(|row| (row.run_id, row.id, row.attempt)).collect())
}

/// How many jobs of a selector wait, and how many are with agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectorDepth {
    /// The selector.
    pub selector: Uuid,
    /// Without an agent, up to the bound.
    pub waiting: i64,
    /// With one.
    pub dispatched: i64,
}

/// The depth of the queue by selector; of waiting jobs no more than `bound` are counted.
pub async fn queue_by_selector(
    conn: &mut PgConnection,
    bound: i64,
) -> Result<Vec<SelectorDepth>, StoreError> {
    sqlx::query_as!(
        SelectorDepth,
        r#"SELECT q.selector AS "selector!", count(*) FILTER (WHERE q.waits) AS "waiting!",
                  count(*) FILTER (WHERE NOT q.waits) AS "dispatched!"
             FROM ((SELECT selector, true AS waits FROM job WHERE state = 'queued' AND agent_id IS NULL LIMIT $1)
                   UNION ALL
                   SELECT selector, false FROM job WHERE agent_id IS NOT NULL AND finished_at IS NULL) q
            GROUP BY q.selector"#,
        bound,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("queue_by_selector"))
}
