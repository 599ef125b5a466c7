//! Fan-outs whose children follow each other: who waits for a turn.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Children of one fan-out that are wanted, in the order of their turns.
#[derive(Debug, Clone)]
pub struct Turns {
    /// The run, locked by the caller.
    pub run: Uuid,
    /// The name that the children share.
    pub base_name: String,
    /// How many; none for all.
    pub limit: Option<i64>,
}

/// A child that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gated {
    /// Its id.
    pub id: Uuid,
    /// Its run.
    pub run_id: Uuid,
    /// The name that it shares with its siblings.
    pub base_name: String,
    /// Its own name.
    pub name: String,
    /// Its fencing number.
    pub attempt: i32,
}

/// The next children of each fan-out.
pub async fn job_gated(conn: &mut PgConnection, turns: &[Turns]) -> Result<Vec<Gated>, StoreError> {
    let run: Vec<Uuid> = turns.iter().map(|t| t.run).collect();
    let base: Vec<&str> = turns.iter().map(|t| t.base_name.as_str()).collect();
    let limit: Vec<Option<i64>> = turns.iter().map(|t| t.limit).collect();
    sqlx::query_as!(
        Gated,
        r#"SELECT j.id AS "id!", j.run_id AS "run_id!", j.base_name AS "base_name!", j.name AS "name!",
                  j.attempt AS "attempt!"
             FROM unnest($1::uuid[], $2::text[], $3::int8[]) AS t (run, base, n)
            CROSS JOIN LATERAL (
                SELECT id, run_id, base_name, name, attempt FROM job
                 WHERE run_id = t.run AND base_name = t.base AND gated AND state = 'pending'
                 ORDER BY fanout_index LIMIT t.n) j"#,
        &run,
        &base as _,
        &limit as _,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_gated"))
}

/// Fan-outs that have room although children wait for their turn: left behind by a bug or a repair. Answers how many
/// may go.
pub async fn window_stuck(conn: &mut PgConnection, limit: i64) -> Result<Vec<Turns>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.run_id, s.base_name, max(s.max_parallel) - count(*) FILTER (WHERE NOT s.gated) AS "room!"
             FROM job s
            WHERE s.finished_at IS NULL AND s.max_parallel IS NOT NULL
              AND s.run_id IN (SELECT run_id FROM job WHERE gated AND state = 'pending')
            GROUP BY s.run_id, s.base_name
           HAVING count(*) FILTER (WHERE s.gated) > 0
              AND count(*) FILTER (WHERE NOT s.gated) < max(s.max_parallel)
            LIMIT $1"#,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("window_stuck"))?;
    let turns = rows.into_iter().map(|row| Turns {
        run: row.run_id,
        base_name: row.base_name,
        limit: Some(row.room),
    });
    Ok(turns.collect())
}
