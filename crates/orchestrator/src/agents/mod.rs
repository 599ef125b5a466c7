//! Agents: their sockets, what they hold, and who is connected.
//!
//! `socket` and `reader` are the edge (one task writes, one reads), `link` decides what a message means and owns no socket,
//! `gates` says who may register, `enter` lets it in, `register` compares what it holds with the table, `outcome` turns
//! reports into facts and `acks` tells the agent what is durable. `approvals` takes the questions of steps that wait for
//! people, `groups` those of jobs that wait for a concurrency group, `bundles` the log bundles that operators ask for.
//! `registry` knows the agents that are `connected` here, `roster` keeps the table of all of them.

mod acks;
mod agent_log;
mod answers;
mod api;
mod approvals;
mod bundles;
mod connected;
mod enter;
mod gates;
mod groups;
mod life;
mod link;
mod outcome;
mod reader;
mod register;
mod registry;
mod roster;
#[cfg(test)]
mod simulation;
mod socket;

pub(crate) use acks::{Acks, Receipt};
pub(crate) use bundles::{BundleError, fetch as fetch_bundle};
pub(crate) use connected::Connected;
pub(crate) use registry::{Agents, Offer};
pub(crate) use roster::Roster;

use crate::app::App;
use crate::http::{Access, Routes};

/// Starts what keeps the roster.
pub(crate) fn spawn(app: &App) {
    app.spawn(roster::keep(app.clone()));
}

pub(crate) fn routes() -> Routes {
    Routes::new().get("/ws", Access::Agent, socket::upgrade)
}
