//! Turns requests to add or change a source into rows.

use std::time::Duration;

use kici_protocol::http::error::ErrorDetail;
use kici_protocol::http::sources::{
    CreateSource, ProviderType, UpdateSource, VerificationConfig, VerificationMethod,
};
use kici_store::Time;
use kici_store::source::{SourceContent, SourceRow};
use secrecy::SecretString;
use uuid::Uuid;

use super::source::secret_place;
use super::validate::{check, check_org, refuse_git};
use super::view::MASK;
use crate::secrets::{NoKey, Sealer};

/// How long a replaced secret stays valid, so that senders can follow.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

const STRIP_HEADERS: [&str; 6] =
    ["authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key", "x-auth-token"];

/// Why a source cannot be as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The request is wrong.
    #[error("Validation error")]
    Invalid(Vec<ErrorDetail>),
    /// The secret cannot be stored.
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

/// A row for a new source.
pub(crate) fn create(
    body: CreateSource,
    id: Uuid,
    sealer: &Sealer,
) -> Result<(ProviderType, SourceContent), ChangeError> {
    let mut wrong = Vec::new();
    check_org(&body.org_id, &mut wrong);
    let kind = match (&body.local_config, body.provider_type) {
        (Some(_), _) => ProviderType::Local,
        (None, Some(ProviderType::Local)) => {
            wrong.push(ErrorDetail::at(
                "localConfig",
                "a local source needs localConfig.repoBasePath",
            ));
            ProviderType::Local
        }
        (None, _) => ProviderType::Generic,
    };
    // A local source is fed by hooks on the same machine, which have no secret to sign with.
    let default = match kind {
        ProviderType::Local => VerificationMethod::None,
        ProviderType::Generic => VerificationMethod::HmacSha256,
    };
    let method = body.verification_method.unwrap_or(default);
    let mut config = body.verification_config.unwrap_or_default();
    let secret = take_secret(method, &mut config);
    if secret.is_none()
        && let Some(field) = secret_field(method)
    {
        wrong.push(ErrorDetail::at(
            &format!("verificationConfig.{field}"),
            format!("{} needs verificationConfig.{field}", method.as_str()),
        ));
    }
    let content = SourceContent {
        name: body.name,
        local_config: body.local_config.as_ref().map(json),
        verification_method: method.as_str().to_owned(),
        verification: json(&config),
        secret: None,
        previous: None,
        event_type_header: body.event_type_header,
        event_type_path: body.event_type_path,
        idempotency_key_header: body.idempotency_key_header,
        idempotency_key_path: body.idempotency_key_path,
        dedup_window_seconds: body.dedup_window_seconds.unwrap_or(300),
        max_payload_bytes: body.max_payload_bytes.unwrap_or(1024 * 1024),
        allowed_events: body.allowed_events,
        strip_headers: body
            .strip_headers
            .unwrap_or_else(|| STRIP_HEADERS.map(str::to_owned).to_vec()),
        rate_limit_rpm: body.rate_limit_rpm.unwrap_or(600),
    };
    refuse_git(body.git_config.as_ref(), &mut wrong);
    check(&content, method, &config, body.local_config.as_ref(), &mut wrong);
    finish(content, wrong, |content| {
        let place = secret_place(&body.org_id, id);
        content.secret = secret.map(|secret| sealer.seal(&place, &secret)).transpose()?;
        Ok(())
    })
    .map(|content| (kind, content))
}

