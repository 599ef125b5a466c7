//! The state machine of a step.

use super::job::words;

words! {
    /// State of a step.
    StepState {
        /// Not reached.
        Pending = "pending",
        /// Runs.
        Running = "running",
        /// Done.
        Success = "success",
        /// Failed.
        Failed = "failed",
        /// A rule did not pass, it was in sync, or the job ended before it.
        Skipped = "skipped",
        /// Stopped.
        Cancelled = "cancelled",
    }
}

words! {
    /// What happens to a step.
    StepEvent {
        /// It started.
        Start = "START",
        /// It succeeded.
        Succeed = "SUCCEED",
        /// It failed.
        Fail = "FAIL",
        /// It is not needed.
        Skip = "SKIP",
        /// It was stopped.
        Cancel = "CANCEL",
    }
}

/// A move that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid transition: cannot apply event '{event}' in step state '{from}'")]
pub struct IllegalStepMove {
    /// The state.
    pub from: StepState,
    /// The event.
    pub event: StepEvent,
}

impl StepState {
    /// The only place that says which moves exist.
    pub fn after(self, event: StepEvent) -> Result<Self, IllegalStepMove> {
        use StepEvent as E;
        use StepState as S;
        Ok(match (self, event) {
            (S::Pending, E::Start) => S::Running,
            (S::Running, E::Succeed) => S::Success,
            (S::Running, E::Fail) => S::Failed,
            (S::Pending | S::Running, E::Skip) => S::Skipped,
            (S::Pending | S::Running, E::Cancel) => S::Cancelled,
            (from, event) => return Err(IllegalStepMove { from, event }),
        })
    }

    /// Whether nothing happens to it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Success | Self::Failed | Self::Skipped | Self::Cancelled => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_state_and_event() {
        let mut table = String::new();
        for state in StepState::ALL {
            for event in StepEvent::ALL {
                let to = state.after(*event).map_or("-", StepState::as_str);
                table.push_str(&format!("{state:<12}{event:<12}{to}\n"));
            }
        }
        insta::assert_snapshot!(table);
    }
}
