//! Requests as entries of the access log.

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use kici_store::access_log::AccessRow;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::actions::action;
use super::write::Audit;
use crate::access::Caller;

/// Error texts are kept up to this length.
const LONGEST: usize = 500;

/// Put into a response that refuses something: why, in the words of its body.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(pub(crate) String);

/// Travels with a request and takes who it came from, once that is known.
#[derive(Debug, Default)]
pub(crate) struct Slot(OnceLock<Actor>);

#[derive(Debug)]
struct Actor {
    id: String,
    meta: Option<String>,
    routing_key: Option<String>,
    known: bool,
}

impl Slot {
    /// The token works.
    pub(crate) fn caller(&self, caller: &Caller) {
        let meta = json!({ "label": caller.label(), "role": caller.role() }).to_string();
        let actor = Actor {
            id: caller.token().to_string(),
            meta: Some(meta),
            routing_key: caller.routing_key().map(str::to_owned),
            known: true,
        };
        let _first = self.0.set(actor);
    }

    /// A token that does not: of it, only the beginning of its hash is kept.
    pub(crate) fn unknown(&self, presented: &str) {
        let hash = Sha256::digest(presented.as_bytes());
        let id: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let _first = self.0.set(Actor {
            id: format!("sha256:{id}"),
            meta: None,
            routing_key: None,
            known: false,
        });
    }
}

/// What has to be known of a request before it is handled.
pub(crate) struct Watched {
    slot: Arc<Slot>,
    method: Method,
    route: String,
    path: String,
    cli: bool,
}

impl Watched {
    /// Prepares a request of the admin API; nothing for others.
    pub(crate) fn begin(request: &mut Request, base: &str) -> Option<Watched> {
        let route = request.extensions().get::<MatchedPath>()?.as_str();
        let route = route.strip_prefix(base).unwrap_or(route).to_owned();
        let path = request.uri().path();
        let path = path.strip_prefix(base).unwrap_or(path).to_owned();
        let method = request.method().clone();
        action(&method, &route)?;
        let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let cli = agent.is_some_and(|agent| agent.starts_with("kici/"));
        let slot = Arc::new(Slot::default());
        request.extensions_mut().insert(Arc::clone(&slot));
        Some(Watched { slot, method, route, path, cli })
    }

    /// Writes down what came of it, if it is to be.
    pub(crate) fn end(self, audit: &Audit, request_id: &str, response: &mut Response) {
        let refusal = response.extensions_mut().remove::<Refusal>();
        let Some(action) = action(&self.method, &self.route) else { return };
        let outcome = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "denied",
            status if status.is_client_error() || status.is_server_error() => "error",
            _ => "allowed",
        };
        let actor = self.slot.0.get();
        let actor_id = actor.map_or("none", |actor| actor.id.as_str());
        if outcome == "allowed" && !kept(&format!("api_key:{actor_id}|{request_id}"), action.rate) {
            return;
        }
        // Reads that ask for what is not there are no news.
        if outcome == "error" && self.method == Method::GET {
            return;
        }
        let row = AccessRow {
            id: Uuid::now_v7(),
            org_id: None,
            routing_key: actor.and_then(|actor| actor.routing_key.clone()),
            actor_type: "api_key".to_owned(),
            actor_id: actor_id.to_owned(),
            actor_meta: actor.and_then(|actor| actor.meta.clone()),
            action: action.name,
            target_type: action.target,
            target_id: target(&self.route, &self.path),
            request_id: Some(request_id.to_owned()),
            source: if self.cli { "admin_cli" } else { "admin_http" }.to_owned(),
            outcome: outcome.to_owned(),
            error_message: refusal.map(|Refusal(text)| text.chars().take(LONGEST).collect()),
        };
        if actor.is_some_and(|actor| actor.known) {
            audit.write(row);
        } else {
            audit.write_of_stranger(row);
        }
    }
}

/// The value of the first parameter.
fn target(route: &str, path: &str) -> Option<String> {
    let mut parts = route.split('/').zip(path.split('/'));
    let value = parts.find(|(name, _)| name.starts_with('{')).map(|(_, value)| value)?;
    Some(value.replace('\0', "").chars().take(LONGEST).collect())
}

/// Whether one of many is kept: the same request always gives the same answer.
fn kept(seed: &str, rate: f64) -> bool {
    let hash = seed
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    f64::from(hash) / 4_294_967_296.0 < rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_share_and_everything_is_everything() {
        let seeds: Vec<String> = (0..10_000).map(|n| format!("api_key:t|request-{n}")).collect();
        let of = |rate: f64| seeds.iter().filter(|seed| kept(seed, rate)).count();
        assert_eq!((of(0.0), of(1.0)), (0, 10_000));
        assert!((300..700).contains(&of(0.05)), "{}", of(0.05));
        // The published test value of 32-bit FNV-1a.
        assert!(kept("a", f64::from(0xe40c_292c_u32) / 4_294_967_296.0 + 1e-9));
        assert!(!kept("a", f64::from(0xe40c_292c_u32) / 4_294_967_296.0));
    }

    #[test]
    fn the_target_is_the_first_parameter() {
        let route = "/api/v1/admin/runs/{id}/jobs/{job_id}/steps/{step}/logs";
        let path = "/api/v1/admin/runs/r1/jobs/j1/steps/0/logs";
        assert_eq!(target(route, path).as_deref(), Some("r1"));
        assert_eq!(target("/api/v1/admin/tokens", "/api/v1/admin/tokens"), None);
    }
}
