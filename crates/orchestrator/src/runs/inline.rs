//! Which values of a plan are computed from the event, and computing them.
//!
//! Evaluation blocks (bounded in time and memory), so plans that need it are stamped off the threads that serve
//! sockets.

use kici_model::event::Event;
use kici_model::lock::{EnvValue, Inline, TextValue};
use kici_workflow::inline;

use super::plan::{PlannedJob, WorkflowPlan};

/// Whether any value of the plan has to be computed.
pub(super) fn any(plan: &WorkflowPlan) -> bool {
    let group = plan.concurrency.as_ref().map(|concurrency| &concurrency.group);
    matches!(group, Some(TextValue::Inline(_)))
        || plan.jobs.iter().any(|job| job.fails.is_none() && computed(job))
}

fn computed(job: &PlannedJob) -> bool {
    matches!(job.env, Some(EnvValue::Inline(_)))
        || matches!(job.group, Some(TextValue::Inline(_)))
        || job.environments.iter().any(|environment| matches!(environment, TextValue::Inline(_)))
}

/// The name of an environment.
pub(super) fn environment(of: &Inline, event: &Event) -> Result<String, String> {
    inline::text(&of.expression, event).map_err(|error| error.to_string())
}

/// The concurrency group of a job.
pub(super) fn job_group(of: &Inline, event: &Event) -> Result<String, String> {
    inline::text(&of.expression, event).map_err(|error| error.to_string())
}

/// The concurrency group of a workflow, whose function takes `{branch, event}`.
pub(super) fn workflow_group(of: &Inline, event: &Event) -> Result<String, String> {
    // The line break ends a comment that the function's text may end with.
    let call = format!(
        "(event) => ({}\n)({{ branch: event.targetBranch ?? null, event }})",
        of.expression
    );
    inline::text(&call, event).map_err(|error| error.to_string())
}

/// Environment variables, as JSON.
pub(super) fn env(of: &Inline, event: &Event) -> Result<String, String> {
    let map = inline::env(&of.expression, event).map_err(|error| error.to_string())?;
    Ok(serde_json::to_string(&map).expect("a map of texts"))
}
