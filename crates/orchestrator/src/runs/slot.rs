//! Places of new runs and jobs in concurrency groups. Comes after [`super::hold`]: an approval is asked for first.
//!
//! What gives the places out is [`crate::slots`].

use kici_model::lock::TextValue;
use kici_model::state::JobState;
use kici_store::job::JobRow;
use kici_store::slot::SlotRow;
use uuid::Uuid;

use super::inline;
use super::plan::PlannedGroup;
use super::stamp::{Cause, clean};
use crate::slots::{of_job, of_run};

/// Makes jobs that are about to be written wait for their groups. `of_workflow` is the group of the whole run, `groups`
/// has that of each job.
pub(super) fn slots(
    run: Uuid,
    cause: &Cause<'_>,
    of_workflow: Option<&PlannedGroup>,
    jobs: &mut [JobRow],
    groups: Vec<Option<String>>,
) -> Vec<SlotRow> {
    let mut slots = Vec::new();
    let whole = of_workflow.and_then(|planned| {
        Some((name(&planned.group, cause)?, planned)).filter(|_| jobs.iter().any(starts))
    });
    if let Some((name, planned)) = &whole {
        slots.push(of_run(cause.routing_key, run, name, planned.max, planned.cancel));
    }
    places(cause.routing_key, run, whole.is_some(), jobs, groups, &mut slots);
    slots
}

/// The same for jobs that join a run, which has its own place already.
pub(super) fn slots_of_joining(
    routing_key: &str,
    run: Uuid,
    jobs: &mut [JobRow],
    groups: Vec<Option<String>>,
) -> Vec<SlotRow> {
    let mut slots = Vec::new();
    places(routing_key, run, false, jobs, groups, &mut slots);
    slots
}

fn starts(job: &JobRow) -> bool {
    [JobState::Pending, JobState::Queued, JobState::Held].iter().any(|s| s.as_str() == job.state)
}

fn places(
    routing_key: &str,
    run: Uuid,
    of_run: bool,
    jobs: &mut [JobRow],
    groups: Vec<Option<String>>,
    slots: &mut Vec<SlotRow>,
) {
    for (job, group) in jobs.iter_mut().zip(groups) {
        if !starts(job) || (!of_run && group.is_none()) {
            continue;
        }
        if let Some(group) = group {
            slots.push(of_job(routing_key, run, job.id, &group));
        }
        job.slot = true;
        if job.state == JobState::Queued.as_str() {
            job.state = JobState::Waiting.as_str().to_owned();
        }
    }
}

/// The group's name; none when it cannot be evaluated here. An agent then evaluates it, and says what is wrong.
fn name(group: &TextValue, cause: &Cause<'_>) -> Option<String> {
    match group {
        TextValue::Text(name) => Some(clean(name)),
        TextValue::Inline(of) => {
            inline::workflow_group(of, cause.event).ok().map(|name| clean(&name))
        }
    }
}
