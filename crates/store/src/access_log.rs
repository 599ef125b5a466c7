//! The access log: who did, or was refused, what. Rows are only added; retention removes old ones.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// One thing that somebody did or wanted to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessRow {
    /// Its id, time-ordered.
    pub id: Uuid,
    /// The organisation; that of the target run if it is not known.
    pub org_id: Option<String>,
    /// The routing key; that of the target run if it is not known.
    pub routing_key: Option<String>,
    /// `api_key`, `system`, …
    pub actor_type: String,
    /// Which.
    pub actor_id: String,
    /// More about the actor, JSON.
    pub actor_meta: Option<String>,
    /// `run.cancel`, …
    pub action: String,
    /// `run`, …
    pub target_type: Option<String>,
    /// Which.
    pub target_id: Option<String>,
    /// The request's id, as in the log.
    pub request_id: Option<String>,
    /// `admin_http`, `admin_cli` or `agent`.
    pub source: String,
    /// `allowed`, `denied` or `error`.
    pub outcome: String,
    /// Why not.
    pub error_message: Option<String>,
}

/// Adds rows. Those about a run or a hold get its organisation and routing key.
pub async fn access_log_insert(
    conn: &mut PgConnection,
    rows: &[AccessRow],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = rows.iter().map(|r| r.id).collect();
    let of = |row: &AccessRow, kind: &str| -> Option<Uuid> {
        row.target_id.as_ref().filter(|_| row.target_type.as_deref() == Some(kind))?.parse().ok()
    };
    let run: Vec<Option<Uuid>> = rows.iter().map(|r| of(r, "run")).collect();
    let hold: Vec<Option<Uuid>> = rows.iter().map(|r| of(r, "held_run")).collect();
    let text = |of: fn(&AccessRow) -> &str| -> Vec<&str> { rows.iter().map(of).collect() };
    let maybe =
        |of: fn(&AccessRow) -> Option<&str>| -> Vec<Option<&str>> { rows.iter().map(of).collect() };
    sqlx::query!(
        "INSERT INTO access_log (id, org_id, routing_key, actor_type, actor_id, actor_meta, action, target_type,
                target_id, request_id, source, outcome, error_message)
         SELECT t.id, coalesce(t.org, r.org_id), coalesce(t.routing, r.routing_key), t.actor_type, t.actor, t.meta::json,
                t.action, t.target_type, t.target, t.request, t.source, t.outcome, t.error
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::uuid[])
             AS t (id, org, routing, actor_type, actor, meta, action, target_type, target, request, source, outcome,
                   error, run, hold)
           LEFT JOIN hold h ON h.id = t.hold LEFT JOIN run r ON r.id = coalesce(t.run, h.run_id)",
        &id,
        &maybe(|r| r.org_id.as_deref()) as _,
        &maybe(|r| r.routing_key.as_deref()) as _,
        &text(|r| &r.actor_type) as _,
        &text(|r| &r.actor_id) as _,
        &maybe(|r| r.actor_meta.as_deref()) as _,
        &text(|r| &r.action) as _,
        &maybe(|r| r.target_type.as_deref()) as _,
        &maybe(|r| r.target_id.as_deref()) as _,
        &maybe(|r| r.request_id.as_deref()) as _,
        &text(|r| &r.source) as _,
        &text(|r| &r.outcome) as _,
        &maybe(|r| r.error_message.as_deref()) as _,
        &run as _,
        &hold as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("access_log_insert"))?;
    Ok(())
}

/// A stored row.
#[derive(Debug, Clone)]
pub struct AccessView {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
    pub org_id: Option<String>,
    /// The routing key.
    pub routing_key: Option<String>,
    /// `api_key`, `system`, …
    pub actor_type: String,
    /// Which.
    pub actor_id: String,
    /// More about the actor, JSON.
    pub actor_meta: Option<String>,
    /// What.
    pub action: String,
    /// About what.
    pub target_type: Option<String>,
    /// Which.
    pub target_id: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// How it came.
    pub source: String,
    /// What came of it.
    pub outcome: String,
    /// Why not.
    pub error_message: Option<String>,
    /// When.
    pub created_at: Time,
}

/// Which rows are wanted; absent fields let everything through.
#[derive(Debug, Clone, Default)]
pub struct AccessFilter {
    /// Of this organisation.
    pub org_id: Option<String>,
    /// Of this kind of actor.
    pub actor_type: Option<String>,
    /// Of this actor.
    pub actor_id: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this outcome.
    pub outcome: Option<String>,
    /// About this kind of thing.
    pub target_type: Option<String>,
    /// About this thing.
    pub target_id: Option<String>,
    /// Not before.
    pub from: Option<Time>,
    /// Before.
    pub to: Option<Time>,
    /// With this in the error's text.
    pub text: Option<String>,
    /// Older than this row.
    pub before: Option<Uuid>,
}

/// A page of rows, newest first.
pub async fn access_log_page(
    conn: &mut PgConnection,
    filter: &AccessFilter,
    limit: i64,
) -> Result<Vec<AccessView>, StoreError> {
    sqlx::query_as!(
        AccessView,
        r#"SELECT id, org_id, routing_key, actor_type, actor_id, actor_meta::text, action, target_type, target_id,
                  request_id, source, outcome, error_message, created_at AS "created_at: Time"
             FROM access_log
            WHERE ($1::text IS NULL OR org_id = $1) AND ($2::text IS NULL OR actor_type = $2)
              AND ($3::text IS NULL OR actor_id = $3) AND ($4::text IS NULL OR action = $4)
              AND ($5::text IS NULL OR source = $5) AND ($6::text IS NULL OR outcome = $6)
              AND ($7::text IS NULL OR target_type = $7) AND ($8::text IS NULL OR target_id = $8)
              AND ($9::timestamptz IS NULL OR created_at >= $9) AND ($10::timestamptz IS NULL OR created_at < $10)
              AND ($11::text IS NULL OR strpos(error_message, $11) > 0) AND ($12::uuid IS NULL OR id < $12)
            ORDER BY id DESC LIMIT $13"#,
        filter.org_id.as_deref(),
        filter.actor_type.as_deref(),
        filter.actor_id.as_deref(),
        filter.action.as_deref(),
        filter.source.as_deref(),
        filter.outcome.as_deref(),
        filter.target_type.as_deref(),
        filter.target_id.as_deref(),
        filter.from as _,
        filter.to as _,
        filter.text.as_deref(),
        filter.before,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("access_log_page"))
}

/// One row.
pub async fn access_log_get(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<AccessView>, StoreError> {
    sqlx::query_as!(
        AccessView,
        r#"SELECT id, org_id, routing_key, actor_type, actor_id, actor_meta::text, action, target_type, target_id,
                  request_id, source, outcome, error_message, created_at AS "created_at: Time"
             FROM access_log WHERE id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("access_log_get"))
}
