//! The state that each job of a new run begins in: queued, waiting for its needs or its turn, failed or skipped.
//!
//! Jobs that cannot run fail here with their reason and what needs them is skipped, so that no later pass has to
//! know about it. What happens when a job ends later is [`crate::jobs::finish`]; both follow the same graph.

use std::collections::HashMap;

use kici_model::graph::{Accepts, cascade};
use kici_model::state::{EndReason, JobState};

use super::plan::PlannedJob;

/// A job's first state.
#[derive(Debug, Clone)]
pub(super) struct First {
    pub(super) state: JobState,
    /// Why it ended, if it has.
    pub(super) reason: Option<EndReason>,
    /// What has to happen before it is ready: edges that are not met, and its turn.
    pub(super) open: usize,
    /// Waits for its turn in its fan-out.
    pub(super) gated: bool,
}

impl First {
    fn ended(state: JobState, reason: Option<EndReason>) -> First {
        First { state, reason, open: 0, gated: false }
    }
}

/// Works out the first states; `fails` says which jobs fail at once. The first jobs may be there already, without
/// edges, in the states `known`: they stay as they are.
pub(super) fn first_states(
    known: &[JobState],
    jobs: &[PlannedJob],
    fails: &[Option<&EndReason>],
) -> Vec<First> {
    let there = known.iter().map(|state| First::ended(*state, None));
    let new =
        jobs.iter().zip(fails).skip(known.len()).map(|(job, fails)| match (fails, &job.given) {
            (Some(reason), _) => First::ended(JobState::Failed, Some((*reason).clone())),
            (None, Some(given)) => First::ended(given.state, given.reason.clone()),
            (None, None) => First {
                state: JobState::Pending,
                reason: None,
                open: job.needs.len(),
                gated: false,
            },
        });
    let mut first: Vec<First> = there.chain(new).collect();
    let ended = (0..jobs.len()).filter(|at| first[*at].state.is_final()).collect();
    follow(jobs, &mut first, ended);
    let halted = gate(jobs, &mut first);
    follow(jobs, &mut first, halted);
    for job in &mut first[known.len()..] {
        if job.state == JobState::Pending && job.open == 0 {
            job.state = JobState::Queued;
        }
    }
    first
}

/// Lets the ends of these jobs reach those that wait for them.
fn follow(jobs: &[PlannedJob], first: &mut [First], ended: Vec<usize>) {
    if ended.is_empty() {
        return;
    }
    let mut waiting: HashMap<usize, Vec<(usize, Accepts)>> = HashMap::new();
    for (at, job) in jobs.iter().enumerate() {
        if first[at].state.is_final() {
            continue;
        }
        for (upstream, run_on) in &job.needs {
            let accepts = Accepts::from_run_on(Some(run_on));
            waiting.entry(*upstream).or_default().push((at, accepts));
        }
    }
    let ended: Vec<(usize, JobState)> = ended.into_iter().map(|at| (at, first[at].state)).collect();
    let after = cascade(&ended, &waiting);
    for (at, upstream, status) in after.skips {
        let reason = EndReason::UpstreamUnmet { upstream: jobs[upstream].name.clone(), status };
        first[at] = First { state: JobState::Skipped, reason: Some(reason), open: 0, gated: false };
    }
    for (at, met) in after.met {
        first[at].open -= met;
    }
}

/// Makes the later children of each limited fan-out wait for their turn. Answers those that are stopped for good,
/// because a sibling has failed already.
fn gate(jobs: &[PlannedJob], first: &mut [First]) -> Vec<usize> {
    let mut fan_outs: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, job) in jobs.iter().enumerate().filter(|(_, job)| job.window.max_parallel.is_some()) {
        fan_outs.entry(&job.base_name).or_default().push(at);
    }
    let mut halted = Vec::new();
    for mut children in fan_outs.into_values() {
        children.sort_by_key(|at| jobs[*at].fanout);
        let window = jobs[children[0]].window;
        let at_once = window.max_parallel.map_or(children.len(), |limit| limit.get() as usize);
        let failed =
            |at: &usize| first[*at].state.is_final() && first[*at].state != JobState::Success;
        let halt = window.fail_fast && children.iter().any(failed);
        let open: Vec<usize> =
            children.iter().copied().filter(|at| !first[*at].state.is_final()).collect();
        for at in open.into_iter().skip(at_once) {
            if halt {
                let ended = First::ended(JobState::Skipped, Some(EndReason::FailFast));
                first[at] = First { gated: true, ..ended };
                halted.push(at);
            } else {
                first[at].gated = true;
                first[at].open += 1;
            }
        }
    }
    halted.sort_unstable();
    halted
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::expand::Window;
    use super::*;

    fn child(index: usize, at_once: u32, fail_fast: bool) -> PlannedJob {
        PlannedJob {
            name: format!("m ({index})"),
            base_name: "m".into(),
            fanout: Some((index, 4)),
            window: Window { max_parallel: NonZeroU32::new(at_once), fail_fast },
            ..PlannedJob::default()
        }
    }

    fn after(upstream: usize) -> PlannedJob {
        PlannedJob {
            name: "after".into(),
            base_name: "after".into(),
            needs: vec![(upstream, vec!["success".into()])],
            ..PlannedJob::default()
        }
    }

    fn shown(first: &[First]) -> Vec<String> {
        let shown = |job: &First| {
            let gate = if job.gated { " gated" } else { "" };
            format!("{} {}{gate}", job.state, job.open)
        };
        first.iter().map(shown).collect()
    }

    #[test]
    fn children_beyond_the_limit_wait_in_the_order_of_their_index() {
        let mut jobs =
            vec![child(2, 2, false), child(0, 2, false), child(3, 2, false), child(1, 2, false)];
        assert_eq!(
            shown(&first_states(&[], &jobs, &[None; 4])),
            ["pending 1 gated", "queued 0", "pending 1 gated", "queued 0"]
        );
        jobs[0].needs.push((1, vec!["success".into()]));
        assert_eq!(shown(&first_states(&[], &jobs, &[None; 4]))[0], "pending 2 gated");
    }

    #[test]
    fn a_child_that_fails_at_once_takes_no_place() {
        let jobs = [child(0, 2, false), child(1, 2, false), child(2, 2, false), child(3, 2, false)];
        let reason = EndReason::NeverStarted;
        let first = first_states(&[], &jobs, &[Some(&reason), None, None, None]);
        assert_eq!(shown(&first), ["failed 0", "queued 0", "queued 0", "pending 1 gated"]);
    }

    #[test]
    fn a_child_that_fails_at_once_halts_the_rest_when_the_author_wants_it() {
        let jobs = [child(0, 1, true), child(1, 1, true), child(2, 1, true), after(2)];
        let reason = EndReason::NeverStarted;
        let first = first_states(&[], &jobs, &[Some(&reason), None, None, None]);
        assert_eq!(shown(&first), ["failed 0", "queued 0", "skipped 0 gated", "skipped 0"]);
        assert_eq!(first[2].reason, Some(EndReason::FailFast));
    }
}
