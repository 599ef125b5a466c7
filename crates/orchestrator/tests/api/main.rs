//! The HTTP surface as its users see it: a real orchestrator on a real database, over real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests themselves")]

mod access;
mod access_log;
mod bad_input;
mod org_settings;
mod route_table;
mod runs;
mod server;
mod sources;
mod verification;
mod webhooks;
