//! What KiCI is about, without any I/O: ids, the lock file, triggers and their matching, labels,
//! the job graph, matrices, state machines and reasons.
//!
//! Every other crate points here; this one knows no sockets, files, clocks or databases.

pub mod approval;
pub mod critical_path;
pub mod event;
pub mod fields;
pub mod generated;
pub mod glob;
pub mod graph;
pub mod hash;
pub mod hosts;
pub mod ids;
pub mod js;
pub mod labels;
pub mod lock;
pub mod matrix;
pub mod regex;
pub mod rerun;
pub mod state;
pub mod tables;
pub mod triggers;
pub mod upstream;
