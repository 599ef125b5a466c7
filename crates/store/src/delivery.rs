//! Deliveries: the durable inbox and the event log in one table.
//!
//! A row with `due_at` has work to do; `owner` is the orchestrator that holds it until then. Rows enter already
//! leased to the process that took them, which keeps them in memory, so that the usual way costs one insert and
//! one update. Whatever is left behind comes out of [`delivery_claim`].

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// A delivery to be recorded.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Row id, time-ordered.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// The id that makes it unique in the organisation.
    pub delivery_id: String,
    /// `generic:<org>:<source>`, `github:<app>`, …
    pub routing_key: String,
    /// `generic`, `local`, `github`.
    pub provider: String,
    /// The source's row.
    pub source_id: Option<Uuid>,
    /// Event name as the sender gave it.
    pub event: String,
    /// Action, when known already.
    pub action: Option<String>,
    /// Content type of the body.
    pub content_type: Option<String>,
    /// The body; none when it was too large to keep.
    pub payload: Option<Vec<u8>>,
    /// Its size.
    pub payload_bytes: i32,
    /// SHA-256 of the raw body.
    pub payload_hash: Vec<u8>,
    /// Why the body is missing.
    pub payload_omitted: Option<String>,
    /// How long the same id is a duplicate.
    pub dedup_window: Duration,
    /// Who works on it first; `None` leaves it to the next claim.
    pub lease: Option<(i32, Duration)>,
    /// False for what is only recorded (a ping).
    pub evaluate: bool,
}

/// A delivery with its payload, as it is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Row id.
    pub id: Uuid,
    /// The organisation.
    pub org_id: String,
    /// Unique id in the organisation.
    pub delivery_id: String,
    /// Routing key.
    pub routing_key: String,
    /// Provider.
    pub provider: String,
    /// The source's row.
    pub source_id: Option<Uuid>,
    /// Event name as the sender gave it.
    pub event: String,
    /// Content type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub payload: Option<Vec<u8>>,
    /// Tries so far, this one included.
    pub attempts: i16,
    /// When it came.
    pub received_at: Time,
}

/// What became of an id that was already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is this very row: an earlier try to insert it was committed although its answer was lost.
    Inserted,
    /// It is a duplicate.
    Duplicate,
    /// It had failed; it is due again.
    Requeued,
    /// Its window is over; the id may be inserted again.
    Expired,
}

/// Records deliveries; those whose id is taken are left out. Answers the ids of the rows that went in.
pub async fn delivery_insert(
    conn: &mut PgConnection,
    rows: &[DeliveryRow],
) -> Result<Vec<Uuid>, StoreError> {
    let n = rows.len();
    let mut id = Vec::with_capacity(n);
    let (mut org, mut delivery, mut routing, mut provider) = (vec![], vec![], vec![], vec![]);
    let (mut source, mut event, mut action, mut content) = (vec![], vec![], vec![], vec![]);
    let (mut payload, mut bytes, mut hash, mut omitted) = (vec![], vec![], vec![], vec![]);
    let (mut due, mut owner, mut window, mut attempts) = (vec![], vec![], vec![], vec![]);
    for row in rows {
        id.push(row.id);
        org.push(row.org_id.as_str());
        delivery.push(row.delivery_id.as_str());
        routing.push(row.routing_key.as_str());
        provider.push(row.provider.as_str());
        source.push(row.source_id);
        event.push(row.event.as_str());
        action.push(row.action.as_deref());
        content.push(row.content_type.as_deref());
        payload.push(row.payload.as_deref());
        bytes.push(row.payload_bytes);
        hash.push(row.payload_hash.as_slice());
        omitted.push(row.payload_omitted.as_deref());
        due.push(row.evaluate.then(|| row.lease.map_or(0.0, |(_, time)| time.as_secs_f64())));
        owner.push(row.lease.map_or(0, |(owner, _)| owner));
        attempts.push(i16::from(row.lease.is_some()));
        window.push(row.dedup_window.as_secs_f64());
    }
    sqlx::query_scalar!(
        "INSERT INTO delivery (id, org_id, delivery_id, routing_key, provider, source_id, event, action,
                content_type, payload, payload_bytes, payload_hash, payload_omitted, state, due_at, owner,
                attempts, dedup_until)
         SELECT id, org, delivery, routing, provider, source, event, action, content, payload, bytes, hash,
                omitted, 'received', now() + make_interval(secs => due), owner, attempts,
                now() + make_interval(secs => dedup)
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                $8::text[], $9::text[], $10::bytea[], $11::int4[], $12::bytea[], $13::text[], $14::float8[],
                $15::int4[], $16::int2[], $17::float8[])
             AS t (id, org, delivery, routing, provider, source, event, action, content, payload, bytes, hash,
                omitted, due, owner, attempts, dedup)
         ON CONFLICT (org_id, delivery_id) WHERE NOT superseded DO NOTHING
         RETURNING id",
        &id,
        &org as _,
        &delivery as _,
        &routing as _,
        &provider as _,
        &source as _,
        &event as _,
        &action as _,
        &content as _,
        &payload as _,
        &bytes,
        &hash as _,
        &omitted as _,
        &due as _,
        &owner,
        &attempts,
        &window,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("delivery_insert"))
}

