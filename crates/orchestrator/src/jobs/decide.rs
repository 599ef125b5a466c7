//! Which state a job takes when something ends it. Pure; the moves themselves are the model's.

use kici_model::state::{FailureMark, JobEvent, JobState};

/// What ended a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All steps passed.
    Success,
    /// Something failed.
    Failed,
    /// It was stopped.
    Cancelled,
    /// Nobody reported it in time.
    Stale,
    /// It will never start.
    Skipped,
    /// Its generator did not give it again.
    Dropped,
}

/// The final state, or `None` when the job has ended already or cannot end like this.
pub(super) fn decide(from: JobState, ending: Ending) -> Option<JobState> {
    use JobEvent as E;
    // A report may overtake the one before it (the start), so the way to the end may have two moves.
    let ways: &[&[E]] = match ending {
        // Stopped is stopped, also when the last step was quicker than the order.
        Ending::Success => &[&[E::Succeed], &[E::Start, E::Succeed], &[E::Complete]],
        Ending::Failed | Ending::Stale | Ending::Dropped => {
            &[&[E::Fail], &[E::Enqueue, E::Fail], &[E::Cancel]]
        }
        Ending::Cancelled => &[&[E::Cancel], &[E::Complete]],
        Ending::Skipped => &[&[E::Skip]],
    };
    let last = ways.iter().find_map(|way| {
        let before =
            way[..way.len() - 1].iter().try_fold(from, |state, event| state.after(*event)).ok()?;
        let after = before.after(way[way.len() - 1]).ok()?;
        Some((before, after))
    });
    let (before, after) = last?;
    match ending {
        // Held or not: it is its generator's failure, nobody has stopped it.
        Ending::Dropped if from != JobState::Cancelling => Some(JobState::DriftDropped),
        Ending::Stale => before.failed_as(FailureMark::TimedOutStale).ok().or(Some(after)),
        _ => Some(after),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_state_and_ending() {
        let mut table = String::new();
        for from in JobState::ALL {
            for ending in
                [Ending::Success, Ending::Failed, Ending::Cancelled, Ending::Stale, Ending::Skipped]
            {
                if let Some(to) = decide(*from, ending) {
                    writeln!(table, "{from} {ending:?} -> {to}").unwrap();
                }
            }
        }
        insta::assert_snapshot!(table, @r"
        pending Failed -> failed
        pending Cancelled -> cancelled
        pending Stale -> timed_out_stale
        pending Skipped -> skipped
        queued Success -> success
        queued Failed -> failed
        queued Cancelled -> cancelled
        queued Stale -> timed_out_stale
        running Success -> success
        running Failed -> failed
        running Cancelled -> cancelled
        running Stale -> timed_out_stale
        recovering Success -> success
        recovering Failed -> failed
        recovering Cancelled -> cancelled
        recovering Stale -> timed_out_stale
        cancelling Success -> cancelled
        cancelling Failed -> failed
        cancelling Cancelled -> cancelled
        cancelling Stale -> timed_out_stale
        held Failed -> cancelled
        held Cancelled -> cancelled
        held Stale -> cancelled
        waiting Failed -> cancelled
        waiting Cancelled -> cancelled
        waiting Stale -> cancelled
        ");
    }

    #[test]
    fn terminal_states_never_change() {
        for from in JobState::FINAL {
            for ending in
                [Ending::Success, Ending::Failed, Ending::Cancelled, Ending::Stale, Ending::Skipped]
            {
                assert_eq!(decide(from, ending), None);
            }
        }
    }
}
