//! Which jobs of a run are run again when it is repeated in part, and which keep their results. Pure.
//!
//! Whatever needs a job that is run again is run again too, also where it succeeded: its input changes.

use crate::state::JobState;

/// A job of the run that is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub state: JobState,
    /// Places of the jobs that it needs.
    pub needs: Vec<usize>,
    /// It was asked for by name.
    pub chosen: bool,
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs again.
    Again,
    /// It keeps its result.
    Kept,
    /// It is not part of the repetition.
    Left,
}

/// The jobs that did not succeed, with what needs them.
pub fn failed(jobs: &[Ran]) -> Vec<Fate> {
    let again = closure(jobs, |job| job.state != JobState::Success);
    again.into_iter().map(|again| if again { Fate::Again } else { Fate::Kept }).collect()
}

/// The chosen jobs, with what needs them. Others keep their result when they succeeded or a repeated job looks at
/// it, and are left out otherwise.
pub fn chosen(jobs: &[Ran]) -> Vec<Fate> {
    let again = closure(jobs, |job| job.chosen);
    let mut looked_at = vec![false; jobs.len()];
    for (job, _) in jobs.iter().zip(&again).filter(|(_, again)| **again) {
        for need in &job.needs {
            looked_at[*need] = true;
        }
    }
    let fate = |at: usize| {
        if again[at] {
            Fate::Again
        } else if looked_at[at] || jobs[at].state == JobState::Success {
            Fate::Kept
        } else {
            Fate::Left
        }
    };
    (0..jobs.len()).map(fate).collect()
}

/// These jobs and all that need them, however many are between.
fn closure(jobs: &[Ran], starts: impl Fn(&Ran) -> bool) -> Vec<bool> {
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        for need in &job.needs {
            dependants[*need].push(at);
        }
    }
    let mut again = vec![false; jobs.len()];
    let mut next: Vec<usize> = (0..jobs.len()).filter(|at| starts(&jobs[*at])).collect();
    while let Some(at) = next.pop() {
        if !std::mem::replace(&mut again[at], true) {
            next.extend(&dependants[at]);
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(state: JobState, needs: &[usize]) -> Ran {
        Ran { state, needs: needs.to_vec(), chosen: false }
    }

    #[test]
    fn what_succeeded_is_kept_unless_its_input_changes() {
        use JobState as S;
        let jobs = [
            job(S::Success, &[]),
            job(S::Failed, &[0]),
            job(S::Skipped, &[1]),
            // Ran although the second failed: its report is about what comes out now.
            job(S::Success, &[1]),
            job(S::Success, &[0]),
        ];
        assert_eq!(failed(&jobs), [Fate::Kept, Fate::Again, Fate::Again, Fate::Again, Fate::Kept]);
    }

    #[test]
    fn a_chosen_job_takes_what_needs_it_along_and_leaves_the_rest() {
        use JobState as S;
        let mut jobs = vec![
            job(S::Failed, &[]),
            job(S::Success, &[0]),
            job(S::Success, &[1]),
            job(S::Failed, &[]),
            job(S::Success, &[]),
        ];
        jobs[1].chosen = true;
        assert_eq!(chosen(&jobs), [Fate::Kept, Fate::Again, Fate::Again, Fate::Left, Fate::Kept]);
    }

    fn graphs() -> impl Strategy<Value = Vec<Ran>> {
        let state = prop::sample::select(JobState::FINAL.to_vec());
        prop::collection::vec((state, any::<bool>(), any::<u64>()), 1..14).prop_map(|jobs| {
            let job = |(at, (state, chosen, bits)): (usize, &(JobState, bool, u64))| Ran {
                state: *state,
                needs: (0..at).filter(|need| bits >> need & 1 == 1).collect(),
                chosen: *chosen,
            };
            jobs.iter().enumerate().map(job).collect()
        })
    }

    proptest! {
        /// Nothing that is kept needs something that runs again, and nothing runs again without a cause.
        #[test]
        fn kept_results_are_those_of_kept_inputs(jobs in graphs()) {
            for (fates, cause) in [
                (failed(&jobs), (|job: &Ran| job.state != JobState::Success) as fn(&Ran) -> bool),
                (chosen(&jobs), |job: &Ran| job.chosen),
            ] {
                for (at, job) in jobs.iter().enumerate() {
                    let inherited = job.needs.iter().any(|need| fates[*need] == Fate::Again);
                    prop_assert_eq!(fates[at] == Fate::Again, cause(job) || inherited);
                    if fates[at] == Fate::Again {
                        prop_assert!(job.needs.iter().all(|need| fates[*need] != Fate::Left));
                    }
                }
            }
        }
    }
}
