//! One delivery, from its bytes to its answer: the order of the checks.
//!
//! A delivery is checked before it counts against the source's share, and answered only after its
//! commit. What it means is worked out later, from the table.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use tracing::{error, warn};

use super::answer::Answer;
use super::identity::identify;
use super::verify::{Verdict, verify};
use crate::app::App;
use crate::forge::check_name;
use crate::inbox::{self, AcceptError, Accepted, NewDelivery};
use crate::logging::Chain;
use crate::sources::{Kind, Source};

/// How long an id counts as seen when the sender gave no idempotency key.
const DEDUP: Duration = Duration::from_secs(24 * 60 * 60);

/// Takes a delivery of a generic or local source.
pub(super) async fn generic(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((org_id, source_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        // Too large for any source, known or not; or the sender hung up.
        Err(refused) => return refused.into_response(),
    };
    let Some(source) = app.sources.addressed(&org_id, &source_id) else {
        return Answer::UnknownSource.into_response();
    };
    let answer = match admit(&app, &source, peer, &headers, &body) {
        Ok(event) => record(&app, &source, &headers, event, body).await,
        Err(refusal) => refusal,
    };
    answer.into_response()
}

/// All that can be decided without writing; gives the delivery's name and id.
fn admit(
    app: &App,
    source: &Source,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<super::identity::Identity, Answer> {
    if body.len() > source.max_payload {
        return Err(Answer::TooLarge { most: source.max_payload });
    }
    let client = app.webhooks.proxies.client(peer, headers);
    match verify(&source.check, headers, body, client, Timestamp::now()) {
        Verdict::Genuine => {}
        Verdict::Forged => {
            app.metrics.webhook_received("generic", "unknown");
            warn!(source.id = %source.id, %client, "delivery to source {} refused: it is not genuine", source.name);
            return Err(Answer::InvalidSignature);
        }
        Verdict::Misconfigured => {
            error!(source.id = %source.id, "delivery to source {} refused: its check is not usable", source.name);
            return Err(Answer::Misconfigured);
        }
    }
    app.webhooks
        .limits
        .take(source.id, source.rate_limit, Instant::now())
        .map_err(|retry_after_s| Answer::RateLimited { retry_after_s })?;
    let identity = identify(source, headers, body);
    match source.kind {
        Kind::Local { .. } => check_local(headers, body)?,
        Kind::Generic => {
            if !source.allowed_events.is_empty() && !source.allowed_events.contains(&identity.event)
            {
                return Err(Answer::Filtered { event: identity.event });
            }
        }
    }
    app.metrics.webhook_received("generic", &identity.event);
    Ok(identity)
}

async fn record(
    app: &App,
    source: &Source,
    headers: &HeaderMap,
    identity: super::identity::Identity,
    body: Bytes,
) -> Answer {
    let delivery_id = format!("{}:{}", source.routing_key, identity.raw_id);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let delivery = NewDelivery {
        org_id: source.org_id.clone(),
        delivery_id: delivery_id.clone(),
        routing_key: source.routing_key.clone(),
        provider: source.kind.provider().to_owned(),
        source_id: Some(source.id.0),
        event: identity.event,
        action: None,
        content_type: content_type.map(str::to_owned),
        body,
        dedup_window: if identity.keyed { source.dedup_window } else { DEDUP },
        evaluate: true,
    };
    match inbox::accept(app, delivery).await {
        Ok(Accepted::New) => Answer::Accepted { delivery_id },
        Ok(Accepted::Duplicate) => Answer::Duplicate { delivery_id },
        Err(AcceptError::Busy) => Answer::Busy { why: "Too many deliveries at once" },
        Err(AcceptError::Stopping) => Answer::Busy { why: "The orchestrator is stopping" },
        Err(failure @ AcceptError::Store(_)) => {
            error!(delivery.id = %delivery_id, "{}", Chain(&failure));
            Answer::Internal
        }
    }
}

/// What a local source needs: a JSON object that names a repository inside its folder, and the
/// event's name in a header.
fn check_local(headers: &HeaderMap, body: &[u8]) -> Result<(), Answer> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow, default)]
        repository: Option<PeekRepository<'a>>,
    }
    #[derive(Deserialize)]
    struct PeekRepository<'a> {
        #[serde(borrow, default)]
        full_name: Option<std::borrow::Cow<'a, str>>,
    }
    // A list would read as a struct by position.
    let object = body.trim_ascii_start().first() == Some(&b'{');
    let peek = serde_json::from_slice::<Peek<'_>>(body).ok().filter(|_| object);
    let Some(peek) = peek else {
        return Err(Answer::Unusable { why: "Local source requires JSON body" });
    };
    if headers.get("x-event-type").is_none_or(|value| value.as_bytes().trim_ascii().is_empty()) {
        return Err(Answer::Unusable { why: "Missing x-event-type header for local source" });
    }
    // Names in other forms are looked for later; one that leads elsewhere never gets that far.
    match peek.repository.and_then(|repository| repository.full_name) {
        Some(name) if check_name(&name).is_err() => {
            Err(Answer::Unusable { why: "Repository name leads out of the local source" })
        }
        Some(_) | None => Ok(()),
    }
}
