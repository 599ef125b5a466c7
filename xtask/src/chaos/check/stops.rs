//! Whether runs were stopped by those who may: somebody who asked, a newer run of their group, their own limit.

use super::{Case, Evidence, Findings};
use crate::chaos::scenarios;

pub(super) fn check(evidence: &Evidence<'_>, case: &Case<'_>, findings: &mut Findings) {
    let (run, plan) = (case.run, case.plan);
    if run.stop.is_none() {
        return;
    }
    let asked = evidence.sent.asked.lock().expect("nothing panics").cancels.contains(&run.id);
    let newer = plan.group.filter(|group| group.supersedes).is_some_and(|group| {
        let same = |other: &str| scenarios::run(other).and_then(|plan| plan.group) == Some(group);
        evidence.runs.iter().any(|other| other.id > run.id && same(&other.workflow_name))
    });
    let reason = run.failure_reason.as_deref().unwrap_or_default();
    // A run of which a job failed says so instead.
    let says = |words: &str| run.state != "cancelled" || reason.starts_with(words);
    let limit = plan
        .limit_ms
        .map(|ms| format!("workflow_timeout: run exceeded the workflow timeout of {ms}ms"));
    let why = if reason.starts_with("Superseded by run in concurrency group '") && newer {
        "runs_superseded"
    } else if limit.as_ref().is_some_and(|limit| says(limit)) {
        "runs_timed_out"
    } else if asked && says("run cancelled via API") {
        "runs_cancelled"
    } else if newer && says("Superseded by run in concurrency group '") {
        "runs_superseded"
    } else {
        findings.unexplained.push(format!(
            "run {} ({}) was stopped and is {}: {reason:?}, asked for: {asked}",
            run.id, run.workflow_name, run.state
        ));
        return;
    };
    findings.count(why, 1);
}
