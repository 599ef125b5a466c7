//! The delivery log, and processing a delivery once more.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kici_model::ids::RunId;
use kici_protocol::http::deliveries::{DeliveryDetail, DeliveryList, DeliveryView, Replayed};
use kici_protocol::http::time::Timestamp;
use kici_store::delivery_log::{
    self, DeliveryFilter, delivery_body, delivery_count, delivery_get, delivery_page,
};
use kici_store::{PgConnection, Time};
use serde::Deserialize;
use serde_json::Value;

use super::input::Query;
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::inbox::{self, AcceptError, Accepted, NewDelivery};

/// How long a replayed delivery's own id counts as seen.
const DEDUP: Duration = Duration::from_secs(24 * 60 * 60);
/// How many replays of one delivery are kept apart.
const REPLAYS: u32 = 100;

pub(super) fn routes() -> Routes {
    let may = Access::Permission;
    Routes::new()
        .get("/api/v1/admin/event-log", may(Permission::EventLogRead), list)
        .get("/api/v1/admin/event-log/{delivery_id}", may(Permission::EventLogRead), show)
        .post(
            "/api/v1/admin/event-log/{delivery_id}/replay",
            may(Permission::ContextCreate),
            replay,
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    org_id: Option<String>,
    routing_key: Option<String>,
    event: Option<String>,
    action: Option<String>,
    status: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    delivery_id: Option<String>,
    limit: Option<i64>,
    offset: Option<i64>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let time = |at: Timestamp| Time::from_millis(at.unix_micros() / 1000);
    let filter = DeliveryFilter {
        org_id: query.org_id,
        routing_key: caller.narrow(query.routing_key)?,
        event: query.event,
        action: query.action,
        state: query.status,
        from: query.from.map(time),
        to: query.to.map(time),
        delivery_id: query.delivery_id,
    };
    let limit = query.limit.unwrap_or(50).clamp(1, 200);
    let offset = query.offset.unwrap_or(0).max(0);
    let mut conn = app.store.connection().await?;
    let total = delivery_count(&mut conn, &filter).await?;
    let rows = delivery_page(&mut conn, &filter, limit, offset).await?;
    let deliveries = rows.into_iter().map(view).collect();
    Ok(Json(DeliveryList { deliveries, total, limit, offset }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneQuery {
    org_id: Option<String>,
    #[serde(default)]
    include_payload: bool,
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(delivery_id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Result<Json<DeliveryDetail>, ApiError> {
    if query.include_payload {
        caller.require(Permission::EventLogReadPayload)?;
    }
    let mut conn = app.store.connection().await?;
    let row = own_delivery(&mut conn, &caller, query.org_id, &delivery_id).await?;
    let mut detail =
        DeliveryDetail { payload: None, payload_read_error: None, delivery: view(row.clone()) };
    if query.include_payload {
        let kept = delivery_body(&mut conn, row.id).await?.and_then(|body| body.payload);
        match (kept, &row.payload_omitted) {
            (Some(bytes), None) => detail.payload = Some(shown(&bytes)),
            (_, Some(why)) => {
                detail.payload_read_error = Some(format!("the payload was not kept: {why}"))
            }
            (None, None) => {
                detail.payload_read_error = Some("the payload is not there any more".into())
            }
        }
    }
    Ok(Json(detail))
}

/// Processes a stored delivery again, under a name of its own.
async fn replay(
    State(app): State<App>,
    caller: Caller,
    Path(delivery_id): Path<String>,
    Query(query): Query<OneQuery>,
) -> Result<(StatusCode, Json<Replayed>), ApiError> {
    let mut conn = app.store.connection().await?;
    let row = own_delivery(&mut conn, &caller, query.org_id, &delivery_id).await?;
    let body = delivery_body(&mut conn, row.id).await?;
    drop(conn);
    let Some((body, payload)) =
        body.and_then(|mut body| body.payload.take().map(|bytes| (body, bytes)))
    else {
        return Err(ApiError::conflict(
            "The payload of this delivery was not kept, so it cannot be replayed",
        ));
    };
    let mut delivery = NewDelivery {
        org_id: row.org_id,
        delivery_id: String::new(),
        routing_key: row.routing_key,
        provider: row.provider,
        source_id: body.source_id,
        event: row.event,
        action: row.action,
        content_type: body.content_type,
        body: payload.into(),
        dedup_window: DEDUP,
        evaluate: true,
    };
    for number in 1..=REPLAYS {
        delivery.delivery_id = format!("{delivery_id}:replay:{number}");
        match inbox::accept(&app, delivery.clone()).await {
            Ok(Accepted::New) => {
                tracing::info!(delivery.id = %delivery.delivery_id, by = %caller.token(), "delivery replayed");
                return Ok((
                    StatusCode::ACCEPTED,
                    Json(Replayed { delivery_id: delivery.delivery_id }),
                ));
            }
            // This number was used by an earlier replay.
            Ok(Accepted::Duplicate) => {}
            Err(error @ (AcceptError::Busy | AcceptError::Stopping)) => {
                return Err(ApiError::Unavailable(error.to_string()));
            }
            Err(error @ AcceptError::Store(_)) => return Err(ApiError::Internal(Box::new(error))),
        }
    }
    Err(ApiError::conflict("This delivery was replayed too often in the last day"))
}

async fn own_delivery(
    conn: &mut PgConnection,
    caller: &Caller,
    org_id: Option<String>,
    delivery_id: &str,
) -> Result<delivery_log::DeliveryView, ApiError> {
    let Some(org_id) = org_id.filter(|org_id| !org_id.is_empty()) else {
        return Err(ApiError::BadRequest("Missing orgId query parameter".into()));
    };
    let row = delivery_get(conn, &org_id, delivery_id).await?;
    let row = row.ok_or_else(|| ApiError::NotFound("Delivery not found".into()))?;
    caller.require_key(&row.routing_key)?;
    Ok(row)
}

fn view(row: delivery_log::DeliveryView) -> DeliveryView {
    DeliveryView {
        org_id: row.org_id,
        delivery_id: row.delivery_id,
        routing_key: row.routing_key,
        event: row.event,
        action: row.action,
        source: "direct".into(),
        provider: row.provider,
        repo_identifier: row.repo,
        git_ref: row.git_ref,
        status: row.state,
        matched_count: row.matched_count,
        run_id: row.run_id.map(RunId),
        error_message: row.error_message,
        received_at: timestamp(row.received_at),
        archived_at: None,
        payload_omitted: row.payload_omitted.is_some(),
        payload_omitted_reason: row.payload_omitted,
        payload_size_bytes: row.payload_bytes.into(),
        payload_hash: hex::encode(row.payload_hash),
    }
}

fn shown(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}
