//! Whole jobs: real repositories, real processes, real engines.

mod basics;
mod support;
