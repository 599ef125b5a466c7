//! The access log: who did, or was refused, what over the API, and what the orchestrator decided by itself about
//! holds. Best effort: a request never waits for it and never fails because of it.
//!
//! `http` turns requests into entries, `actions` says what routes are called, `write` writes entries in batches.
//! Nothing that is secret comes here: no bodies, no tokens (of an unknown one the beginning of its hash).

mod actions;
mod http;
mod write;

pub(crate) use http::{Refusal, Slot, Watched};
pub(crate) use write::{Audit, Work};
