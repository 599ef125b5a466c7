//! A typed client of the orchestrator, for the command lines and tests.
//!
//! [`Client`] has one method for each request; the files are the subjects of the API. [`Follow`]
//! streams the events of a run, and [`live`] turns them into lines for a terminal.

mod access_log;
mod agents;
mod db;
mod deliveries;
mod error;
mod fleet;
mod follow;
mod holds;
pub mod live;
mod org_settings;
mod queue;
mod request;
mod retention;
mod runs;
mod service;
mod sources;
mod tokens;
mod webhook;

pub use access_log::AccessQuery;
pub use deliveries::DeliveriesQuery;
pub use error::ClientError;
pub use follow::Follow;
pub use holds::HoldsQuery;
pub use queue::QueueQuery;
pub use request::Client;
pub use runs::{LogsQuery, RunsQuery};
pub use webhook::Delivery;
