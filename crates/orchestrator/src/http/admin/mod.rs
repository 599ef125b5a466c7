//! The admin API. Handlers extract, authorise, call and view; what they call is the subject's own module.
//!
//! `error` is the one road to a status code, `input` reads bodies, queries and ids. A handler that takes
//! a `Caller` has the permission of its route checked before it runs (`crate::access`).

mod access_log;
mod agent_tokens;
mod agents;
mod db;
mod deliveries;
mod error;
mod fleet;
mod follow;
mod holds;
mod input;
mod logs;
mod org_settings;
mod queue;
mod rerun;
mod retention;
mod run_view;
mod runs;
mod service;
mod sources;
mod structured;
mod tokens;

use axum::http::StatusCode;
use kici_protocol::http::time::Timestamp;
use kici_store::Time;

use crate::access::Caller;
use crate::http::{Access, Routes};
pub(crate) use error::ApiError;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(service::routes())
        .merge(tokens::routes())
        .merge(agent_tokens::routes())
        .merge(agents::routes())
        .merge(fleet::routes())
        .merge(sources::routes())
        .merge(runs::routes())
        .merge(holds::routes())
        .merge(queue::routes())
        .merge(rerun::routes())
        .merge(access_log::routes())
        .merge(org_settings::routes())
        .merge(logs::routes())
        .merge(follow::routes())
        .merge(deliveries::routes())
        .merge(db::routes())
        .merge(retention::routes())
        .any("/api/v1/admin/{*path}", Access::AnyToken, unknown)
}

/// Strangers do not learn which routes there are.
async fn unknown(_: Caller) -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 Not Found")
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_unix_micros(time.micros())
}
