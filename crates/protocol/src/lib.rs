//! What travels between the programs: agent messages, and HTTP bodies and views.
//!
//! Data and its rules only: no sockets, files or clocks.

pub mod agent;
pub mod http;
