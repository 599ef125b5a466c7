//! The agent: keeps a link to an orchestrator and runs one job at a time.
//!
//! `link` decides and owns no socket, `socket` moves frames and decides nothing, `outbox` keeps what has
//! to be told, `job` runs one job in a process of its own (`job_process`, this program once more), and
//! `agent` is the loop that connects them.

mod agent;
mod backoff;
mod bundle;
mod chain;
pub mod config;
mod facts;
mod http;
mod job;
mod job_process;
mod link;
pub mod logging;
mod metrics;
mod now;
mod outbox;
mod own_log;
mod pace;
mod questions;
mod signals;
#[cfg(feature = "simulation")]
pub mod simulation;
mod socket;
mod start;
mod state;

pub use agent::Exit;
pub use config::{Config, ConfigError};
pub use http::ListenError;
pub use job::{Launcher, become_subreaper};
pub use job_process::job_process;
pub use signals::{Signal, listen as listen_for_signals};
pub use start::{Prepared, StartError, prepare};
pub use state::StateTaken;
