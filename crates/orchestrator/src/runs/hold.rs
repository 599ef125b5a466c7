//! Holds of new jobs: which of them, or the run as a whole, wait for people before they start.
//!
//! The last thing that happens to rows before they are written, whatever made them, so that no way to a job goes
//! past its approval. What opens holds again is [`crate::holds`].

use kici_model::approval;
use kici_model::lock::{Approval, ApprovalClause};
use kici_model::state::{HoldScope, HoldState, JobState, WaitReason};
use kici_store::hold::HoldRow;
use kici_store::job::JobRow;
use uuid::Uuid;

/// Nobody means to wait longer; PostgreSQL could not add it to a time.
const LONGEST_SECS: i64 = 10 * 365 * 24 * 60 * 60;

/// Holds jobs that are about to be written. `of_run` is the approval of the whole run, for its first jobs;
/// `approvals` has that of each job.
pub(crate) fn hold<'a>(
    run: Uuid,
    of_run: Option<&Approval>,
    jobs: &mut [JobRow],
    approvals: impl IntoIterator<Item = Option<&'a Approval>>,
) -> Vec<HoldRow> {
    let (pending, queued) = (JobState::Pending.as_str(), JobState::Queued.as_str());
    let mut holds = Vec::new();
    let starts = |job: &JobRow| job.state == pending || job.state == queued;
    if let Some(approval) = of_run
        && jobs.iter().any(starts)
    {
        holds.push(row(run, None, approval, HoldState::Pending));
    }
    for (job, approval) in jobs.iter_mut().zip(approvals) {
        if !starts(job) || (of_run.is_none() && approval.is_none()) {
            continue;
        }
        let is_next = job.state == queued;
        if let Some(approval) = approval {
            job.hold = true;
            let asked = is_next && of_run.is_none();
            let state = if asked { HoldState::Pending } else { HoldState::Planned };
            holds.push(row(run, Some(job.id), approval, state));
        }
        if is_next {
            job.hold = true;
            job.state = JobState::Held.as_str().to_owned();
            job.wait_reason = of_run.or(approval).map(|approval| wait_reason(&approval.clauses));
        }
    }
    holds
}

/// What a job shows while somebody is asked, JSON.
pub(crate) fn wait_reason(clauses: &[ApprovalClause]) -> String {
    let approvers = clauses.iter().map(approval::name).collect();
    serde_json::to_string(&WaitReason::Approval { approvers }).expect("a reason is plain data")
}

/// A limit as the table takes it; one that makes no sense counts as the shortest.
pub(crate) fn limit(seconds: f64) -> i64 {
    // A cast of a float saturates, and turns what is no number into 0.
    (seconds.ceil() as i64).clamp(1, LONGEST_SECS)
}

fn row(run: Uuid, job: Option<Uuid>, approval: &Approval, state: HoldState) -> HoldRow {
    let scope = if job.is_some() { HoldScope::Job } else { HoldScope::Workflow };
    HoldRow {
        id: Uuid::now_v7(),
        run_id: run,
        job_id: job,
        scope: scope.as_str(),
        kind: "approval",
        reason: approval.reason.as_deref().map(super::stamp::clean),
        clauses: serde_json::to_string(&approval.clauses).expect("clauses are plain data"),
        wait_reason: wait_reason(&approval.clauses),
        timeout_secs: approval.timeout_seconds.map(|seconds| limit(seconds.0)),
        state: state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use kici_model::js::JsNumber;
    use kici_model::lock::ApprovalWhen;

    use super::*;

    fn approval(clauses: Vec<ApprovalClause>) -> Approval {
        Approval { clauses, reason: None, timeout_seconds: None, when: ApprovalWhen::Always }
    }

    fn jobs(states: &[JobState]) -> Vec<JobRow> {
        let row = |state: &JobState| JobRow {
            id: Uuid::now_v7(),
            state: state.as_str().to_owned(),
            ..JobRow::default()
        };
        states.iter().map(row).collect()
    }

    fn shown(jobs: &[JobRow], holds: &[HoldRow]) -> Vec<String> {
        let of = |job: &JobRow| holds.iter().find(|hold| hold.job_id == Some(job.id));
        let line = |job: &JobRow| {
            format!("{} {} {}", job.state, job.hold, of(job).map_or("-", |hold| hold.state))
        };
        jobs.iter().map(line).collect()
    }

    #[test]
    fn a_job_is_held_when_nothing_else_keeps_it() {
        use JobState as S;
        let ada = approval(vec![ApprovalClause::user("ada")]);
        let mut rows = jobs(&[S::Queued, S::Pending, S::Failed, S::Queued]);
        let holds = hold(Uuid::nil(), None, &mut rows, [Some(&ada), Some(&ada), Some(&ada), None]);
        assert_eq!(
            shown(&rows, &holds),
            ["held true pending", "pending true planned", "failed false -", "queued false -"]
        );
        let reason = r#"{"kind":"approval","approvers":["user ada"]}"#;
        assert_eq!(rows[0].wait_reason.as_deref(), Some(reason));
    }

    #[test]
    fn a_held_run_keeps_its_first_jobs_and_asks_for_its_own_approval_first() {
        use JobState as S;
        let any = approval(Vec::new());
        let mut rows = jobs(&[S::Queued, S::Queued, S::Pending]);
        let holds = hold(Uuid::nil(), Some(&any), &mut rows, [None, Some(&any), None]);
        assert_eq!(shown(&rows, &holds), ["held true -", "held true planned", "pending false -"]);
        assert_eq!((holds[0].scope, holds[0].state), ("workflow", "pending"));
        let mut over = jobs(&[S::Failed]);
        assert!(hold(Uuid::nil(), Some(&any), &mut over, [None]).is_empty(), "nothing to hold");
    }

    #[test]
    fn limits_are_at_least_a_second_and_never_overflow() {
        let limits = [0.2, 90.0, -4.0, f64::NAN, f64::INFINITY].map(limit);
        assert_eq!(limits, [1, 90, 1, 1, LONGEST_SECS]);
        let mut short = approval(Vec::new());
        short.timeout_seconds = Some(JsNumber(1.5));
        assert_eq!(row(Uuid::nil(), None, &short, HoldState::Pending).timeout_secs, Some(2));
    }
}
