//! What surrounds every request: an id, a body limit and one log line.

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tracing::{debug, error, info};
use uuid::Uuid;

use crate::app::App;
use crate::audit::Watched;

/// No body may be larger, whatever the route.
const BODY_LIMIT: usize = 25 * 1024 * 1024;

/// A longer id of a client is replaced.
const LONGEST_ID: usize = 128;

/// Put into a response that hides why it is a 500; the log gets it, with the request's id.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) String);

/// Wraps the whole service.
pub(super) fn around(router: Router, app: App) -> Router {
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 Not Found") })
        .method_not_allowed_fallback(|| async { (StatusCode::NOT_FOUND, "404 Not Found") })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(move |request, next| one(app.clone(), request, next)))
}

async fn one(app: App, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|b| b.is_ascii_graphic())
        })
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let watched = Watched::begin(&mut request, app.config.server.base_path.as_str());
    // Declared too large: answer before reading, whether or not the handler would read the body.
    let declared = request
        .headers()
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut response = if declared.is_some_and(|bytes| bytes > BODY_LIMIT as u64) {
        (StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large").into_response()
    } else {
        plain_too_large(next.run(request).await)
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    if let Some(watched) = watched {
        watched.end(&app.audit, &id, &mut response);
    }
    if let Some(Failure(why)) = response.extensions_mut().remove() {
        error!(request.id = %id, %method, path, "request failed: {why}");
    }
    let status = response.status().as_u16();
    let duration_ms = started.elapsed().as_millis() as u64;
    app.metrics.request(status);
    // Accepted deliveries have their own line with their id; one more each would double the log.
    if matches!(path.rsplit('/').next(), Some("health" | "ready" | "metrics")) {
        debug!(request.id = %id, %method, path, status, duration_ms, "request completed");
    } else {
        info!(request.id = %id, %method, path, status, duration_ms, "request completed");
    }
    response
}

/// The framework's own text for a body over the limit, replaced by the one that clients know.
fn plain_too_large(response: Response) -> Response {
    let json = response
        .headers()
        .get(axum::http::header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !json {
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::from("Payload Too Large"));
    }
    response
}
