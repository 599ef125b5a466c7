//! The HTTP surface as its users see it: a real orchestrator on a real database, over real sockets.

mod access;
mod bad_input;
mod route_table;
mod runs;
mod server;
mod sources;
mod verification;
mod webhooks;
