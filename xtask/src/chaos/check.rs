//! Compares what the senders know, what the tables say and what the steps wrote: was anything lost, done twice, left
//! open, or changed after its end?
//!
//! `ends` judges how jobs ended, `executions` reads the journal, `history` the changes of state, `logs` looks for holes. A finding is a sentence with ids that can be looked up in the artifacts.

mod ends;
mod executions;
mod history;
mod logs;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::fleet::Admin;
use super::journal::Journal;
use super::load::Sent;
use super::scenarios::{Run as Plan, SCENARIOS};
use super::tables::{Change, Delivery, Job, Run, Step, Tables};
use ends::Ending;

/// All that is compared.
pub(super) struct Evidence<'a> {
    pub(super) sent: &'a Sent,
    pub(super) journal: Journal,
    deliveries: Vec<Delivery>,
    runs: Vec<Run>,
    jobs: Vec<Job>,
    steps: Vec<Step>,
    changes: Vec<Change>,
}

/// What must not be, by kind; and what was done.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Deliveries without their runs, ends without their work.
    pub(super) lost: Vec<String>,
    /// Runs made twice, steps executed twice within one attempt.
    pub(super) doubled: Vec<String>,
    /// Whatever has no end.
    pub(super) stuck: Vec<String>,
    /// Final states that changed.
    pub(super) revived: Vec<String>,
    /// Log lines that are missing without a mark, or there twice.
    pub(super) unmarked_gaps: Vec<String>,
    /// Ends that no fault explains.
    pub(super) unexplained: Vec<String>,
    /// Numbers that are no verdict.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(sent: &'a Sent, journal: Journal, tables: &Tables) -> Result<Self> {
        Ok(Self {
            sent,
            journal,
            deliveries: tables.deliveries()?,
            runs: tables.runs()?,
            jobs: tables.jobs()?,
            steps: tables.steps()?,
            changes: tables.changes()?,
        })
    }
}

impl Findings {
    /// Each verdict with its name.
    pub(super) fn verdicts(&self) -> [(&'static str, &[String]); 6] {
        [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("stuck", &self.stuck),
            ("revived", &self.revived),
            ("unmarked_gaps", &self.unmarked_gaps),
            ("unexplained", &self.unexplained),
        ]
    }

    /// Whether everything is as it must be.
    pub(super) fn is_clean(&self) -> bool {
        self.verdicts().iter().all(|(_, findings)| findings.is_empty())
    }

    pub(super) fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }
}

/// Looks at everything.
pub(super) async fn check(evidence: &Evidence<'_>, admin: &Admin) -> Findings {
    let mut findings = Findings::default();
    deliveries(evidence, &mut findings);
    runs(evidence, &mut findings);
    executions::check(evidence, &mut findings);
    history::check(evidence, &mut findings);
    logs::check(evidence, admin, &mut findings).await;
    findings
}

/// Every accepted delivery is in the table and done.
fn deliveries(evidence: &Evidence<'_>, findings: &mut Findings) {
    let rows: BTreeMap<&str, &Delivery> =
        evidence.deliveries.iter().map(|row| (row.delivery_id.as_str(), row)).collect();
    let runs: BTreeMap<(&str, &str), usize> =
        evidence.runs.iter().fold(BTreeMap::new(), |mut runs, run| {
            *runs.entry((run.delivery_id.as_str(), run.workflow_name.as_str())).or_default() += 1;
            runs
        });
    let sent = evidence.sent.deliveries.lock().expect("nothing panics");
    findings.count("deliveries", sent.len() as u64);
    for (id, delivery) in sent.iter() {
        if !delivery.accepted {
            findings.stuck.push(format!("delivery {id} was never accepted"));
            continue;
        }
        findings.count("deliveries_accepted", 1);
        let Some(row) = rows.get(id.as_str()) else {
            findings.lost.push(format!("delivery {id} was accepted and is not in the table"));
            continue;
        };
        if row.open {
            findings.stuck.push(format!("delivery {id} is still {}", row.state));
            continue;
        }
        findings.count("runs_expected", delivery.scenario.runs.len() as u64);
        for run in delivery.scenario.runs {
            let error = row.error_message.as_deref().unwrap_or("no error");
            match runs.get(&(id.as_str(), run.workflow)) {
                None => findings.lost.push(format!(
                    "delivery {id} ({}, {error}) made no run of {}",
                    row.state, run.workflow
                )),
                Some(1) => {}
                Some(n) => findings
                    .doubled
                    .push(format!("delivery {id} made {n} runs of {}", run.workflow)),
            }
        }
    }
    for refused in evidence.sent.refused.lock().expect("nothing panics").iter() {
        findings.unexplained.push(refused.clone());
    }
}

