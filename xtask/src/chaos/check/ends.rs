//! Whether a job's end is the planned one, or explained by what was done to it.

use super::{Job, Run};

/// How an end is to be seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As the scenario says.
    Planned,
    /// A fault or a cancel did it; the name under which such ends are counted.
    Explained(&'static str),
    /// Nobody did it.
    Unexplained,
}

/// What errors say when somebody killed the job's process, its agent, or asked the agent to go.
const KILLED: &[&str] = &[
    "Workflow runner crashed",
    "killed by SIG",
    "Agent shut down during execution",
    "the agent process was killed",
];

/// Judges the end of a job.
pub(super) fn of(job: &Job, run: &Run, planned: &str) -> Ending {
    if run.stop.is_some() {
        // A cancelled run may have jobs that had ended before.
        return match job.state.as_str() {
            "cancelled" => Ending::Explained("jobs_cancelled"),
            state if state == planned => Ending::Planned,
            _ => by_reason(job),
        };
    }
    if job.state == planned { planned_or_lost(job) } else { by_reason(job) }
}

/// A job that was to fail may have failed in another way.
fn planned_or_lost(job: &Job) -> Ending {
    match by_reason(job) {
        Ending::Explained(why) if job.state == "failed" => Ending::Explained(why),
        _ => Ending::Planned,
    }
}

fn by_reason(job: &Job) -> Ending {
    let kind =
        job.end_reason.as_ref().and_then(|reason| reason["kind"].as_str()).unwrap_or_default();
    let text = job.error_message.as_deref().unwrap_or_default();
    match kind {
        "agent_lost" => Ending::Explained("jobs_agent_lost"),
        "upstream_unmet" if job.state == "skipped" => Ending::Explained("jobs_upstream_unmet"),
        "job_error" | "step_failed" | "process_died"
            if KILLED.iter().any(|killed| text.contains(killed)) =>
        {
            Ending::Explained("jobs_killed")
        }
        _ => Ending::Unexplained,
    }
}
