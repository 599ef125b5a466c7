//! Every run has its jobs, each ended as it should or for a reason that a fault explains, and the run as its jobs say.

use std::collections::BTreeMap;

use super::ends::{self, Ending};
use super::groups::Groups;
use super::life::Lives;
use super::{Case, Evidence, Findings, Job, holds, reruns, shown, stops, turns};
use crate::chaos::scenarios::{self, Job as Plan, There};

/// What a state counts as.
const FAILURES: &[&str] = &["failed", "timed_out_stale", "drift_dropped"];

pub(super) fn check(evidence: &Evidence<'_>, lives: &Lives<'_>, findings: &mut Findings) {
    let mut jobs: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in &evidence.jobs {
        jobs.entry(&job.run_id).or_default().push(job);
    }
    findings.count("runs", evidence.runs.len() as u64);
    findings.count("jobs", evidence.jobs.len() as u64);
    findings.count("attempts", evidence.jobs.iter().map(|job| u64::from(job.attempt)).sum());
    let mut groups = Groups::default();
    for run in &evidence.runs {
        let own = jobs.remove(run.id.as_str()).unwrap_or_default();
        let open: Vec<String> =
            own.iter().filter(|job| !job.final_state).map(|job| shown(job)).collect();
        if !run.final_state || !open.is_empty() {
            findings.stuck.push(format!(
                "run {} ({}) is {} with these open jobs: {}",
                run.id,
                run.workflow_name,
                run.state,
                open.join(", ")
            ));
        }
        let Some(plan) = scenarios::run(&run.workflow_name) else {
            findings
                .unexplained
                .push(format!("run {} of the unknown workflow {}", run.id, run.workflow_name));
            continue;
        };
        let case = Case { run, jobs: own, plan };
        turns::check(evidence, lives, &case, findings);
        holds::check(evidence, lives, &case, findings);
        reruns::check(evidence, &case, findings);
        stops::check(evidence, &case, findings);
        groups.add(evidence, lives, &case);
        if run.final_state {
            complete(&case, findings);
            for job in &case.jobs {
                as_planned(evidence, &case, job, findings);
            }
            derived(&case, findings);
        }
    }
    groups.check(evidence, lives, findings);
    reruns::asked(evidence, findings);
}

/// Each job is there once, and no other.
fn complete(case: &Case<'_>, findings: &mut Findings) {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for job in &case.jobs {
        *rows.entry(&job.name).or_default() += 1;
    }
    for planned in case.plan.jobs {
        let made = |by: &str| case.job(by).is_some_and(|job| job.state == "success");
        let wanted = match planned.there {
            There::Always => true,
            There::If(by) => made(by),
            There::Unless(by) => !made(by),
        };
        match (rows.remove(planned.name).unwrap_or(0), wanted) {
            (1, true) | (0, false) => {}
            (0, true) => findings.lost.push(format!(
                "run {} ({}) lacks the job {}",
                case.run.id, case.run.workflow_name, planned.name
            )),
            (rows, _) => findings.doubled.push(format!(
                "run {} ({}) has the job {} {rows} times",
                case.run.id, case.run.workflow_name, planned.name
            )),
        }
    }
    for name in rows.keys() {
        findings
            .unexplained
            .push(format!("run {} has the job {name} that nobody planned", case.run.id));
    }
}

fn as_planned(evidence: &Evidence<'_>, case: &Case<'_>, job: &Job, findings: &mut Findings) {
    let Some(plan) = case.plan.jobs.iter().find(|planned| planned.name == job.name) else {
        return;
    };
    match ends::of(evidence, job, case, plan) {
        Ending::Planned => {
            findings.count("jobs_as_planned", 1);
            has_worked(evidence, job, plan, findings);
        }
        Ending::Explained(why) => findings.count(why, 1),
        Ending::Unexplained => findings.unexplained.push(format!(
            "{} of {} should be {}; the run: {}",
            shown(job),
            case.run.workflow_name,
            plan.states.join(" or "),
            case.run.failure_reason.as_deref().unwrap_or("no reason")
        )),
    }
}

/// An end as planned is one of a job that has done all of its work.
fn has_worked(evidence: &Evidence<'_>, job: &Job, plan: &Plan, findings: &mut Findings) {
    if plan.steps.is_empty() || job.state == "skipped" {
        return;
    }
    let mut executions = evidence.journal.of(&job.run_id, &job.name);
    if !executions.any(|(_, steps)| steps.has(plan.steps)) {
        findings.lost.push(format!(
            "{} ended without having executed all of {:?}",
            shown(job),
            plan.steps
        ));
    }
}

/// A run is what its jobs are.
fn derived(case: &Case<'_>, findings: &mut Findings) {
    let any = |states: &[&str]| case.jobs.iter().any(|job| states.contains(&job.state.as_str()));
    let refused = case.jobs.iter().any(|job| {
        job.state == "cancelled"
            && job.end_reason.as_ref().is_some_and(|why| why["kind"] == "approval_rejected")
    });
    let wanted = match () {
        () if any(FAILURES) || refused => "failed",
        () if any(&["cancelled"]) => "cancelled",
        () => "success",
    };
    if case.run.state != wanted {
        findings.unexplained.push(format!(
            "run {} ({}) is {} and its jobs say {wanted}: {}",
            case.run.id,
            case.run.workflow_name,
            case.run.state,
            case.run.failure_reason.as_deref().unwrap_or("no reason")
        ));
    }
}
