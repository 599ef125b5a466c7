//! Workflows as code: resolve and strip TypeScript, run it on an engine, describe it, extract the lock file.

pub mod describe;
pub mod engine;
