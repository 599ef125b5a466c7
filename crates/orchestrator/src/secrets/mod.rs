//! Secrets at rest.

mod seal;

pub use seal::{KeyError, OpenError, SealKey, Sealer};
