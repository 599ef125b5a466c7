//! Whether a job's end is the planned one, or explained by what was done to it.

use super::{Case, Evidence, Job};
use crate::chaos::scenarios::Job as Plan;

/// How an end is to be seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As the scenario says.
    Planned,
    /// A fault or a person did it; the name under which such ends are counted.
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
pub(super) fn of(evidence: &Evidence<'_>, job: &Job, case: &Case<'_>, plan: &Plan) -> Ending {
    if job.reused_from.is_some() {
        // Judged with the run in which it ran.
        return Ending::Explained("jobs_kept");
    }
    let planned = plan.states.contains(&job.state.as_str());
    let by_reason = |job: &Job, case: &Case<'_>| {
        if was_refused(evidence, job, case) {
            Ending::Explained("jobs_refused")
        } else {
            by_reason(job, case)
        }
    };
    if case.run.stop.is_some() {
        // A stopped run may have jobs that had ended before. Who stopped it is looked at with the run.
        return match job.state.as_str() {
            "cancelled" => Ending::Explained("jobs_cancelled"),
            _ if planned => Ending::Planned,
            _ => by_reason(job, case),
        };
    }
    match by_reason(job, case) {
        // A job that was to fail may have failed in another way.
        Ending::Explained(why) if planned && job.state == "failed" => Ending::Explained(why),
        // Nobody is cancelled in a run that nobody stopped.
        _ if planned && job.state != "cancelled" => Ending::Planned,
        ending => ending,
    }
}

/// Whether somebody did not approve of it, or of a step of it.
fn was_refused(evidence: &Evidence<'_>, job: &Job, case: &Case<'_>) -> bool {
    let rejected = |scope: &str| {
        evidence.holds.iter().any(|hold| {
            hold.state == "rejected"
                && hold.run_id == case.run.id
                && hold.scope == scope
                && hold.job_id.as_ref().is_none_or(|held| *held == job.id)
        })
    };
    let reason = job.end_reason.as_ref().and_then(|reason| reason["kind"].as_str());
    let text = job.error_message.as_deref().unwrap_or_default();
    match (reason, job.state.as_str()) {
        (Some("approval_rejected"), "cancelled") => rejected("job") || rejected("workflow"),
        (Some("step_failed" | "job_error"), "failed") => {
            text.contains("approval rejected") && rejected("step")
        }
        _ => false,
    }
}

fn by_reason(job: &Job, case: &Case<'_>) -> Ending {
    let Some(reason) = &job.end_reason else { return Ending::Unexplained };
    let text = job.error_message.as_deref().unwrap_or_default();
    let killed = KILLED.iter().any(|killed| text.contains(killed));
    match reason["kind"].as_str().unwrap_or_default() {
        "agent_lost" | "agent_restarted" => Ending::Explained("jobs_agent_lost"),
        "job_error" | "step_failed" | "process_died" if killed => Ending::Explained("jobs_killed"),
        // A job that computes others says in its own words what became of itself.
        "init" if killed || text.ends_with(" was lost") || text.ends_with(" lost the job") => {
            Ending::Explained("jobs_not_computed")
        }
        "upstream_unmet" if job.state == "skipped" => {
            let upstream = case.job(reason["upstream"].as_str().unwrap_or_default());
            match upstream {
                Some(upstream) if reason["status"] == *upstream.state => {
                    Ending::Explained("jobs_upstream_unmet")
                }
                _ => Ending::Unexplained,
            }
        }
        "not_repeated" => match &case.run.rerun_scope {
            Some(scope) if scope.starts_with("job:") => Ending::Explained("jobs_not_repeated"),
            _ => Ending::Unexplained,
        },
        "fail_fast" if job.state == "skipped" => {
            let base = |name: &str| name.split(" (").next().map(str::to_owned);
            let halted = case.jobs.iter().any(|sibling| {
                base(&sibling.name) == base(&job.name)
                    && !matches!(sibling.state.as_str(), "success" | "skipped")
            });
            if halted { Ending::Explained("jobs_halted") } else { Ending::Unexplained }
        }
        _ => Ending::Unexplained,
    }
}
