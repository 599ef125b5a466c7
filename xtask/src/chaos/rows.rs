//! Rows as the checker and the people read them from the tables.

use serde::Deserialize;
use serde_json::Value;

/// A row of `delivery`.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    pub(super) delivery_id: String,
    pub(super) state: String,
    pub(super) open: bool,
    pub(super) error_message: Option<String>,
}

/// A row of `run`.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) delivery_id: String,
    pub(super) workflow_name: String,
    pub(super) state: String,
    pub(super) stop: Option<String>,
    pub(super) failure_reason: Option<String>,
    pub(super) final_state: bool,
    pub(super) parent_run_id: Option<String>,
    pub(super) rerun_scope: Option<String>,
    pub(super) rerun_key: Option<String>,
}

/// A row of `job`.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) run_id: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) attempt: u32,
    pub(super) agent_id: Option<String>,
    pub(super) end_reason: Option<Value>,
    pub(super) wait_reason: Option<Value>,
    pub(super) error_message: Option<String>,
    pub(super) final_state: bool,
    pub(super) reused_from: Option<String>,
}

/// A row of `step`.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) job_id: String,
    pub(super) attempt: u32,
    pub(super) idx: i64,
}

/// A change of state that the audit has seen.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub(super) at_ms: i64,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) was: Option<String>,
    pub(super) became: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) agent: Option<String>,
    pub(super) revived: bool,
}

/// A row of `hold`.
#[derive(Debug, Deserialize)]
pub(super) struct Hold {
    pub(super) id: String,
    pub(super) run_id: String,
    pub(super) job_id: Option<String>,
    pub(super) scope: String,
    pub(super) state: String,
    pub(super) resolved_ms: Option<i64>,
}

/// A place in a concurrency group that was given out. Times in microseconds.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    pub(super) holder: String,
    pub(super) group_key: String,
    /// When the look at the group began, and when the place was given.
    pub(super) began_us: i64,
    pub(super) at_us: i64,
}

/// Somebody that was seen waiting for a place.
#[derive(Debug, Deserialize)]
pub(super) struct Waiter {
    pub(super) holder: String,
    pub(super) group_key: String,
    pub(super) run_id: String,
    pub(super) position: i64,
    /// Whoever began to look later has seen it too.
    pub(super) seen_us: i64,
}

/// How much is open.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Open {
    pub(super) deliveries: u64,
    pub(super) runs: u64,
    pub(super) jobs: u64,
}

/// What people and senders go by.
#[derive(Debug, Deserialize)]
pub(super) struct Look {
    pub(super) deliveries: u64,
    pub(super) runs: Vec<Seen>,
    /// Holds that wait for a decision.
    pub(super) holds: Vec<String>,
}

/// A run as people see it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) workflow_name: String,
    pub(super) ended: bool,
    pub(super) stopped: bool,
    /// It repeats another.
    pub(super) repeats: bool,
}

impl Open {
    pub(super) fn is_none(self) -> bool {
        self.deliveries == 0 && self.runs == 0 && self.jobs == 0
    }
}
