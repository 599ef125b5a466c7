//! Runs one job on one workspace. Knows no network and no server; see `spec` for its whole interface.

mod checkout;
mod control;
mod deps;
mod drift;
mod environment;
mod indexes;
mod logs;
mod mask;
mod process;
mod requests;
pub mod spec;
