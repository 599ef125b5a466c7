//! What the steps wrote down themselves: nothing was executed more often than it was given out, or though it never should.

use std::collections::BTreeMap;

use super::{Evidence, Findings, Job, shown};

pub(super) fn check(evidence: &Evidence<'_>, findings: &mut Findings) {
    let jobs: BTreeMap<(&str, &str), &Job> =
        evidence.jobs.iter().map(|job| ((job.run_id.as_str(), job.name.as_str()), job)).collect();
    findings.count("steps_executed", evidence.journal.started());
    for (run, name) in evidence.journal.jobs() {
        let Some(job) = jobs.get(&(run.as_str(), name.as_str())) else {
            findings
                .lost
                .push(format!("job {name} of run {run} was executed and is not in the table"));
            continue;
        };
        let executions: Vec<_> = evidence.journal.of(run, name).collect();
        let count = executions.len();
        findings.count("executions", count as u64);
        if count > 1 {
            findings.count("jobs_executed_again", 1);
        }
        if count as u64 > u64::from(job.attempt) {
            findings.doubled.push(format!("{} was executed by {count} processes", shown(job)));
        }
        for (execution, steps) in executions {
            let repeated = steps.repeated();
            if !repeated.is_empty() {
                findings
                    .doubled
                    .push(format!("{}: execution {execution} repeated {repeated:?}", shown(job)));
            }
        }
        if job.state == "skipped" {
            findings
                .unexplained
                .push(format!("{} was skipped although it was executed", shown(job)));
        }
    }
}
