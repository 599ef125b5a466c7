//! Why something ended: data first, sentences by `Display`. Why it still waits is in [`super::wait`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HoldScope, JobState, WaitReason};

/// Which limit ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// The job's own.
    JobTimeout,
    /// The workflow's.
    WorkflowTimeout,
}

/// What went wrong before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitCategory {
    /// Secrets could not be resolved.
    SecretResolution,
    /// Secrets for installing could not be resolved.
    InstallSecrets,
    /// The lock file is corrupt.
    LockResolution,
    /// The source archive could not be built.
    BuildCoordination,
    /// An environment's rules refused.
    EnvironmentRules,
    /// A generator or a computed value failed.
    DynamicEval,
    /// No agent can take it.
    NoAgent,
    /// The matrix cannot be expanded.
    MatrixExpansion,
}

/// Why a job or run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum EndReason {
    /// A step failed.
    StepFailed {
        /// Its name.
        step: String,
        /// The error.
        message: String,
    },
    /// It failed outside of steps (checkout, load, init, hook).
    JobError {
        /// The error.
        message: String,
    },
    /// It ran too long.
    TimedOut {
        /// Which limit.
        limit: TimeLimit,
        /// The limit, ms.
        after_ms: u64,
    },
    /// Its agent went away and did not come back.
    AgentLost {
        /// The agent.
        agent: String,
    },
    /// Its agent came back without it: it was started again, and nothing is known of the job's end.
    AgentRestarted {
        /// The agent.
        agent: String,
    },
    /// An agent did not take it, or did not say so in time.
    NotTaken {
        /// What happened.
        message: String,
    },
    /// Its agent is connected, but nothing was heard of the job.
    NoHeartbeat {
        /// For how long, in seconds.
        after_s: u64,
    },
    /// Its agent took it and is connected, but never said that it runs.
    NeverStarted,
    /// No agent took it in time.
    QueueExpired {
        /// Why it waited to the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<Box<WaitReason>>,
    },
    /// More jobs waited for agents than may.
    QueueFull {
        /// How many may.
        max: u32,
    },
    /// An upstream ended in a state that is not accepted.
    UpstreamUnmet {
        /// The upstream.
        upstream: String,
        /// Its state.
        status: JobState,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Who, if known.
        by: Option<String>,
        /// What they said.
        reason: Option<String>,
    },
    /// A newer run of its concurrency group took its place.
    Superseded {
        /// The group.
        group: String,
    },
    /// An approval was refused.
    ApprovalRejected {
        /// Of what.
        scope: HoldScope,
        /// By whom, if known.
        by: Option<String>,
        /// What they said.
        comment: Option<String>,
    },
    /// Nobody approved in time.
    ApprovalExpired {
        /// What was held.
        scope: HoldScope,
    },
    /// Its host was away when the run was made, and the author does not want to wait.
    HostUnreachable {
        /// The name of the host.
        host: String,
        /// Its agent.
        agent: String,
    },
    /// Another child of its fan-out failed first.
    FailFast,
    /// A part of its run was repeated, and it is no part of that.
    NotRepeated,
    /// Its generator did not give it again on the agent that ran one of its siblings.
    Drift,
    /// The needs of generated jobs form a cycle.
    Cycle {
        /// The jobs, first one repeated at the end.
        path: Vec<String>,
    },
    /// Something before the first step went wrong.
    Init {
        /// What.
        category: InitCategory,
        /// The error.
        message: String,
    },
    /// The scheduler found a state that must not exist.
    SchedulerInvariant {
        /// Which.
        message: String,
    },
}

impl EndReason {
    /// No agent took it in time; why it waited, if that is known.
    pub fn expired(waited: Option<WaitReason>) -> Self {
        Self::QueueExpired { waited: waited.map(Box::new) }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepFailed { step, message } => write!(f, "step '{step}' failed: {message}"),
            Self::JobError { message } | Self::Init { message, .. } => f.write_str(message),
            Self::TimedOut { limit: TimeLimit::JobTimeout, after_ms } => {
                write!(f, "job_timeout: job exceeded its timeout of {after_ms}ms")
            }
            Self::TimedOut { limit: TimeLimit::WorkflowTimeout, after_ms } => {
                write!(f, "workflow_timeout: run exceeded the workflow timeout of {after_ms}ms")
            }
            Self::AgentLost { agent } => write!(f, "agent {agent} was lost"),
            Self::AgentRestarted { agent } => {
                write!(f, "agent {agent} was restarted and lost the job")
            }
            Self::NotTaken { message } => f.write_str(message),
            Self::NoHeartbeat { after_s } => write!(f, "No heartbeat received for {after_s}s"),
            Self::NeverStarted => f.write_str("No heartbeat -- dispatch never acknowledged"),
            Self::HostUnreachable { host, agent } => {
                write!(f, "host {host} (agent {agent}) is away (onUnreachable: 'fail')")
            }
            Self::QueueExpired { waited } => {
                f.write_str("Queue timeout expired (job was never dispatched to an agent)")?;
                waited.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::QueueFull { max } => write!(f, "queue full: more than {max} jobs were waiting"),
            Self::UpstreamUnmet { upstream, status } => {
                write!(f, "upstream_unmet: {upstream} ({status})")
            }
            Self::Cancelled { by, reason } => {
                f.write_str("cancelled")?;
                if let Some(by) = by {
                    write!(f, " by {by}")?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::Superseded { group } => {
                write!(f, "Superseded by run in concurrency group '{group}'")
            }
            Self::ApprovalRejected { scope, by, comment } => {
                write!(f, "Approval rejected for {scope} hold")?;
                by.iter().try_for_each(|by| write!(f, " by {by}"))?;
                comment.iter().try_for_each(|comment| write!(f, ": {comment}"))
            }
            Self::ApprovalExpired { scope } => write!(f, "Approval expired for {scope} hold"),
            Self::FailFast => f.write_str("fan-out halted by failFast"),
            Self::NotRepeated => f.write_str("not part of this re-run"),
            Self::Drift => {
                f.write_str("determinism drift: job dropped by re-evaluation on executing agent")
            }
            Self::Cycle { path } => write!(f, "cycle detected: {}", path.join(" -> ")),
            Self::SchedulerInvariant { message } => {
                write!(f, "scheduler invariant violated: {message}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_data_and_read_as_sentences() {
        let reason =
            EndReason::UpstreamUnmet { upstream: "bad".into(), status: JobState::TimedOutStale };
        assert_eq!(reason.to_string(), "upstream_unmet: bad (timed_out_stale)");
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"upstream_unmet","upstream":"bad","status":"timed_out_stale"}"#
        );
        assert_eq!(serde_json::from_str::<EndReason>(&text).unwrap(), reason);
        let cycle = EndReason::Cycle { path: vec!["a".into(), "b".into(), "a".into()] };
        assert_eq!(cycle.to_string(), "cycle detected: a -> b -> a");
    }

    #[test]
    fn an_expired_wait_says_what_it_waited_for() {
        let old: EndReason = serde_json::from_str(r#"{"kind":"queue_expired"}"#).unwrap();
        let text = "Queue timeout expired (job was never dispatched to an agent)";
        assert_eq!((&old, old.to_string().as_str()), (&EndReason::expired(None), text));
        let busy = WaitReason::AgentsBusy { matching: 2, jobs: 2, draining: 0, repositories: 1 };
        let reason = EndReason::expired(Some(busy));
        assert_eq!(reason.to_string(), format!("{text}: 2 agents match, all busy"));
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<EndReason>(&text).unwrap(), reason);
    }
}
