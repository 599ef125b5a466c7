//! Both engines on real workflows, through the public interface.
//!
//! Needs Node.js 24 or newer (`cargo xtask setup` installs it; `cargo xtask test` puts it on the PATH).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod author_code;
mod builtins;
mod choose;
mod guest;
mod load_errors;
mod support;
