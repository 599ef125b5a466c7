//! Reading the access log.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kici_protocol::http::access_log::{AccessEntry, AccessPage};
use kici_protocol::http::error::ErrorDetail;
use kici_protocol::http::time::Timestamp;
use kici_store::Time;
use kici_store::access_log::{AccessFilter, AccessView, access_log_get, access_log_page};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::input::{Id, Query};
use super::run_view::json;
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};

const READ: Access = Access::Permission(Permission::AccessLogRead);
const ACTORS: [&str; 5] = ["user", "api_key", "service_account", "platform_operator", "system"];
const SOURCES: [&str; 4] = ["platform_proxy", "admin_http", "admin_cli", "agent"];
const OUTCOMES: [&str; 3] = ["allowed", "denied", "error"];

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v1/admin/access-log", READ, list).get(
        "/api/v1/admin/access-log/{id}",
        READ,
        show,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    org_id: Option<String>,
    actor_type: Option<String>,
    actor_id: Option<String>,
    action: Option<String>,
    source: Option<String>,
    outcome: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<AccessPage>, ApiError> {
    caller.require_unscoped()?;
    let mut wrong = Vec::new();
    let mut one_of = |key: &str, value: &Option<String>, allowed: &[&str]| {
        if value.as_ref().is_some_and(|value| !allowed.contains(&value.as_str())) {
            wrong.push(ErrorDetail::at(key, format!("expected one of {}", allowed.join(", "))));
        }
    };
    one_of("actorType", &query.actor_type, &ACTORS);
    one_of("source", &query.source, &SOURCES);
    one_of("outcome", &query.outcome, &OUTCOMES);
    let limit = query.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        wrong.push(ErrorDetail::at("limit", "expected 1 to 200"));
    }
    let before = query.cursor.as_deref().map(read_cursor);
    if before == Some(None) {
        wrong.push(ErrorDetail::at("cursor", "expected the nextCursor of an earlier answer"));
    }
    if !wrong.is_empty() {
        return Err(ApiError::Invalid(wrong));
    }
    let time = |at: Timestamp| Time::from_millis(at.unix_micros() / 1000);
    let filter = AccessFilter {
        org_id: query.org_id,
        actor_type: query.actor_type,
        actor_id: query.actor_id,
        action: query.action,
        source: query.source,
        outcome: query.outcome,
        target_type: query.target_type,
        target_id: query.target_id,
        from: query.from.map(time),
        to: query.to.map(time),
        text: query.q,
        before: before.flatten(),
    };
    let mut conn = app.store.connection().await?;
    // One more than asked for tells whether there are more.
    let mut rows = access_log_page(&mut conn, &filter, limit + 1).await?;
    let more = usize::try_from(limit).is_ok_and(|limit| rows.len() > limit);
    if more {
        rows.pop();
    }
    let next_cursor = rows.last().filter(|_| more).map(cursor);
    Ok(Json(AccessPage { items: rows.into_iter().map(view).collect(), next_cursor }))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<AccessEntry>, ApiError> {
    caller.require_unscoped()?;
    let mut conn = app.store.connection().await?;
    let row = access_log_get(&mut conn, id).await?;
    let row = row.ok_or_else(|| ApiError::NotFound("Access log entry not found".into()))?;
    Ok(Json(view(row)))
}

fn cursor(row: &AccessView) -> String {
    let place = json!({ "source": "hot", "createdAt": timestamp(row.created_at), "id": row.id });
    URL_SAFE_NO_PAD.encode(place.to_string())
}

fn read_cursor(text: &str) -> Option<Uuid> {
    let place: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    place.get("id")?.as_str()?.parse().ok()
}

fn view(row: AccessView) -> AccessEntry {
    AccessEntry {
        id: row.id,
        org_id: row.org_id,
        routing_key: row.routing_key,
        actor_type: row.actor_type,
        actor_id: row.actor_id,
        actor_meta: json(row.actor_meta.as_deref()),
        action: row.action,
        target_type: row.target_type,
        target_id: row.target_id,
        request_id: row.request_id,
        source: row.source,
        outcome: row.outcome,
        error_message: row.error_message,
        created_at: timestamp(row.created_at),
    }
}
