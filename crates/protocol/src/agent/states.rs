//! States and small enums as they are spelled on the agent link.

use serde::{Deserialize, Serialize};

/// `job.status.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for upstream jobs.
    Pending,
    /// Waiting for an agent.
    Queued,
    /// On an agent.
    Running,
    /// Its agent is away and may come back.
    Recovering,
    /// A cancel is in progress.
    Cancelling,
    /// Ended well.
    Success,
    /// Ended badly.
    Failed,
    /// Stopped by order.
    Cancelled,
    /// Never ran.
    Skipped,
    /// Its heartbeats stopped.
    TimedOutStale,
    /// A generated job that re-evaluation no longer produced.
    DriftDropped,
}

impl JobState {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Queued | Self::Running | Self::Recovering | Self::Cancelling => {
                false
            }
            Self::Success
            | Self::Failed
            | Self::Cancelled
            | Self::Skipped
            | Self::TimedOutStale
            | Self::DriftDropped => true,
        }
    }

    /// Whether an orchestrator acts on it when an agent reports it; the others are ignored.
    #[must_use]
    pub fn is_reportable(self) -> bool {
        match self {
            Self::Running | Self::Cancelling | Self::Success | Self::Failed | Self::Cancelled => {
                true
            }
            Self::Pending
            | Self::Queued
            | Self::Recovering
            | Self::Skipped
            | Self::TimedOutStale
            | Self::DriftDropped => false,
        }
    }
}

/// `step.status.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// A parallel child that has not begun.
    Pending,
    /// Begun.
    Running,
    /// Done.
    Success,
    /// Failed.
    Failed,
    /// A rule did not pass.
    Skipped,
    /// Stopped.
    Cancelled,
}

impl StepState {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Success | Self::Failed | Self::Skipped | Self::Cancelled => true,
        }
    }
}

/// `job.reject.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// A job is already running.
    Busy,
    /// The agent is going away.
    Draining,
}

/// `step.status.concurrencyKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConcurrencyKind {
    /// One after the other.
    Sequential,
    /// A child of a parallel group.
    ParallelChild,
    /// The group itself.
    ParallelGroup,
}
