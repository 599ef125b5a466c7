//! Holds: runs, jobs and steps that wait for people.
//!
//! `runs::hold` puts them before jobs, `step` takes the questions of running steps. `decide` is how people answer,
//! `expire` what happens when nobody does; both end in `settle`, which moves the hold and what it keeps in one
//! transaction under the lock of the run, so that a hold has one outcome whoever comes at the same time.

mod decide;
mod expire;
mod settle;
mod step;

pub(crate) use decide::{DecideError, Decider, Decision, decide};
pub(crate) use expire::expire;
pub(crate) use step::{requested, tell};
