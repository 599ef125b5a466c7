//! Runs one job on one workspace. Knows no network and no server; see `spec` for its whole interface.

pub mod spec;
