//! Agents: their sockets, what they hold, and who is connected.
//!
//! `socket` and `reader` are the edge (one task writes, one reads), `link` decides what a message means and owns no socket,
//! `gates` says who may register, `register` compares what an agent holds with the table, `outcome` turns reports
//! into facts, `registry` knows the connected agents for `dispatch`.

mod answers;
mod gates;
mod link;
mod outcome;
mod reader;
mod register;
mod registry;
mod socket;

pub(crate) use registry::{Agents, Offer};

use crate::http::{Access, Routes};

pub(crate) fn routes() -> Routes {
    Routes::new().get("/ws", Access::Agent, socket::upgrade)
}
