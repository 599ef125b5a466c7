//! What retention has done and has still to do, for people to see.

use sqlx::PgConnection;

use crate::{StoreError, Time};

/// Rows that a count of what is due goes through, oldest first.
pub const DUE_AMONG: i64 = 10_000;

/// Notes a pass, and how many it removed.
pub async fn retention_note(
    conn: &mut PgConnection,
    kind: &str,
    removed: u64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO retention AS r (kind, removed, last_removed, last_removed_at)
         VALUES ($1, $2::int8, $2, CASE WHEN $2 > 0 THEN now() END)
         ON CONFLICT (kind) DO UPDATE SET passed_at = now(), removed = r.removed + $2,
             last_removed = CASE WHEN $2 > 0 THEN $2 ELSE r.last_removed END,
             last_removed_at = CASE WHEN $2 > 0 THEN now() ELSE r.last_removed_at END",
        kind,
        i64::try_from(removed).unwrap_or(i64::MAX),
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("retention_note"))?;
    Ok(())
}

/// Notes what logs take in storage.
pub async fn log_usage_note(
    conn: &mut PgConnection,
    chunks: i64,
    bytes: i64,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO retention (kind, chunks, bytes, counted_at) VALUES ('log', $1, $2, now())
         ON CONFLICT (kind) DO UPDATE SET chunks = $1, bytes = $2, counted_at = now()",
        chunks,
        bytes,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("log_usage_note"))?;
    Ok(())
}

/// What passes have done about one kind of thing.
#[derive(Debug, Clone)]
pub struct KindRow {
    /// `run`, `log`, …
    pub kind: String,
    /// The last pass.
    pub passed_at: Time,
    /// How many were ever removed.
    pub removed: i64,
    /// How many the last pass removed that found some.
    pub last_removed: i64,
    /// When that was.
    pub last_removed_at: Option<Time>,
    /// Of logs: entries of the index, as last counted.
    pub chunks: Option<i64>,
    /// Of logs: bytes in storage, as last counted.
    pub bytes: Option<i64>,
    /// When they were counted.
    pub counted_at: Option<Time>,
}

/// What passes have done.
pub async fn retention_kinds(conn: &mut PgConnection) -> Result<Vec<KindRow>, StoreError> {
    sqlx::query_as!(
        KindRow,
        r#"SELECT kind, passed_at AS "passed_at: Time", removed, last_removed,
                  last_removed_at AS "last_removed_at: Time", chunks, bytes, counted_at AS "counted_at: Time"
             FROM retention"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("retention_kinds"))
}

/// A table as PostgreSQL estimates it.
#[derive(Debug, Clone)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Rows, at the last vacuum; `None` before the first.
    pub rows: Option<i64>,
    /// With indexes and all.
    pub bytes: i64,
}

/// The sizes of tables.
pub async fn table_sizes(
    conn: &mut PgConnection,
    tables: &[&str],
) -> Result<Vec<TableSize>, StoreError> {
    let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    sqlx::query_as!(
        TableSize,
        r#"SELECT relname::text AS "table!", CASE WHEN reltuples >= 0 THEN reltuples::int8 END AS rows,
                  pg_total_relation_size(oid) AS "bytes!"
             FROM pg_class WHERE oid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS t (name))"#,
        &tables,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("table_sizes"))
}

/// The oldest of each kind.
#[derive(Debug, Clone)]
pub struct Oldest {
    /// When the oldest run was made.
    pub run: Option<Time>,
    /// When the oldest delivery came.
    pub delivery: Option<Time>,
    /// When the oldest entry of the access log was written.
    pub access_log: Option<Time>,
    /// When the workflow was named that was not named for the longest time.
    pub definition: Option<Time>,
    /// The same for selectors.
    pub selector: Option<Time>,
}

/// The oldest of each kind.
pub async fn retention_oldest(conn: &mut PgConnection) -> Result<Oldest, StoreError> {
    sqlx::query_as!(
        Oldest,
        r#"SELECT (SELECT created_at FROM run ORDER BY id LIMIT 1) AS "run: Time",
                  (SELECT received_at FROM delivery ORDER BY id LIMIT 1) AS "delivery: Time",
                  (SELECT created_at FROM access_log ORDER BY created_at LIMIT 1) AS "access_log: Time",
                  (SELECT used_at FROM definition ORDER BY used_at LIMIT 1) AS "definition: Time",
                  (SELECT used_at FROM selector ORDER BY used_at LIMIT 1) AS "selector: Time""#,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("retention_oldest"))
}

/// How much is due, among the [`DUE_AMONG`] oldest of each kind; `None` where things are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Runs.
    pub runs: Option<i64>,
    /// Deliveries.
    pub deliveries: Option<i64>,
    /// Entries of the access log.
    pub access_log: Option<i64>,
    /// Logs of runs that are gone.
    pub logs: i64,
}

/// Counts what is due by what is kept for how long.
pub async fn retention_due(
    conn: &mut PgConnection,
    run_secs: Option<f64>,
    delivery_secs: Option<f64>,
    access_log_secs: Option<f64>,
) -> Result<Due, StoreError> {
    sqlx::query_as!(
        Due,
        r#"SELECT CASE WHEN $1::float8 IS NOT NULL THEN
                    (SELECT count(*) FROM (SELECT id, finished_at FROM run ORDER BY id LIMIT $4) o
                      WHERE o.finished_at < now() - make_interval(secs => $1)
                        AND NOT EXISTS (SELECT FROM run c WHERE c.parent_run_id = o.id)) END AS runs,
                  CASE WHEN $2::float8 IS NOT NULL THEN
                    (SELECT count(*) FROM (SELECT id, received_at, due_at, dedup_until FROM delivery
                                            ORDER BY id LIMIT $4) o
                      WHERE o.received_at < now() - make_interval(secs => $2) AND o.due_at IS NULL
                        AND o.dedup_until < now()
                        AND NOT EXISTS (SELECT FROM run r WHERE r.delivery = o.id AND r.parent_run_id IS NULL))
                    END AS deliveries,
                  CASE WHEN $3::float8 IS NOT NULL THEN
                    (SELECT count(*) FROM (SELECT FROM access_log
                                            WHERE created_at < now() - make_interval(secs => $3) LIMIT $4) o)
                    END AS access_log,
                  (SELECT count(*) FROM (SELECT FROM log_removal LIMIT $4) o) AS "logs!""#,
        run_secs,
        delivery_secs,
        access_log_secs,
        DUE_AMONG,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("retention_due"))
}
