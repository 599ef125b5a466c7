//! Secrets at rest.

mod seal;

pub(crate) use seal::{NoKey, Sealer};
