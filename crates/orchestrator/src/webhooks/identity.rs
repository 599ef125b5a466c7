//! What a delivery is called: its event's name and its id.

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::sources::{Source, ValuePath};

/// A longer raw id is replaced by its hash.
const LONGEST_ID: usize = 200;
const DEFAULT_EVENT: &str = "default";

/// The name and the id of one delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) event: String,
    /// Unique for this source.
    pub(super) raw_id: String,
    /// The id is the sender's idempotency key: it counts for as long as the source says.
    pub(super) keyed: bool,
}

/// Reads both. The body is parsed only if the source looks into it.
pub(super) fn identify(source: &Source, headers: &HeaderMap, body: &[u8]) -> Identity {
    let mut parsed: Option<Option<Value>> = None;
    let mut in_body = |path: &Option<ValuePath>| -> Option<String> {
        let path = path.as_ref()?;
        let body = parsed.get_or_insert_with(|| serde_json::from_slice(body).ok()).as_ref()?;
        path.text(body).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let configured = |name: &Option<HeaderName>| {
        let name = name.as_ref()?;
        text(headers, name.as_str())
    };
    let event = configured(&source.event_type_header)
        .or_else(|| in_body(&source.event_type_path))
        .or_else(|| text(headers, "x-event-type"))
        .unwrap_or_else(|| DEFAULT_EVENT.to_owned());
    let key = configured(&source.idempotency_key_header)
        .or_else(|| in_body(&source.idempotency_key_path))
        .or_else(|| text(headers, "x-idempotency-key"))
        .or_else(|| text(headers, "x-delivery-id"));
    let keyed = key.is_some();
    let raw_id =
        key.or_else(|| text(headers, "x-request-id")).unwrap_or_else(|| Uuid::new_v4().to_string());
    Identity { event, raw_id: bounded(raw_id), keyed }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn bounded(raw_id: String) -> String {
    if raw_id.chars().count() <= LONGEST_ID {
        return raw_id;
    }
    format!("sha256-{}", hex::encode(Sha256::digest(raw_id.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_ids_are_hashed_and_short_ones_stay() {
        assert_eq!(bounded("x".repeat(200)), "x".repeat(200));
        let long = bounded("x".repeat(201));
        assert_eq!(long.len(), 7 + 64);
        assert_ne!(long, bounded("x".repeat(202)));
    }
}
