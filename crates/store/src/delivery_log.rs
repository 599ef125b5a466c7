//! Deliveries for people: the reads behind the event log. Newest first, never without a bound.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// A delivery, without its body.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    /// Row id.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// Unique id in the organisation.
    pub delivery_id: String,
    /// Routing key.
    pub routing_key: String,
    /// Event name as the sender gave it.
    pub event: String,
    /// Action.
    pub action: Option<String>,
    /// Provider.
    pub provider: String,
    /// Repository.
    pub repo: Option<String>,
    /// Branch or tag.
    pub git_ref: Option<String>,
    /// State.
    pub state: String,
    /// Workflows that matched.
    pub matched_count: i32,
    /// The first run.
    pub run_id: Option<Uuid>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it came.
    pub received_at: Time,
    /// Why the body is not kept.
    pub payload_omitted: Option<String>,
    /// Size of the body.
    pub payload_bytes: i32,
    /// SHA-256 of the body.
    pub payload_hash: Vec<u8>,
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only this organisation.
    pub org_id: Option<String>,
    /// Only this routing key.
    pub routing_key: Option<String>,
    /// Only this event.
    pub event: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only this state.
    pub state: Option<String>,
    /// Only from this time on.
    pub from: Option<Time>,
    /// Only before this time.
    pub to: Option<Time>,
    /// Only ids with this in them.
    pub delivery_id: Option<String>,
}

/// A page of deliveries, newest first.
pub async fn delivery_page(
    conn: &mut PgConnection,
    filter: &DeliveryFilter,
    limit: i64,
    offset: i64,
) -> Result<Vec<DeliveryView>, StoreError> {
    sqlx::query_as!(
        DeliveryView,
        r#"SELECT id, org_id, delivery_id, routing_key, event, action, provider, repo, git_ref, state,
                  matched_count, run_id, error_message, received_at AS "received_at: Time",
                  payload_omitted, payload_bytes, payload_hash
             FROM delivery
            WHERE ($1::text IS NULL OR org_id = $1) AND ($2::text IS NULL OR routing_key = $2)
              AND ($3::text IS NULL OR event = $3) AND ($4::text IS NULL OR action = $4)
              AND ($5::text IS NULL OR state = $5)
              AND ($6::timestamptz IS NULL OR received_at >= $6)
              AND ($7::timestamptz IS NULL OR received_at < $7)
              AND ($8::text IS NULL OR strpos(delivery_id, $8) > 0)
            ORDER BY id DESC LIMIT $9 OFFSET $10"#,
        filter.org_id.as_deref(),
        filter.routing_key.as_deref(),
        filter.event.as_deref(),
        filter.action.as_deref(),
        filter.state.as_deref(),
        filter.from as _,
        filter.to as _,
        filter.delivery_id.as_deref(),
        limit,
        offset,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("delivery_page"))
}

/// How many deliveries a filter finds.
pub async fn delivery_count(
    conn: &mut PgConnection,
    filter: &DeliveryFilter,
) -> Result<i64, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM delivery
            WHERE ($1::text IS NULL OR org_id = $1) AND ($2::text IS NULL OR routing_key = $2)
              AND ($3::text IS NULL OR event = $3) AND ($4::text IS NULL OR action = $4)
              AND ($5::text IS NULL OR state = $5)
              AND ($6::timestamptz IS NULL OR received_at >= $6)
              AND ($7::timestamptz IS NULL OR received_at < $7)
              AND ($8::text IS NULL OR strpos(delivery_id, $8) > 0)"#,
        filter.org_id.as_deref(),
        filter.routing_key.as_deref(),
        filter.event.as_deref(),
        filter.action.as_deref(),
        filter.state.as_deref(),
        filter.from as _,
        filter.to as _,
        filter.delivery_id.as_deref(),
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("delivery_count"))
}

/// The delivery with this id; of several with the same id the newest.
pub async fn delivery_get(
    conn: &mut PgConnection,
    org_id: &str,
    delivery_id: &str,
) -> Result<Option<DeliveryView>, StoreError> {
    sqlx::query_as!(
        DeliveryView,
        r#"SELECT id, org_id, delivery_id, routing_key, event, action, provider, repo, git_ref, state,
                  matched_count, run_id, error_message, received_at AS "received_at: Time",
                  payload_omitted, payload_bytes, payload_hash
             FROM delivery
            WHERE org_id = $1 AND delivery_id = $2
            ORDER BY superseded, id DESC LIMIT 1"#,
        org_id,
        delivery_id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("delivery_get"))
}

/// The body of a delivery as it came, with its content type, and its source.
#[derive(Debug, Clone)]
pub struct DeliveryBody {
    /// The source's row.
    pub source_id: Option<Uuid>,
    /// Content type.
    pub content_type: Option<String>,
    /// The bytes; none when they were not kept.
    pub payload: Option<Vec<u8>>,
}

/// Reads the body of a delivery.
pub async fn delivery_body(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<DeliveryBody>, StoreError> {
    sqlx::query_as!(
        DeliveryBody,
        "SELECT source_id, content_type, payload FROM delivery WHERE id = $1",
        id
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("delivery_body"))
}
