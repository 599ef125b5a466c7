//! What is kept for how long, what that takes, and what housekeeping has removed.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Answer of `GET /api/v1/admin/retention`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionView {
    /// A count of what is due goes through so many of the oldest of each kind.
    pub due_among: i64,
    /// One for each kind of thing.
    pub kinds: Vec<RetentionKind>,
}

/// One kind of thing that is kept and removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionKind {
    /// `run`, `log`, `delivery`, `access_log`, `definition` or `selector`.
    pub kind: String,
    /// How long they are kept; absent: for ever.
    pub keep_days: Option<u64>,
    /// How many there are, as PostgreSQL estimates; of logs: entries of the index, counted.
    pub rows: Option<i64>,
    /// What they take in the database; of logs: in storage.
    pub bytes: Option<i64>,
    /// When logs were counted.
    pub counted_at: Option<Timestamp>,
    /// When the oldest was made; of workflows and selectors: when the one was last named that was not named for longest.
    pub oldest_at: Option<Timestamp>,
    /// How many the next passes will remove.
    pub due: Option<i64>,
    /// How many were ever removed.
    pub removed: i64,
    /// How many the last pass removed that found some.
    pub last_removed: i64,
    /// When that was.
    pub last_removed_at: Option<Timestamp>,
    /// When a pass last looked.
    pub last_pass_at: Option<Timestamp>,
}
