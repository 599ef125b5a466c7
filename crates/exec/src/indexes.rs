//! Log and row indices of everything that is not a step the author wrote. `docs/design/steps.md`
//! lists the ranges; no two of them meet.

/// The job's own log.
pub(crate) const JOB: i64 = -1;

const INIT: i64 = 1_000_000;
const STEP_HOOKS: i64 = 2_000_000;
const JOB_HOOKS: i64 = 2_900_000;
const CACHES: i64 = 3_000_000;
const INIT_CACHES: i64 = 9_000_000;
/// Caches of one owner: restore and save of 500 entries.
const PER_OWNER: i64 = 1_000;

/// Hooks that belong to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepHook {
    Before,
    After,
    OnCancel,
    Cleanup,
}

/// Hooks at the end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobHook {
    OnSuccess,
    OnFailure,
    OnCancel,
    Cleanup,
}

/// Who declared a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheOwner {
    Job,
    Step(i64),
    Init(i64),
}

/// Item `n` of the init phase.
pub(crate) fn init(n: i64) -> i64 {
    INIT + n
}

/// A hook of step `step`.
pub(crate) fn step_hook(step: i64, hook: StepHook) -> i64 {
    STEP_HOOKS + 10 * step + hook as i64
}

/// A hook of the job.
pub(crate) fn job_hook(hook: JobHook) -> i64 {
    JOB_HOOKS + hook as i64
}

/// Cache number `n` of `owner`, restored or saved.
pub(crate) fn cache(owner: CacheOwner, n: i64, save: bool) -> i64 {
    let base = match owner {
        CacheOwner::Job => CACHES,
        CacheOwner::Step(step) => CACHES + PER_OWNER * (step + 1),
        CacheOwner::Init(item) => INIT_CACHES + PER_OWNER * item,
    };
    base + 2 * n + i64::from(save)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_things_share_an_index() {
        let mut seen = HashSet::new();
        let mut take = |index| assert!(seen.insert(index), "{index} is used twice");
        take(JOB);
        for step in 0..2_000 {
            take(step);
            take(init(step));
            for hook in [StepHook::Before, StepHook::After, StepHook::OnCancel, StepHook::Cleanup] {
                take(step_hook(step, hook));
            }
            for n in 0..20 {
                for save in [false, true] {
                    take(cache(CacheOwner::Step(step), n, save));
                    take(cache(CacheOwner::Init(step), n, save));
                }
            }
        }
        for hook in [JobHook::OnSuccess, JobHook::OnFailure, JobHook::OnCancel, JobHook::Cleanup] {
            take(job_hook(hook));
        }
        take(cache(CacheOwner::Job, 0, false));
    }
}