/// The row `old` with what the request changes. A replaced secret stays valid for a day.
pub(crate) fn update(
    old: SourceRow,
    body: UpdateSource,
    sealer: &Sealer,
) -> Result<SourceContent, ChangeError> {
    let mut wrong = Vec::new();
    let stored = VerificationMethod::from_name(&old.verification_method);
    let method = body.verification_method.or(stored).unwrap_or(VerificationMethod::HmacSha256);
    let same_method = Some(method) == stored;
    let mut config = match body.verification_config {
        Some(config) => config,
        None if same_method => serde_json::from_value(old.verification.clone()).unwrap_or_default(),
        None => VerificationConfig::default(),
    };
    let secret = take_secret(method, &mut config);
    if secret.is_none()
        && let Some(field) = secret_field(method)
        && !(same_method && old.secret.is_some())
    {
        wrong.push(ErrorDetail::at(
            &format!("verificationConfig.{field}"),
            format!("{} needs verificationConfig.{field}", method.as_str()),
        ));
    }
    let local = match (&body.local_config, &old.local_config) {
        (Some(_), None) => {
            wrong.push(ErrorDetail::at("localConfig", "this source is not a local one"));
            None
        }
        (Some(local), Some(_)) => Some(json(local)),
        (None, stored) => stored.clone(),
    };
    let kept_previous = old
        .previous_secret
        .clone()
        .zip(old.previous_until)
        .filter(|(_, until)| same_method && *until > now());
    let content = SourceContent {
        name: body.name.unwrap_or(old.name),
        local_config: local,
        verification_method: method.as_str().to_owned(),
        verification: json(&config),
        secret: old.secret.clone().filter(|_| same_method),
        previous: kept_previous,
        event_type_header: body.event_type_header.unwrap_or(old.event_type_header),
        event_type_path: body.event_type_path.unwrap_or(old.event_type_path),
        idempotency_key_header: body.idempotency_key_header.unwrap_or(old.idempotency_key_header),
        idempotency_key_path: body.idempotency_key_path.unwrap_or(old.idempotency_key_path),
        dedup_window_seconds: body.dedup_window_seconds.unwrap_or(old.dedup_window_seconds),
        max_payload_bytes: body.max_payload_bytes.unwrap_or(old.max_payload_bytes),
        allowed_events: body.allowed_events.unwrap_or(old.allowed_events),
        strip_headers: body.strip_headers.unwrap_or(old.strip_headers),
        rate_limit_rpm: body.rate_limit_rpm.unwrap_or(old.rate_limit_rpm),
    };
    refuse_git(body.git_config.as_ref(), &mut wrong);
    check(&content, method, &config, body.local_config.as_ref(), &mut wrong);
    finish(content, wrong, |content| {
        if let Some(secret) = secret {
            let until = Time::from_millis(now().millis() + GRACE.as_millis() as i64);
            content.previous = content.secret.take().map(|replaced| (replaced, until));
            content.secret = Some(sealer.seal(&secret_place(&old.org_id, old.id), &secret)?);
        }
        Ok(())
    })
}

fn finish(
    mut content: SourceContent,
    wrong: Vec<ErrorDetail>,
    seal: impl FnOnce(&mut SourceContent) -> Result<(), NoKey>,
) -> Result<SourceContent, ChangeError> {
    if !wrong.is_empty() {
        return Err(ChangeError::Invalid(wrong));
    }
    seal(&mut content)?;
    Ok(content)
}

/// Takes the secret out of what is stored in clear. Only the field of the method counts.
fn take_secret(
    method: VerificationMethod,
    config: &mut VerificationConfig,
) -> Option<SecretString> {
    let (secret, token, key) = (config.secret.take(), config.token.take(), config.key.take());
    match method {
        VerificationMethod::HmacSha256 => secret,
        VerificationMethod::BearerToken => token,
        VerificationMethod::ApiKey => key,
        VerificationMethod::IpAllowlist | VerificationMethod::None => None,
    }
    // The mask is what a reader without the right to reveal was shown, sent back.
    .filter(|secret| !secret.is_empty() && secret != MASK)
    .map(SecretString::from)
}

fn secret_field(method: VerificationMethod) -> Option<&'static str> {
    match method {
        VerificationMethod::HmacSha256 => Some("secret"),
        VerificationMethod::BearerToken => Some("token"),
        VerificationMethod::ApiKey => Some("key"),
        VerificationMethod::IpAllowlist | VerificationMethod::None => None,
    }
}

fn json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("a plain struct with text keys")
}

fn now() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}
