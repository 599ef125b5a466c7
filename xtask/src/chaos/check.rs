//! Compares what the senders know, what the tables say and what the steps wrote: was anything lost, done twice, left
//! open, or changed after its end?
//!
//! `runs` looks at each run and its jobs, `ends` judges how jobs ended, `stops` who stopped runs, `turns` and `groups`
//! whether they waited for each other, `holds` for people; `reruns` is about what was run again. `executions` reads the journal, `life` and `history` the changes of state, `logs` looks for holes. A finding is a
//! sentence with ids that can be looked up in the artifacts.

mod ends;
mod executions;
mod groups;
mod history;
mod holds;
mod life;
mod logs;
mod reruns;
mod runs;
mod stops;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::fleet::Admin;
use super::journal::Journal;
use super::load::Sent;
use super::rows::{Change, Delivery, Hold, Job, Place, Run, Step, Waiter};
use super::scenarios::Run as Plan;
use super::tables::Tables;
use life::Lives;

/// All that is compared.
pub(super) struct Evidence<'a> {
    pub(super) sent: &'a Sent,
    pub(super) journal: Journal,
    deliveries: Vec<Delivery>,
    runs: Vec<Run>,
    jobs: Vec<Job>,
    steps: Vec<Step>,
    changes: Vec<Change>,
    holds: Vec<Hold>,
    places: Vec<Place>,
    waiters: Vec<Waiter>,
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
    /// What worked although it should have waited.
    pub(super) out_of_turn: Vec<String>,
    /// Numbers that are no verdict.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// A run with its jobs and what was planned for it.
struct Case<'a> {
    run: &'a Run,
    jobs: Vec<&'a Job>,
    plan: &'static Plan,
}

impl Case<'_> {
    /// A job by its name.
    fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name).copied()
    }
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
            holds: tables.holds()?,
            places: tables.places()?,
            waiters: tables.waiters()?,
        })
    }

    fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }
}

impl Findings {
    /// Each verdict with its name.
    pub(super) fn verdicts(&self) -> [(&'static str, &[String]); 7] {
        [
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("stuck", &self.stuck),
            ("revived", &self.revived),
            ("unmarked_gaps", &self.unmarked_gaps),
            ("unexplained", &self.unexplained),
            ("out_of_turn", &self.out_of_turn),
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
    let lives = Lives::of(&evidence.changes);
    runs::check(evidence, &lives, &mut findings);
    executions::check(evidence, &mut findings);
    history::check(evidence, &mut findings);
    logs::check(evidence, admin, &mut findings).await;
    findings
}

/// Every accepted delivery is in the table and done.
fn deliveries(evidence: &Evidence<'_>, findings: &mut Findings) {
    let rows: BTreeMap<&str, &Delivery> =
        evidence.deliveries.iter().map(|row| (row.delivery_id.as_str(), row)).collect();
    let runs: BTreeMap<(&str, &str), usize> = evidence
        .runs
        .iter()
        .filter(|run| run.parent_run_id.is_none())
        .fold(BTreeMap::new(), |mut runs, run| {
            *runs.entry((run.delivery_id.as_str(), run.workflow_name.as_str())).or_default() += 1;
            runs
        });
    let sent = evidence.sent.deliveries.lock().expect("nothing panics");
    findings.count("deliveries", sent.len() as u64);
    let branches: BTreeSet<&str> = sent.values().map(|delivery| delivery.scenario.branch).collect();
    findings.count("scenarios", branches.len() as u64);
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
