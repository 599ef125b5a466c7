//! Label matchers as they are written. Matching is in `crate::labels`.

use serde::{Deserialize, Serialize};

/// Matches an agent's label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LabelMatcher {
    /// This very label.
    Exact {
        /// The label.
        value: String,
    },
    /// Any label in which this ECMAScript expression finds a match.
    Regex {
        /// Its source.
        source: String,
        /// Its flags, often none.
        flags: String,
    },
}

impl LabelMatcher {
    /// Matches exactly this label.
    pub fn exact(label: impl Into<String>) -> Self {
        Self::Exact { value: label.into() }
    }
}

impl std::fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact { value } => f.write_str(value),
            Self::Regex { source, flags } => write!(f, "/{source}/{flags}"),
        }
    }
}
