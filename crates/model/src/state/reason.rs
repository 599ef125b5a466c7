//! Why something ended, or still waits: data first, sentences by `Display`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HoldScope, JobState};

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
    QueueExpired,
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
            Self::QueueExpired => {
                f.write_str("Queue timeout expired (job was never dispatched to an agent)")
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

/// Why a job or run has not gone on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum WaitReason {
    /// Its upstreams have not all ended.
    Needs {
        /// The names of the first few.
        upstreams: Vec<String>,
        /// How many there are beyond those.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// No connected agent offers the labels.
    NoMatchingAgent {
        /// The labels.
        labels: Vec<String>,
    },
    /// Matching agents are busy.
    AgentsBusy {
        /// How many there are.
        matching: u32,
    },
    /// The agent that it is pinned to is away.
    PinnedAgentAway {
        /// The agent.
        agent: String,
        /// The name of its host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    /// Its concurrency group is full.
    ConcurrencyLimit {
        /// The group.
        group: String,
        /// How many may be active.
        max: u32,
        /// The run that has the place, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        behind: Option<String>,
    },
    /// Waits for an approval.
    Approval {
        /// Who may give it.
        approvers: Vec<String>,
    },
    /// A timer of an environment.
    WaitTimer {
        /// The environment.
        environment: String,
    },
    /// Earlier children of its fan-out are still running.
    Wave {
        /// How many run at once.
        max_parallel: u32,
    },
    /// Its agent is away and may come back.
    AgentAway {
        /// The agent.
        agent: String,
    },
}

/// Upstreams that a reason names; of a fan-in over thousands nobody reads more.
const NAMED: usize = 8;

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl WaitReason {
    /// Waits for these upstreams.
    pub fn needs<'a>(upstreams: impl IntoIterator<Item = &'a str>) -> Self {
        let mut upstreams = upstreams.into_iter();
        let named = upstreams.by_ref().take(NAMED).map(str::to_owned).collect();
        Self::Needs { upstreams: named, more: upstreams.count() }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs { upstreams, more: 0 } => {
                write!(f, "waiting for {}", upstreams.join(", "))
            }
            Self::Needs { upstreams, more } => {
                write!(f, "waiting for {} and {more} more", upstreams.join(", "))
            }
            Self::NoMatchingAgent { labels } => {
                let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
                write!(f, "no connected agent offers {}", labels.join(", "))
            }
            Self::AgentsBusy { matching: 1 } => f.write_str("the matching agent is busy"),
            Self::AgentsBusy { matching } => write!(f, "all {matching} matching agents are busy"),
            Self::PinnedAgentAway { agent, host: Some(host) } if host != agent => {
                write!(f, "waiting for host {host} (agent {agent}), which is not connected")
            }
            Self::PinnedAgentAway { agent, .. } => write!(f, "agent {agent} is not connected"),
            Self::ConcurrencyLimit { group, behind, .. } => {
                write!(f, "Queued in concurrency group '{group}'")?;
                behind.iter().try_for_each(|run| write!(f, " behind run {run}"))
            }
            Self::Approval { approvers } if approvers.is_empty() => {
                f.write_str("waiting for an approval")
            }
            Self::Approval { approvers } => {
                write!(f, "waiting for an approval by {}", approvers.join(", "))
            }
            Self::WaitTimer { environment } => {
                write!(f, "waiting for the timer of environment '{environment}'")
            }
            Self::Wave { max_parallel } => {
                write!(f, "waiting for its turn, {max_parallel} of the fan-out run at once")
            }
            Self::AgentAway { agent } => write!(f, "agent {agent} is away, it may come back"),
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
        let wait = WaitReason::NoMatchingAgent { labels: vec!["gpu".into(), "linux".into()] };
        assert_eq!(wait.to_string(), "no connected agent offers `gpu`, `linux`");
        let names: Vec<String> = (0..10).map(|i| format!("j{i}")).collect();
        let wait = WaitReason::needs(names.iter().map(String::as_str));
        assert_eq!(wait.to_string(), "waiting for j0, j1, j2, j3, j4, j5, j6, j7 and 2 more");
    }
}
