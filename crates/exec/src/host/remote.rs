//! Host methods that whoever drives the job has to answer: events, caches, the API.

use std::time::Duration;

use kici_workflow::engine::HostError;
use serde_json::{Value, json};

use super::error;
use crate::context::Context;
use crate::scope::Scope;

const EMIT: Duration = Duration::from_secs(5);
const API: Duration = Duration::from_secs(15);
const CACHE: Duration = Duration::from_secs(30);

/// `ctx.emit`.
pub(super) async fn emit(context: &Context, params: Value) -> Result<Value, HostError> {
    context
        .requests
        .ask("emit", params, EMIT)
        .await
        .map_err(|cause| error(format!("Event emission failed: {cause}")))
}

/// `ctx.kici.*`.
pub(super) async fn api(context: &Context, params: Value) -> Result<Value, HostError> {
    let method = params.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
    let result = context
        .requests
        .ask("api", params, API)
        .await
        .map_err(|cause| error(format!("{method}: {cause}")))?;
    if let Some(token) = result.get("token").and_then(Value::as_str) {
        context.masker.add([token]);
    }
    Ok(result)
}

/// `ctx.cache.restore`: a cache that cannot be reached is a miss.
pub(super) async fn cache_restore(context: &Context, scope: &Scope, params: Value) -> Value {
    match context.requests.ask("cache.restore", params, CACHE).await {
        Ok(result) => result,
        Err(cause) => {
            scope.note(&format!("cache restore: {cause}; treated as a miss"));
            json!({ "hit": false })
        }
    }
}

/// `ctx.cache.save`: never fails the job.
pub(super) async fn cache_save(context: &Context, scope: &Scope, params: Value) -> Value {
    if let Err(cause) = context.requests.ask("cache.save", params, CACHE).await {
        scope.note(&format!("cache save skipped: {cause}"));
    }
    Value::Null
}
