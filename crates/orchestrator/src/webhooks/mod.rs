//! Webhook routes: check a delivery, work out its identity, hand it to the inbox, answer.
//!
//! `receive` has the order of the checks; `verify`, `limit`, `identity` and `client_ip` are one check
//! each. Nothing here reads the database: sources are in memory (`crate::sources`), and the only write
//! is the inbox's.

mod answer;
mod client_ip;
mod identity;
mod limit;
mod receive;
mod verify;

use crate::config::Config;
use crate::http::{Access, Routes};
use client_ip::TrustedProxies;
use limit::RateLimits;

/// No webhook body may be larger, whatever its source allows.
const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// State of the webhook routes.
pub(crate) struct Webhooks {
    limits: RateLimits,
    proxies: TrustedProxies,
}

impl Webhooks {
    pub(crate) fn new(config: &Config) -> Webhooks {
        Webhooks {
            limits: RateLimits::default(),
            proxies: TrustedProxies::new(&config.server.trusted_proxies),
        }
    }
}

pub(crate) fn routes() -> Routes {
    Routes::new()
        .post("/webhook/{org_id}/generic/{source_id}", Access::Webhook, receive::generic)
        .body_limit(BODY_LIMIT)
}
