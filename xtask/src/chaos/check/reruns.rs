//! Whether runs that somebody wanted again were made once, with what had to run again and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Case, Evidence, Findings, Job, Run, shown};

/// What a refusal may say, besides that nothing failed.
const REFUSALS: &[&str] = &[
    "which ended",
    "computes other jobs of this run",
    "this run has no job",
    "was computed together with its matrix",
];

/// Looks at what was asked for.
pub(super) fn asked(evidence: &Evidence<'_>, findings: &mut Findings) {
    let mut made: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    for run in evidence.runs.iter().filter(|run| run.parent_run_id.is_some()) {
        made.entry(run.rerun_key.as_deref().unwrap_or_default()).or_default().push(run);
    }
    findings.count("runs_repeated", made.values().map(|runs| runs.len() as u64).sum());
    let asked = evidence.sent.asked.lock().expect("nothing panics");
    for (key, repeat) in &asked.repeats {
        let runs = made.remove(key.as_str()).unwrap_or_default();
        let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        if ids.len() > 1 {
            findings.doubled.push(format!("run {} was run again as {ids:?}", repeat.run));
        }
        match &repeat.answer {
            Some(Ok(new)) if ids != [new.as_str()] => findings.lost.push(format!(
                "run {} is run again as {new}, said the answer, and there is {ids:?}",
                repeat.run
            )),
            Some(Err(why)) => {
                findings.count("repeats_refused", 1);
                refused(evidence, repeat.run.as_str(), &repeat.scope, why, findings);
            }
            Some(Ok(_)) | None => {}
        }
        for run in runs {
            let as_asked = run.parent_run_id.as_deref() == Some(&repeat.run)
                && run.rerun_scope.as_deref() == Some(&repeat.scope);
            if !as_asked {
                findings.unexplained.push(format!("run {} is not what {repeat:?} meant", run.id));
            }
        }
    }
    for (key, runs) in made {
        let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
        findings.unexplained.push(format!("nobody asked for {ids:?} with the key {key:?}"));
    }
}

fn refused(evidence: &Evidence<'_>, run: &str, scope: &str, why: &str, findings: &mut Findings) {
    let mut jobs = evidence.jobs.iter().filter(|job| job.run_id == run);
    let nothing_failed = jobs.all(|job| matches!(job.state.as_str(), "success" | "skipped"));
    let fine = match scope {
        "all" => false,
        "failed" if why.starts_with("no job of this run failed") => nothing_failed,
        _ => REFUSALS.iter().any(|refusal| why.contains(refusal)),
    };
    if !fine {
        findings
            .unexplained
            .push(format!("run {run} could not be run again ({scope}, {why:?}) and should"));
    }
}

/// Looks at a run that repeats another.
pub(super) fn check(evidence: &Evidence<'_>, case: &Case<'_>, findings: &mut Findings) {
    let Some(parent) = case.run.parent_run_id.as_deref() else {
        for job in case.jobs.iter().filter(|job| job.reused_from.is_some()) {
            findings.unexplained.push(format!("{} of a first run is reused", shown(job)));
        }
        return;
    };
    let scope = case.run.rerun_scope.as_deref().unwrap_or_default();
    let before: BTreeMap<&str, &Job> = evidence
        .jobs
        .iter()
        .filter(|job| job.run_id == parent)
        .map(|job| (job.name.as_str(), job))
        .collect();
    for job in &case.jobs {
        let Some(source) = &job.reused_from else { continue };
        findings.count("jobs_reused", 1);
        let same = evidence.jobs.iter().any(|ran| {
            ran.id == *source
                && ran.name == job.name
                && ran.state == job.state
                && ran.reused_from.is_none()
        });
        if !same || before.get(job.name.as_str()).is_none_or(|before| before.state != job.state) {
            findings.unexplained.push(format!("{} is not what it reuses", shown(job)));
        }
        if evidence.journal.of(&job.run_id, &job.name).next().is_some() {
            findings.doubled.push(format!("{} is reused and was executed again", shown(job)));
        }
    }
    let again = again(case, scope, &before);
    for job in &case.jobs {
        let kept = job.reused_from.is_some() || kind(job) == "not_repeated";
        if kept == again.contains(job.name.as_str()) {
            let how = if kept { "is kept" } else { "runs again" };
            findings.unexplained.push(format!("{} {how} in a repetition of {scope}", shown(job)));
        }
    }
}

/// The jobs that a repetition has to run.
fn again<'a>(case: &Case<'a>, scope: &str, before: &BTreeMap<&str, &Job>) -> BTreeSet<&'a str> {
    let chosen = |name: &str| match (scope, scope.strip_prefix("job:")) {
        ("all", _) => true,
        (_, Some(job)) => name == job || name.split(" (").next() == Some(job),
        _ => before.get(name).is_some_and(|job| job.state != "success"),
    };
    let names = || case.jobs.iter().map(|job| job.name.as_str());
    let mut again: BTreeSet<&str> = names().filter(|name| chosen(name)).collect();
    loop {
        let more: Vec<&str> = names()
            .filter(|name| !again.contains(name))
            .filter(|name| {
                let plan = case.plan.jobs.iter().find(|plan| plan.name == *name);
                plan.is_some_and(|plan| plan.needs.iter().any(|need| again.contains(need)))
            })
            .collect();
        if more.is_empty() {
            return again;
        }
        again.extend(more);
    }
}

fn kind(job: &Job) -> &str {
    job.end_reason.as_ref().and_then(|reason| reason["kind"].as_str()).unwrap_or_default()
}
