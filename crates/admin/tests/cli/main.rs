//! The command line as operators use it: the real program against a real orchestrator.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like the tests themselves")]

mod agents_and_tokens;
mod bundles;
mod hooks;
mod runs;
mod setup;
mod sources;
mod usage;
