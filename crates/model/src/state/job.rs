//! The state machine of a job: one pure function says which moves exist.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word used on the wire and in tables.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownState;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == word)
                    .ok_or_else(|| $crate::state::UnknownState { word: word.to_owned() })
            }
        }
    };
}
pub(super) use words;

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a known state")]
pub struct UnknownState {
    /// The word.
    pub word: String,
}

words! {
    /// State of a job.
    JobState {
        /// Waits for its needs, a gate or a place in a wave.
        Pending = "pending",
        /// Waits for an agent.
        Queued = "queued",
        /// An agent works on it.
        Running = "running",
        /// Its agent is gone and may come back.
        Recovering = "recovering",
        /// Its agent was asked to stop it.
        Cancelling = "cancelling",
        /// Waits for an approval.
        Held = "held",
        /// Waits for a timer.
        Waiting = "waiting",
        /// Done.
        Success = "success",
        /// Failed.
        Failed = "failed",
        /// Stopped.
        Cancelled = "cancelled",
        /// Never started, because of a need or a rule.
        Skipped = "skipped",
        /// Nobody reported it in time.
        TimedOutStale = "timed_out_stale",
        /// A generated job that its generator did not produce again.
        DriftDropped = "drift_dropped",
    }
}

words! {
    /// What happens to a job.
    JobEvent {
        /// It may be given to an agent.
        Enqueue = "ENQUEUE",
        /// An agent started (or resumed) it.
        Start = "START",
        /// It succeeded.
        Succeed = "SUCCEED",
        /// It failed.
        Fail = "FAIL",
        /// Stop it.
        Cancel = "CANCEL",
        /// Ask its agent to stop it.
        CancelGraceful = "CANCEL_GRACEFUL",
        /// Do not wait for the agent any longer.
        CancelForce = "CANCEL_FORCE",
        /// The agent finished stopping.
        Complete = "COMPLETE",
        /// It will never start.
        Skip = "SKIP",
        /// Its agent is gone.
        Recover = "RECOVER",
        /// Its agent is gone for good, and another attempt is allowed. Not among the moves of earlier versions.
        Requeue = "REQUEUE",
        /// It needs an approval.
        Hold = "HOLD",
        /// Approved.
        Approve = "APPROVE",
        /// Rejected.
        Reject = "REJECT",
        /// Nobody approved in time.
        Expire = "EXPIRE",
        /// It has to wait for a timer.
        Wait = "WAIT",
        /// The timer ran out.
        TimerDone = "TIMER_DONE",
    }
}

/// A move that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid transition: cannot apply event '{event}' in state '{from}'")]
pub struct IllegalMove {
    /// The state.
    pub from: JobState,
    /// The event.
    pub event: JobEvent,
}

/// Final states that are failures with a mark of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureMark {
    /// Nobody reported the job in time.
    TimedOutStale,
    /// Its generator did not produce it again.
    DriftDropped,
}

impl JobState {
    /// The final states, in the order in which lock files list them.
    pub const FINAL: [Self; 6] = [
        Self::Success,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
        Self::TimedOutStale,
        Self::DriftDropped,
    ];

    /// The only place that says which moves exist.
    pub fn after(self, event: JobEvent) -> Result<Self, IllegalMove> {
        use JobEvent as E;
        use JobState as S;
        Ok(match (self, event) {
            (S::Pending, E::Enqueue) => S::Queued,
            (S::Pending, E::Cancel) => S::Cancelled,
            (S::Pending, E::Skip) => S::Skipped,
            (S::Pending, E::Hold) => S::Held,
            (S::Pending, E::Wait) => S::Waiting,
            (S::Queued, E::Start) => S::Running,
            (S::Queued, E::Fail) => S::Failed,
            (S::Queued, E::Cancel) => S::Cancelled,
            (S::Running, E::Succeed) => S::Success,
            (S::Running, E::Fail) => S::Failed,
            (S::Running, E::Cancel) => S::Cancelled,
            (S::Running, E::CancelGraceful) => S::Cancelling,
            (S::Running, E::Recover) => S::Recovering,
            (S::Running | S::Recovering, E::Requeue) => S::Queued,
            (S::Recovering, E::Start) => S::Running,
            (S::Recovering, E::Fail) => S::Failed,
            (S::Recovering, E::Cancel) => S::Cancelled,
            (S::Cancelling, E::Complete | E::CancelForce) => S::Cancelled,
            (S::Cancelling, E::Fail) => S::Failed,
            (S::Held, E::Approve) => S::Queued,
            (S::Held, E::Reject | E::Expire | E::Cancel) => S::Cancelled,
            (S::Waiting, E::TimerDone) => S::Queued,
            (S::Waiting, E::Cancel) => S::Cancelled,
            (from, event) => return Err(IllegalMove { from, event }),
        })
    }

    /// A failure with a mark: allowed wherever the job may fail.
    pub fn failed_as(self, mark: FailureMark) -> Result<Self, IllegalMove> {
        self.after(JobEvent::Fail)?;
        Ok(match mark {
            FailureMark::TimedOutStale => Self::TimedOutStale,
            FailureMark::DriftDropped => Self::DriftDropped,
        })
    }

    /// Whether nothing happens to it any more. Written out, so that a new state has to answer here.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending
            | Self::Queued
            | Self::Running
            | Self::Recovering
            | Self::Cancelling
            | Self::Held
            | Self::Waiting => false,
            Self::Success
            | Self::Failed
            | Self::Cancelled
            | Self::Skipped
            | Self::TimedOutStale
            | Self::DriftDropped => true,
        }
    }

    /// Whether the run fails because of it.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOutStale | Self::DriftDropped)
    }

    /// Whether an agent holds it.
    pub fn is_with_agent(self) -> bool {
        matches!(self, Self::Running | Self::Recovering | Self::Cancelling)
    }
}

impl JobEvent {
    /// The states in which the event may happen: what a conditional update has to name.
    pub fn sources(self) -> Vec<JobState> {
        JobState::ALL.iter().copied().filter(|state| state.after(self).is_ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        let mut table = String::new();
        let mut moves = 0;
        for state in JobState::ALL {
            for event in JobEvent::ALL {
                let to = match state.after(*event) {
                    Ok(to) => {
                        moves += 1;
                        to.as_str()
                    }
                    Err(_) => "-",
                };
                table.push_str(&format!("{state:<16}{event:<16}{to}\n"));
            }
        }
        assert_eq!(moves, 27);
        insta::assert_snapshot!(table);
    }

    #[test]
    fn final_states_have_no_exits_and_keep_their_order() {
        for state in JobState::ALL.iter().filter(|state| state.is_final()) {
            assert!(JobEvent::ALL.iter().all(|event| state.after(*event).is_err()));
            assert!(JobState::FINAL.contains(state));
        }
        assert_eq!(
            JobState::Success.after(JobEvent::Start).unwrap_err().to_string(),
            "Invalid transition: cannot apply event 'START' in state 'success'"
        );
    }

    #[test]
    fn marked_failures_come_from_where_failures_come_from() {
        for state in JobState::ALL {
            let failed = state.after(JobEvent::Fail).is_ok();
            assert_eq!(state.failed_as(FailureMark::TimedOutStale).is_ok(), failed);
            assert_eq!(state.failed_as(FailureMark::DriftDropped).is_ok(), failed);
        }
    }

    #[test]
    fn words_read_back() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().unwrap(), *state);
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        assert!("done".parse::<JobState>().is_err());
        assert_eq!(JobEvent::Recover.sources(), [JobState::Running]);
    }
}
