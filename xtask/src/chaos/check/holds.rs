//! Whether nothing went on before somebody had approved, and everything is as was decided.

use super::life::Lives;
use super::turns::spans;
use super::{Case, Evidence, Findings, shown};
use crate::chaos::rows::Hold;

pub(super) fn check(
    evidence: &Evidence<'_>,
    lives: &Lives<'_>,
    case: &Case<'_>,
    findings: &mut Findings,
) {
    let holds: Vec<&Hold> =
        evidence.holds.iter().filter(|hold| hold.run_id == case.run.id).collect();
    let asked = evidence.sent.asked.lock().expect("nothing panics");
    for hold in &holds {
        let decided = asked.decisions.get(&hold.id);
        let (wanted, count) = match hold.state.as_str() {
            "approved" => (Some(&true), "holds_approved"),
            "rejected" => (Some(&false), "holds_rejected"),
            // Its run or job ended first.
            "cancelled" | "planned" if case.run.final_state => (decided, "holds_cancelled"),
            "pending" if case.run.final_state => (decided, "holds_cancelled"),
            _ => (None, "holds_open"),
        };
        findings.count(count, 1);
        if decided != wanted || count == "holds_open" {
            findings.unexplained.push(format!(
                "hold {} of run {} ({}) is {}, somebody approved: {decided:?}",
                hold.id, hold.run_id, hold.scope, hold.state
            ));
        }
    }
    for job in &case.jobs {
        let plan = case.plan.jobs.iter().find(|plan| plan.name == job.name);
        for (asks, own) in
            [(case.plan.asks, None), (plan.is_some_and(|plan| plan.asks), Some(&job.id))]
        {
            let approved = holds
                .iter()
                .filter(|hold| hold.state == "approved" && hold.job_id.as_ref() == own)
                .filter_map(|hold| hold.resolved_ms)
                .min();
            let began = spans(evidence, lives, job).iter().map(|span| span.from.at_ms).min();
            if asks && began.is_some_and(|began| approved.is_none_or(|approved| approved > began)) {
                findings
                    .out_of_turn
                    .push(format!("{} began before it was approved of", shown(job)));
            }
        }
    }
}