/// Looks at an id that [`delivery_insert`] left out, and makes a failed one due again.
pub async fn delivery_known(
    conn: &mut PgConnection,
    org: &str,
    delivery: &str,
    row_id: Uuid,
) -> Result<Known, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, state, dedup_until < now() AS "expired!" FROM delivery
            WHERE org_id = $1 AND delivery_id = $2 AND NOT superseded FOR UPDATE"#,
        org,
        delivery,
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::in_call("delivery_known"))?;
    let Some(row) = row else { return Ok(Known::Expired) };
    if row.id == row_id {
        return Ok(Known::Inserted);
    }
    if row.state == "failed" {
        sqlx::query!(
            "UPDATE delivery SET state = 'received', due_at = now(), owner = 0, attempts = 0, error_message = NULL
              WHERE id = $1",
            row.id,
        )
        .execute(conn)
        .await
        .map_err(StoreError::in_call("delivery_known"))?;
        return Ok(Known::Requeued);
    }
    if row.expired {
        sqlx::query!("UPDATE delivery SET superseded = true WHERE id = $1", row.id)
            .execute(conn)
            .await
            .map_err(StoreError::in_call("delivery_known"))?;
        return Ok(Known::Expired);
    }
    Ok(Known::Duplicate)
}

/// Takes up to `limit` deliveries that are due, oldest first, for `lease`.
pub async fn delivery_claim(
    conn: &mut PgConnection,
    owner: i32,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Claimed>, StoreError> {
    sqlx::query_as!(
        Claimed,
        r#"WITH due AS (
               SELECT id FROM delivery WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
           UPDATE delivery d SET due_at = now() + make_interval(secs => $3), owner = $1, attempts = attempts + 1
             FROM due WHERE d.id = due.id
        RETURNING d.id, d.org_id, d.delivery_id, d.routing_key, d.provider, d.source_id, d.event, d.content_type,
                  d.payload, d.attempts, d.received_at AS "received_at: Time""#,
        owner,
        limit,
        lease.as_secs_f64(),
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("delivery_claim"))
}

/// Makes due what was leased by these orchestrators, which are gone. Answers how many.
pub async fn delivery_reclaim(conn: &mut PgConnection, gone: &[i32]) -> Result<u64, StoreError> {
    sqlx::query!(
        "UPDATE delivery SET due_at = now(), owner = 0 WHERE due_at > now() AND owner = ANY($1)",
        gone,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("delivery_reclaim"))
}

/// How a delivery was settled.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The row.
    pub id: Uuid,
    /// `received` (nothing to evaluate), `processed`, `lockfile_missing`, `lockfile_corrupt` or `failed`.
    pub state: &'static str,
    /// Workflows that matched.
    pub matched: i32,
    /// The first run made.
    pub run: Option<Uuid>,
    /// What went wrong.
    pub error: Option<String>,
    /// The repository, as the payload names it.
    pub repo: Option<String>,
    /// The ref.
    pub git_ref: Option<String>,
    /// The action.
    pub action: Option<String>,
}

/// Records how deliveries were settled. One that is settled already stays as it is.
pub async fn delivery_settle(
    conn: &mut PgConnection,
    settled: &[Settled],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = settled.iter().map(|s| s.id).collect();
    let state: Vec<&str> = settled.iter().map(|s| s.state).collect();
    let matched: Vec<i32> = settled.iter().map(|s| s.matched).collect();
    let run: Vec<Option<Uuid>> = settled.iter().map(|s| s.run).collect();
    let error: Vec<Option<&str>> = settled.iter().map(|s| s.error.as_deref()).collect();
    let repo: Vec<Option<&str>> = settled.iter().map(|s| s.repo.as_deref()).collect();
    let git_ref: Vec<Option<&str>> = settled.iter().map(|s| s.git_ref.as_deref()).collect();
    let action: Vec<Option<&str>> = settled.iter().map(|s| s.action.as_deref()).collect();
    sqlx::query!(
        "UPDATE delivery d
            SET state = t.state, due_at = NULL, matched_count = t.matched, run_id = t.run,
                error_message = t.error, repo = t.repo, git_ref = t.git_ref, action = coalesce(t.action, d.action)
           FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                $8::text[]) AS t (id, state, matched, run, error, repo, git_ref, action)
          WHERE d.id = t.id AND d.due_at IS NOT NULL",
        &id,
        &state as _,
        &matched,
        &run as _,
        &error as _,
        &repo as _,
        &git_ref as _,
        &action as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("delivery_settle"))?;
    Ok(())
}

/// Puts off a delivery that could not be processed now.
pub async fn delivery_retry(
    conn: &mut PgConnection,
    id: Uuid,
    delay: Duration,
    error: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE delivery SET due_at = now() + make_interval(secs => $2), owner = 0, error_message = $3
          WHERE id = $1 AND due_at IS NOT NULL",
        id,
        delay.as_secs_f64(),
        error,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("delivery_retry"))?;
    Ok(())
}

/// The payload of a delivery and how to read it, for a job that is about to be sent.
pub async fn delivery_claimed(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Claimed>, StoreError> {
    sqlx::query_as!(
        Claimed,
        r#"SELECT id, org_id, delivery_id, routing_key, provider, source_id, event, content_type, payload, attempts,
                  received_at AS "received_at: Time" FROM delivery WHERE id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("delivery_claimed"))
}
