//! A parallel group: children at the same time, a barrier at the end.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kici_workflow::describe::{ParallelDef, StepDef};

use super::step::OneStep;
use crate::control::Stop;
use crate::environment::EnvChange;
use crate::job::Job;
use crate::spec::StepStatus;

/// Runs the group; its first child has index `first`. Says whether the job goes on.
pub(super) async fn run(job: &Job, group: &ParallelDef, first: i64, group_id: String) -> bool {
    let stop = job.context.control.stop.child();
    let width = match group.max_parallel {
        None | Some(0) => group.steps.len(),
        Some(width) => usize::try_from(width).unwrap_or(usize::MAX),
    };
    let mut runs = Vec::with_capacity(group.steps.len());
    for (place, (index, step)) in (first..).zip(&group.steps).enumerate() {
        let one = OneStep { job, step, index, group: Some(group_id.clone()) };
        if place >= width {
            one.row().pending(&job.context).await;
        }
        runs.push(run_child(one, step, group.fail_fast, &stop));
    }
    let mut ends: Vec<ChildEnd> = stream::iter(runs).buffer_unordered(width.max(1)).collect().await;
    // Children did not see each other's changes. In author order the result is always the same.
    ends.sort_by_key(|end| end.index);
    let mut go_on = true;
    for end in ends {
        go_on &= end.go_on;
        if let Some(change) = end.change {
            job.context.env.apply(change);
        }
    }
    go_on
}

struct ChildEnd {
    index: i64,
    go_on: bool,
    change: Option<EnvChange>,
}

async fn run_child(one: OneStep<'_>, step: &StepDef, fail_fast: bool, stop: &Stop) -> ChildEnd {
    let index = one.index;
    if stop.term.is_cancelled() {
        one.never_ran(StepStatus::Cancelled, Duration::ZERO).await;
        return ChildEnd { index, go_on: false, change: None };
    }
    let mut end = one.run(stop).await;
    if fail_fast && end.is_hard_failure(step) {
        stop.term.cancel();
    }
    let change = end.change.take();
    ChildEnd { index, go_on: one.finish(end).await, change }
}
