//! Who has how much of the agents: what a fair choice between repositories is made from.

use sqlx::PgConnection;

use crate::StoreError;

/// How many jobs each repository has with agents now.
pub async fn share_held(conn: &mut PgConnection) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT share, count(*) AS "held!" FROM job WHERE agent_id IS NOT NULL AND finished_at IS NULL
            GROUP BY share"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("share_held"))?;
    Ok(rows.into_iter().map(|row| (row.share, row.held)).collect())
}

/// A repository's last turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The repository.
    pub share: i64,
    /// When its last full turn was, in microseconds since 1970.
    pub at: i64,
    /// Jobs of the present turn.
    pub used: i32,
}

/// The last turns of these repositories; one that has never shared agents has none.
pub async fn share_turns(conn: &mut PgConnection, shares: &[i64]) -> Result<Vec<Turn>, StoreError> {
    sqlx::query_as!(
        Turn,
        r#"SELECT id AS share, (extract(epoch FROM turn_at) * 1000000)::int8 AS "at!", used FROM share
            WHERE id = ANY($1)"#,
        shares,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("share_turns"))
}

/// Jobs that a repository was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The repository.
    pub share: i64,
    /// How many.
    pub jobs: i32,
    /// How many make a turn.
    pub weight: i32,
}

/// Notes what repositories were given. A turn is over when as many jobs were given as the weight says.
pub async fn share_served(conn: &mut PgConnection, served: &[Served]) -> Result<(), StoreError> {
    // In the order of ids: two orchestrators must not wait for each other in a circle.
    let mut served = served.to_vec();
    served.sort_by_key(|one| one.share);
    let share: Vec<i64> = served.iter().map(|one| one.share).collect();
    let jobs: Vec<i32> = served.iter().map(|one| one.jobs).collect();
    let weight: Vec<i32> = served.iter().map(|one| one.weight).collect();
    sqlx::query!(
        "INSERT INTO share AS s (id, turn_at, used)
         SELECT share, CASE WHEN jobs >= weight THEN now() ELSE 'epoch' END, jobs % weight
           FROM unnest($1::int8[], $2::int4[], $3::int4[]) AS t (share, jobs, weight)
             ON CONFLICT (id) DO UPDATE
            SET (turn_at, used) = (
                SELECT CASE WHEN s.used + t.jobs >= t.weight THEN now() ELSE s.turn_at END, (s.used + t.jobs) % t.weight
                  FROM unnest($1::int8[], $2::int4[], $3::int4[]) AS t (share, jobs, weight)
                 WHERE t.share = s.id)",
        &share,
        &jobs,
        &weight,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("share_served"))?;
    Ok(())
}

/// The ids of repositories by their names, `<organisation>/<repository>`.
pub async fn share_ids(
    conn: &mut PgConnection,
    names: &[String],
) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT name AS "name!", hashtextextended(name, 0) AS "id!" FROM unnest($1::text[]) AS t (name)"#,
        names,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("share_ids"))?;
    Ok(rows.into_iter().map(|row| (row.name, row.id)).collect())
}

/// How many jobs of each repository wait for an agent.
pub async fn share_waiting(conn: &mut PgConnection) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT share, count(*) AS "waiting!" FROM job WHERE state = 'queued' AND agent_id IS NULL
            GROUP BY share ORDER BY share"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("share_waiting"))?;
    Ok(rows.into_iter().map(|row| (row.share, row.waiting)).collect())
}
