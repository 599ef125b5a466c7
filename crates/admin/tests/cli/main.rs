//! The command line as operators use it: the real program against a real orchestrator.

mod agents_and_tokens;
mod hooks;
mod runs;
mod setup;
mod sources;
mod usage;
