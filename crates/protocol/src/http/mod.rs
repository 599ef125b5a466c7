//! Bodies and views of the HTTP API: what handlers take and give, and what the typed client reads.
//!
//! One file per subject of the API. Rows of the database never leave the server; handlers turn them
//! into these views. Field names are the wire names: most subjects use camelCase, a few older ones
//! (tokens, generic sources, held runs) snake_case.

pub mod access_log;
pub mod agent_tokens;
pub mod agents;
pub mod db;
pub mod deliveries;
pub mod error;
pub mod fleet;
pub mod follow;
pub mod holds;
pub mod org_settings;
pub mod page;
pub mod queue;
pub mod retention;
pub mod runs;
pub mod service;
pub mod sources;
pub mod time;
pub mod tokens;
pub mod untrusted;
pub mod webhook;
