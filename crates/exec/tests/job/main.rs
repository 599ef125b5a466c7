//! Whole jobs: real repositories, real processes, real engines.

mod basics;
mod checks;
mod environment;
mod hooks;
mod output;
mod parallel;
mod requests;
mod setup;
mod steps;
mod stop;
mod support;
