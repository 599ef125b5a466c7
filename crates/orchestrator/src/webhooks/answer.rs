//! Every answer of the webhook routes, with the status and the words that senders know.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kici_protocol::http::webhook::{Accepted, Rejected};
use serde_json::json;

/// What is said to the sender of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Recorded; the work is done from the table.
    Accepted { delivery_id: String },
    /// Recorded before.
    Duplicate { delivery_id: String },
    /// The source does not want this event.
    Filtered { event: String },
    /// No such source, or one that is disabled, removed or another organisation's: all the same.
    UnknownSource,
    /// Larger than the source allows.
    TooLarge { most: usize },
    /// The source cannot check its deliveries.
    Misconfigured,
    /// The check failed.
    InvalidSignature,
    /// Too many in a minute.
    RateLimited { retry_after_s: u64 },
    /// The body or a header is not what the source needs.
    Unusable { why: &'static str },
    /// Cannot be recorded at the moment; the sender should come again.
    Busy { why: &'static str },
    /// Not the sender's fault.
    Internal,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Accepted { delivery_id } => accepted(StatusCode::ACCEPTED, |body| {
                body.delivery_id = Some(delivery_id);
            }),
            Answer::Duplicate { delivery_id } => accepted(StatusCode::OK, |body| {
                body.delivery_id = Some(delivery_id);
                body.duplicate = true;
            }),
            Answer::Filtered { event } => accepted(StatusCode::OK, |body| {
                body.status = Some("filtered".into());
                body.reason = Some(format!("Event '{event}' not in allowed list"));
            }),
            Answer::UnknownSource => rejected(StatusCode::NOT_FOUND, "Unknown source", None),
            Answer::TooLarge { most } => {
                rejected(StatusCode::PAYLOAD_TOO_LARGE, "Payload too large", Some(most as u64))
            }
            Answer::Misconfigured => rejected(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Source verification misconfigured",
                None,
            ),
            Answer::InvalidSignature => {
                rejected(StatusCode::UNAUTHORIZED, "Invalid signature", None)
            }
            Answer::RateLimited { retry_after_s } => {
                let response = rejected(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded", None);
                later(retry_after_s, response)
            }
            Answer::Unusable { why } => rejected(StatusCode::BAD_REQUEST, why, None),
            Answer::Busy { why } => later(1, rejected(StatusCode::SERVICE_UNAVAILABLE, why, None)),
            Answer::Internal => {
                let body = json!({ "error": "Internal server error" });
                (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
            }
        }
    }
}

fn accepted(status: StatusCode, fill: impl FnOnce(&mut Accepted)) -> Response {
    let mut body = Accepted {
        accepted: true,
        delivery_id: None,
        duplicate: false,
        status: None,
        reason: None,
    };
    fill(&mut body);
    (status, Json(body)).into_response()
}

fn rejected(status: StatusCode, reason: &str, max_bytes: Option<u64>) -> Response {
    (status, Json(Rejected { rejected: true, reason: reason.into(), max_bytes })).into_response()
}

fn later(seconds: u64, mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}
