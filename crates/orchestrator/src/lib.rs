//! The orchestrator: takes deliveries, makes runs, gives jobs to agents and keeps their state.
//!
//! One delivery's way: `webhooks` verifies it and hands it to `inbox`, which answers after its commit. From the
//! table, `inbox` asks `forge` what happened and for the lock file, matches triggers and makes runs (`runs`).
//! Jobs whose needs are met are given to agents (`dispatch`) over their sockets (`agents`); what agents report
//! is settled by `jobs` and `logs`. What waits for people is in `holds`, who did what in `audit`,
//! log bundles of all agents in `fleet`. `reconcile` repairs whatever was left half done.

pub mod app;
pub mod config;
pub mod http;

pub(crate) mod access;
pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod dispatch;
pub(crate) mod fleet;
pub(crate) mod forge;
pub(crate) mod holds;
pub(crate) mod inbox;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod reconcile;
pub(crate) mod runs;
pub(crate) mod secrets;
mod slots;
pub(crate) mod sources;
pub(crate) mod webhooks;

pub mod logging;

pub use app::App;
pub use config::Config;
pub use http::{Server, Start, StartError};
