//! The step loop: entries in author order, until one fails or the job is stopped.
//!
//! `step` runs one step, `attempt` its function once, `last` its hooks, `parallel` a group.

mod attempt;
mod last;
mod parallel;
mod retry;
mod step;

use kici_workflow::describe::StepEntry;

use crate::job::Job;
use crate::report::{Report, Row};
use crate::spec::StepStatus;
use step::OneStep;

/// Runs every step that has to run. What happened is in the job's progress.
pub(crate) async fn run(job: &Job) {
    let mut index = 0;
    let mut group = 0;
    for entry in &job.def.steps {
        if job.context.control.stop.term.is_cancelled() {
            return;
        }
        let go_on = match entry {
            StepEntry::Step(step) => {
                let one = OneStep { job, step, index, group: None };
                index += 1;
                let end = one.run(&job.context.control.stop).await;
                one.finish(end).await
            }
            StepEntry::Parallel(children) => {
                let first = index;
                index += i64::try_from(children.steps.len()).expect("a count fits into an i64");
                group += 1;
                parallel::run(job, children, first, format!("g{}", group - 1)).await
            }
        };
        if !go_on {
            return;
        }
    }
}

/// Shows every step as skipped: a rule of the job did not pass.
pub(crate) async fn skip_all(job: &Job) {
    let mut index = 0;
    let mut group = 0;
    for entry in &job.def.steps {
        let (steps, group_id) = match entry {
            StepEntry::Step(step) => (std::slice::from_ref(&**step), None),
            StepEntry::Parallel(children) => {
                group += 1;
                (children.steps.as_slice(), Some(format!("g{}", group - 1)))
            }
        };
        for step in steps {
            let row = Row { index, name: step.name.clone(), group: group_id.clone() }.step();
            row.started(&job.context).await;
            let report = Report::new(StepStatus::Skipped, std::time::Duration::ZERO);
            row.ended(&job.context, report).await;
            job.record(index, &step.name, StepStatus::Skipped, std::time::Duration::ZERO, None);
            index += 1;
        }
    }
}
