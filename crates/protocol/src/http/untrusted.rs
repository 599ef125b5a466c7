//! Marks text that user code wrote.
//!
//! Readers of a run's summary may be language models or scripts; what a workflow printed must not be
//! mistaken for what the server says.

use serde::{Deserialize, Serialize};

/// A value that came out of user code: `{"untrusted": true, "value": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untrusted<T> {
    untrusted: bool,
    /// What user code wrote.
    pub value: T,
}

impl<T> Untrusted<T> {
    /// Marks a value.
    pub fn new(value: T) -> Self {
        Self { untrusted: true, value }
    }
}
