//! Whole jobs: real repositories, real processes, real engines.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like the tests themselves")]

mod basics;
mod checks;
mod environment;
mod evaluate;
mod hooks;
mod output;
mod parallel;
mod requests;
mod setup;
mod steps;
mod stop;
mod support;
