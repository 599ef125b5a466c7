//! Workflows as code: resolve and strip TypeScript, run it on an engine, describe it, extract the lock file.

mod builtins;
mod bundles;
mod choose;
pub mod describe;
mod embedded;
pub mod engine;
pub mod extract;
mod failure;
mod frames;
mod graph;
pub mod inline;
mod locate;
mod node;
mod run;
mod session;
mod source;
mod stack;

pub use bundles::sdk_types;
