//! A stored source as the API shows it.

use kici_model::ids::SourceId;
use kici_protocol::http::sources::{SourceView, VerificationConfig, VerificationMethod};
use kici_protocol::http::time::Timestamp;
use kici_store::Time;
use kici_store::source::SourceRow;
use secrecy::ExposeSecret as _;
use tracing::warn;

use super::source::secret_place;
use crate::secrets::Sealer;

/// Stands for a secret that the caller may not see.
pub(super) const MASK: &str = "***";

/// The view of a row. With `reveal` a sealer opens the secret; else it is masked.
pub(crate) fn view(row: SourceRow, reveal: Option<&Sealer>) -> SourceView {
    let mut config: VerificationConfig =
        serde_json::from_value(row.verification.clone()).unwrap_or_default();
    if let Some(stored) = &row.secret {
        let shown = match reveal {
            None => MASK.to_owned(),
            Some(sealer) => match sealer.open(&secret_place(&row.org_id, row.id), stored) {
                Ok(secret) => secret.expose_secret().to_owned(),
                Err(error) => {
                    warn!(source.id = %row.id, "the secret of source {} cannot be shown: {error}", row.name);
                    MASK.to_owned()
                }
            },
        };
        put_secret(&row.verification_method, &mut config, shown);
    }
    SourceView {
        id: SourceId(row.id),
        customer_id: row.org_id,
        name: row.name,
        routing_key: row.routing_key,
        verification_method: row.verification_method,
        verification_config: config,
        event_type_header: row.event_type_header,
        event_type_path: row.event_type_path,
        idempotency_key_header: row.idempotency_key_header,
        idempotency_key_path: row.idempotency_key_path,
        dedup_window_seconds: row.dedup_window_seconds,
        max_payload_bytes: row.max_payload_bytes,
        allowed_events: row.allowed_events,
        strip_headers: row.strip_headers,
        enabled: row.enabled,
        rate_limit_rpm: row.rate_limit_rpm,
        created_at: timestamp(row.created_at),
        updated_at: timestamp(row.updated_at),
        deleted_at: row.deleted_at.map(timestamp),
        provider_type: row.provider_type,
        git_config: row.local_config.and_then(|config| serde_json::from_value(config).ok()),
    }
}

fn put_secret(method: &str, config: &mut VerificationConfig, shown: String) {
    match VerificationMethod::from_name(method) {
        Some(VerificationMethod::HmacSha256) => config.secret = Some(shown),
        Some(VerificationMethod::BearerToken) => config.token = Some(shown),
        Some(VerificationMethod::ApiKey) => config.key = Some(shown),
        Some(VerificationMethod::IpAllowlist | VerificationMethod::None) | None => {}
    }
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_unix_micros(time.micros())
}
