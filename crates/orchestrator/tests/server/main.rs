//! The orchestrator as its users meet it: webhooks over HTTP, agents over real sockets, a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod acks;
mod agent;
mod agents;
mod approvals;
mod cluster;
mod crash;
mod deliveries;
mod dynamic;
mod env;
mod fanout;
mod fleet;
mod groups;
mod handover;
mod holds;
mod hosts;
mod http;
mod limits;
mod logs;
mod lost;
mod needs;
mod push;
mod queue;
mod real;
mod reconnect;
mod rerun;
mod rerun_made;
mod retention;
mod roster;
mod stories;
mod transcripts;
mod waits;
