//! A run's state: derived from its jobs by one function, never written by anybody else.

use super::JobState;
use super::job::words;

words! {
    /// State of a run.
    RunState {
        /// Nothing has started.
        Pending = "pending",
        /// A job runs or has run.
        Running = "running",
        /// Waits for an approval before any job.
        Held = "held",
        /// Being stopped.
        Cancelling = "cancelling",
        /// Every job succeeded or was skipped.
        Success = "success",
        /// A job failed.
        Failed = "failed",
        /// Stopped.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Whether nothing happens to it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Held | Self::Cancelling => false,
            Self::Success | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// What becomes of a run's `failure_reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReasonChange {
    /// It stays.
    Keep,
    /// It is removed.
    Clear,
    /// It becomes this.
    Set(String),
}

/// What a run is, judged by its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedRun {
    /// Its state.
    pub state: RunState,
    /// Its reason.
    pub reason: ReasonChange,
}

impl DerivedRun {
    /// The same for a run of which something was held and refused, or not approved in time: a job that ended like
    /// that is `cancelled`, but its run has failed, for this reason unless jobs failed by themselves.
    pub fn refused(self, reason: Option<String>) -> DerivedRun {
        match (self.state, reason) {
            (RunState::Cancelled, Some(reason)) => {
                DerivedRun { state: RunState::Failed, reason: ReasonChange::Set(reason) }
            }
            _ => self,
        }
    }
}

/// Derives a run's state from its jobs, which come in job order. `fail_on_drift`: the run checks for
/// drift, drift counts as failure and some step has reported drift.
pub fn derive_run<'a>(
    jobs: impl IntoIterator<Item = (&'a str, JobState)>,
    fail_on_drift: bool,
) -> DerivedRun {
    let jobs: Vec<(&str, JobState)> = jobs.into_iter().collect();
    let any = |test: fn(JobState) -> bool| jobs.iter().any(|(_, state)| test(*state));
    if jobs.is_empty() || any(|state| !state.is_final()) {
        let started = |state: JobState| {
            state.is_with_agent() || (state.is_final() && state != JobState::Skipped)
        };
        let state = if any(|state| state == JobState::Cancelling) {
            RunState::Cancelling
        } else if any(started) {
            RunState::Running
        } else if any(|state| state == JobState::Held)
            && !any(|state| matches!(state, JobState::Queued | JobState::Waiting))
        {
            RunState::Held
        } else {
            RunState::Pending
        };
        return DerivedRun { state, reason: ReasonChange::Keep };
    }
    let failed: Vec<&str> =
        jobs.iter().filter(|(_, state)| state.is_failure()).map(|(name, _)| *name).collect();
    let (state, reason) = if !failed.is_empty() {
        (RunState::Failed, ReasonChange::Set(format!("Failed jobs: {}", failed.join(", "))))
    } else if any(|state| state == JobState::Cancelled) {
        (RunState::Cancelled, ReasonChange::Keep)
    } else if fail_on_drift {
        let reason = "Drift detected in check mode (--fail-on-drift)";
        (RunState::Failed, ReasonChange::Set(reason.to_owned()))
    } else {
        (RunState::Success, ReasonChange::Clear)
    };
    DerivedRun { state, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn derived(jobs: &[(&'static str, JobState)]) -> DerivedRun {
        derive_run(jobs.iter().copied(), false)
    }

    #[test]
    fn a_refused_approval_fails_the_run() {
        let refusal = || Some("Approval expired for job hold".to_owned());
        let cancelled = derived(&[("a", JobState::Success), ("b", JobState::Cancelled)]);
        assert_eq!(cancelled.clone().refused(None), cancelled);
        let failed = cancelled.refused(refusal());
        assert_eq!(failed.state, RunState::Failed);
        assert_eq!(failed.reason, ReasonChange::Set(refusal().unwrap()));
        let both = derived(&[("a", JobState::Failed), ("b", JobState::Cancelled)]);
        assert_eq!(both.clone().refused(refusal()), both, "the failed job is named");
        let open = derived(&[("a", JobState::Running), ("b", JobState::Cancelled)]);
        assert_eq!(open.clone().refused(refusal()), open);
    }

    #[test]
    fn failures_win_over_cancels_and_skips_are_no_failures() {
        use JobState as S;
        let failed = derived(&[
            ("a", S::Success),
            ("b", S::Failed),
            ("c", S::Cancelled),
            ("d", S::TimedOutStale),
            ("e", S::DriftDropped),
        ]);
        assert_eq!(failed.state, RunState::Failed);
        assert_eq!(failed.reason, ReasonChange::Set("Failed jobs: b, d, e".into()));
        let cancelled = derived(&[("a", S::Success), ("b", S::Cancelled)]);
        assert_eq!((cancelled.state, cancelled.reason), (RunState::Cancelled, ReasonChange::Keep));
        let skipped = derived(&[("a", S::Skipped), ("b", S::Skipped)]);
        assert_eq!((skipped.state, skipped.reason), (RunState::Success, ReasonChange::Clear));
    }

    #[test]
    fn drift_fails_a_run_that_would_have_succeeded() {
        let run = derive_run([("a", JobState::Success)], true);
        assert_eq!(run.state, RunState::Failed);
        assert_eq!(
            run.reason,
            ReasonChange::Set("Drift detected in check mode (--fail-on-drift)".into())
        );
    }

    #[test]
    fn an_open_run_shows_what_its_jobs_do() {
        use JobState as S;
        assert_eq!(derived(&[]).state, RunState::Pending);
        assert_eq!(derived(&[("a", S::Queued), ("b", S::Pending)]).state, RunState::Pending);
        assert_eq!(derived(&[("a", S::Held), ("b", S::Pending)]).state, RunState::Held);
        assert_eq!(derived(&[("a", S::Success), ("b", S::Queued)]).state, RunState::Running);
        assert_eq!(derived(&[("a", S::Recovering)]).state, RunState::Running);
        assert_eq!(derived(&[("a", S::Cancelling), ("b", S::Running)]).state, RunState::Cancelling);
    }

    proptest! {
        #[test]
        fn a_run_is_final_exactly_when_all_of_its_jobs_are(
            states in prop::collection::vec(prop::sample::select(JobState::ALL), 1..8),
            drift in any::<bool>(),
        ) {
            let run = derive_run(states.iter().map(|state| ("j", *state)), drift);
            prop_assert_eq!(run.state.is_final(), states.iter().all(|state| state.is_final()));
        }
    }
}
