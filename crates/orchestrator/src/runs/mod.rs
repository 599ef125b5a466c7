//! Runs: what a workflow becomes for one event.
//!
//! `plan` turns a workflow of a lock file into jobs and edges, once for a lock file; `expand` says what one job
//! becomes, `hosts` what it becomes on all hosts of a kind; `content` names what many runs share; `stamp` makes the rows of one run from a plan and an event,
//! `first` says in which states they begin, `hold` keeps it, or some of its jobs, until somebody approves, `slot`
//! until there is room in their concurrency groups; `create` writes them. Every run comes this way, whatever caused
//! it. `cancel` stops one, `rerun` repeats one (`repeat` plans a part of it).

mod cancel;
mod content;
mod create;
mod evaluated;
mod expand;
mod feed;
mod first;
pub(crate) mod grow;
mod hold;
mod hosts;
mod inline;
mod join;
mod plan;
mod repeat;
mod rerun;
mod runner;
mod slot;
mod stamp;

pub(crate) use cancel::{CancelError, KILL_WITHIN, STOP_WITHIN, cancel, stop_for};
pub(crate) use content::{SelectorBody, content};
pub(crate) use create::{NewRun, StoredContents, create};
pub(crate) use evaluated::{InitResult, jobs as generated_jobs};
pub(crate) use feed::{Feed, Following};
pub(crate) use hold::{limit, wait_reason};
pub(crate) use hosts::{HostRules, Hosts, asks_for_hosts};
pub(crate) use plan::WorkflowPlan;
pub(crate) use repeat::Scope;
pub(crate) use rerun::{RerunError, Wanted, rerun};
pub(crate) use runner::Runner;
pub(crate) use stamp::{Cause, stamp, unresolved};