/// Every run has its jobs, and each ended as it should or for a reason that a fault explains.
fn runs(evidence: &Evidence<'_>, findings: &mut Findings) {
    let mut jobs: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in &evidence.jobs {
        jobs.entry(&job.run_id).or_default().push(job);
    }
    findings.count("runs", evidence.runs.len() as u64);
    findings.count("jobs", evidence.jobs.len() as u64);
    findings.count("attempts", evidence.jobs.iter().map(|job| u64::from(job.attempt)).sum());
    for run in &evidence.runs {
        let own = jobs.remove(run.id.as_str()).unwrap_or_default();
        if !run.final_state {
            let open: Vec<String> =
                own.iter().filter(|job| !job.final_state).map(|job| shown(job)).collect();
            findings.stuck.push(format!(
                "run {} ({}) is {}: {}",
                run.id,
                run.workflow_name,
                run.state,
                open.join(", ")
            ));
            continue;
        }
        let open: Vec<String> =
            own.iter().filter(|job| !job.final_state).map(|job| shown(job)).collect();
        if !open.is_empty() {
            findings.stuck.push(format!(
                "run {} is {} but has open jobs: {}",
                run.id,
                run.state,
                open.join(", ")
            ));
        }
        let Some(plan) = plan(&run.workflow_name) else {
            findings
                .unexplained
                .push(format!("run {} of the unknown workflow {}", run.id, run.workflow_name));
            continue;
        };
        run_as_planned(evidence, run, &own, plan, findings);
    }
}

fn run_as_planned(
    evidence: &Evidence<'_>,
    run: &Run,
    jobs: &[&Job],
    plan: &Plan,
    findings: &mut Findings,
) {
    let names: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let planned: BTreeSet<&str> = plan.jobs.iter().map(|job| job.name).collect();
    if names != planned {
        findings.lost.push(format!("run {} has the jobs {names:?} instead of {planned:?}", run.id));
    }
    for job in jobs {
        let Some(planned) = plan.jobs.iter().find(|planned| planned.name == job.name) else {
            continue;
        };
        match ends::of(job, run, planned.state) {
            Ending::Planned => {
                findings.count("jobs_as_planned", 1);
                let mut executions = evidence.journal.of(&run.id, &job.name);
                if !planned.steps.is_empty()
                    && !executions.any(|(_, steps)| steps.has(planned.steps))
                {
                    findings.lost.push(format!(
                        "{} ended without having executed all of {:?}",
                        shown(job),
                        planned.steps
                    ));
                }
            }
            Ending::Explained(why) => findings.count(why, 1),
            Ending::Unexplained => findings.unexplained.push(format!(
                "{} of {} should be {}; the run: {}",
                shown(job),
                run.workflow_name,
                planned.state,
                run.failure_reason.as_deref().unwrap_or("no reason")
            )),
        }
    }
}

fn plan(workflow: &str) -> Option<&'static Plan> {
    SCENARIOS.iter().flat_map(|scenario| scenario.runs).find(|run| run.workflow == workflow)
}

/// A job as findings name it.
fn shown(job: &Job) -> String {
    let reason = job.end_reason.as_ref().or(job.wait_reason.as_ref());
    format!(
        "job {} ({}, run {}) is {} in attempt {} on {} [{}] {}",
        job.id,
        job.name,
        job.run_id,
        job.state,
        job.attempt,
        job.agent_id.as_deref().unwrap_or("no agent"),
        reason.map(ToString::to_string).unwrap_or_default(),
        job.error_message.as_deref().unwrap_or_default()
    )
}
