//! What the audit says about the lives of runs and jobs: when each ended, and when which agent had it.
//!
//! A process that goes on although its job was given to somebody else, or was ended without it, is a ghost. What a ghost
//! writes into the journal is not the job's doing.

use std::collections::BTreeMap;

use crate::chaos::journal::{Execution, Mark};
use crate::chaos::rows::Change;

/// States that do not change.
const FINAL: &[&str] =
    &["success", "failed", "cancelled", "skipped", "timed_out_stale", "drift_dropped"];

/// By the id of a run or job.
#[derive(Debug, Default)]
pub(super) struct Lives<'a> {
    all: BTreeMap<&'a str, Vec<Moment<'a>>>,
}

#[derive(Debug)]
struct Moment<'a> {
    at_ms: i64,
    agent: Option<&'a str>,
    ended: bool,
    stopping: bool,
}

impl<'a> Lives<'a> {
    pub(super) fn of(changes: &'a [Change]) -> Self {
        let mut lives = Self::default();
        for change in changes.iter().filter(|change| matches!(change.kind.as_str(), "job" | "run"))
        {
            let ended = change.became.as_deref().is_some_and(|state| FINAL.contains(&state));
            let stopping = change.became.as_deref() == Some("cancelling");
            let moment =
                Moment { at_ms: change.at_ms, agent: change.agent.as_deref(), ended, stopping };
            lives.all.entry(&change.id).or_default().push(moment);
        }
        lives
    }

    /// When a job ended.
    pub(super) fn ended(&self, job: &str) -> Option<i64> {
        let moments = self.all.get(job)?;
        moments.iter().find(|moment| moment.ended).map(|moment| moment.at_ms)
    }

    /// When a run or job ended, or began to.
    pub(super) fn left(&self, id: &str) -> Option<i64> {
        let moments = self.all.get(id)?;
        moments.iter().find(|one| one.ended || one.stopping).map(|one| one.at_ms)
    }

    /// What an execution wrote while the job was its agent's.
    pub(super) fn marks(&self, job: &str, execution: &Execution) -> Vec<Mark> {
        let moments = self.all.get(job).map(Vec::as_slice).unwrap_or_default();
        let own = |mark: &&Mark| {
            let at = moments.partition_point(|moment| moment.at_ms <= mark.at_ms);
            // Of the same millisecond, the end comes last.
            at > 0 && {
                let now = &moments[at - 1];
                let just = now.ended && now.at_ms == mark.at_ms;
                (!now.ended || just) && now.agent == Some(execution.agent.as_str())
            }
        };
        execution.marks.iter().filter(own).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at_ms: i64, became: &str, agent: Option<&str>) -> Change {
        Change {
            at_ms,
            kind: "job".into(),
            id: "j".into(),
            was: None,
            became: Some(became.into()),
            attempt: Some(1),
            agent: agent.map(str::to_owned),
            revived: false,
        }
    }

    #[test]
    fn what_a_ghost_writes_is_not_the_job() {
        let changes = [
            change(10, "queued", None),
            change(20, "queued", Some("a")),
            change(30, "running", Some("a")),
            change(40, "queued", None),
            change(50, "running", Some("b")),
            change(60, "success", Some("b")),
        ];
        let lives = Lives::of(&changes);
        assert_eq!(lives.ended("j"), Some(60));
        let marks = |agent: &str| -> Vec<i64> {
            let marks = (5..70).step_by(5).map(|at_ms| Mark { place: 0, at_ms }).collect();
            let mut execution = Execution::default();
            (execution.agent, execution.marks) = (agent.into(), marks);
            lives.marks("j", &execution).iter().map(|mark| mark.at_ms).collect()
        };
        assert_eq!(marks("a"), [20, 25, 30, 35]);
        assert_eq!(marks("b"), [50, 55, 60]);
    }
}
