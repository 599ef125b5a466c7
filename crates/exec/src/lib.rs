//! Runs one job on one workspace: checkout, module, steps, hooks, result.
//!
//! [`run_job`] takes a [`spec::JobSpec`], says what happens as [`spec::JobEvent`]s and listens to
//! [`spec::JobOrder`]s. It knows no server: `kici-agent` drives it from a child process, `kici run local`
//! from its own.

mod approval;
mod caches;
mod calls;
mod cause;
mod checkout;
mod concurrency;
mod context;
mod control;
mod deps;
mod drift;
mod end;
mod environment;
mod evaluate;
mod failure;
mod hooks;
mod host;
mod indexes;
mod init;
mod job;
mod load;
mod logs;
mod mask;
mod millis;
mod phases;
mod process;
mod report;
mod requests;
mod rules;
mod run;
mod scope;
mod secret_outputs;
mod setup;
pub mod spec;
mod steps;

pub use cause::{Cause, Circumstances, Ending};
pub use run::{Prepared, prepare, run_job, run_prepared};
