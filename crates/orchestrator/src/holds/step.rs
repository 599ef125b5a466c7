//! Approvals of steps: the question of an agent, and the way of the answer.
//!
//! What was asked and decided is in the table. An answer is sent by the orchestrator that the agent is connected to:
//! at once when it decided itself, by its next pass otherwise. An agent that reconnects asks again and finds the
//! answer, so nothing has to be confirmed.

use kici_model::lock::ApprovalClause;
use kici_model::state::{EndReason, HoldScope, HoldState, JobState};
use kici_protocol::agent::{self, ApprovalOutcome, StepApprovalRequest, StepApprovalResolved};
use kici_store::hold::{StepAsk, Untold, hold_step_ask, hold_told, hold_untold};
use kici_store::job::job_now;
use kici_store::run::run_lock;
use kici_store::{Store, StoreError};
use serde_json::{Value, json};
use tracing::{info, warn};
use uuid::Uuid;

use crate::app::App;
use crate::logging::Chain;
use crate::reconcile::ROWS;
use crate::runs::{content, limit, wait_reason};

/// What is kept of a drift for whoever decides; of a longer one, the summary.
const MOST_PAYLOAD: usize = 256 * 1024;

/// What is kept of that summary.
const MOST_SUMMARY: usize = 64 * 1024;

/// Takes the question of an attempt. The answer, if there is one already; otherwise it comes when somebody decides.
pub(crate) async fn requested(
    app: &App,
    (run, job, attempt): (Uuid, Uuid, i32),
    request: &StepApprovalRequest,
) -> Result<Option<StepApprovalResolved>, StoreError> {
    let mut tx = app.store.begin().await?;
    let stopped = run_lock(&mut tx, &[run]).await?.pop().is_none_or(|run| run.stop.is_some());
    let now = job_now(&mut tx, &[job]).await?.pop();
    let agent = now.as_ref().and_then(|now| now.agent_id.clone());
    let runs = now.is_some_and(|now| {
        now.attempt == attempt
            && now.agent_id.is_some()
            && now.state.parse().is_ok_and(|state| {
                matches!(state, JobState::Queued | JobState::Running | JobState::Recovering)
            })
    });
    if stopped || !runs {
        let why = Some("the job is being stopped".to_owned());
        return Ok(Some(answer(request, ApprovalOutcome::Rejected, why)));
    }
    let clauses = clauses(&request.clauses);
    let asked = json!({ "clauses": clauses, "payload": request.payload }).to_string();
    let index = i32::try_from(request.step_index).unwrap_or(i32::MAX);
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let reason = Some(clean(&request.reason)).filter(|reason| !reason.is_empty());
    let payload = request.payload.as_ref().map(shown);
    let ask = StepAsk {
        id: Uuid::now_v7(),
        run,
        job,
        attempt,
        index,
        name: &clean(&request.step_name),
        reason: reason.as_deref(),
        clauses: &serde_json::to_string(&clauses).expect("clauses are plain data"),
        wait_reason: &wait_reason(&clauses),
        timeout_secs: request.timeout_seconds.map(|seconds| limit(seconds as f64)),
        content: content(asked).id,
        payload: payload.as_deref(),
        request_id: &clean(&request.message_id),
    };
    let asked = hold_step_ask(&mut tx, &ask).await?;
    Store::commit(tx).await?;
    let Some((outcome, why)) = outcome(&asked.state, asked.resolved_by, asked.comment) else {
        app.audit.hold(asked.id, "held_run.request", agent.as_deref());
        info!(hold.id = %asked.id, job.id = %job, "step '{}' waits for an approval", ask.name);
        return Ok(None);
    };
    let mut conn = app.store.connection().await?;
    hold_told(&mut conn, &[asked.id]).await?;
    Ok(Some(answer(request, outcome, why)))
}

/// Sends the answers that agents of this orchestrator wait for.
pub(crate) async fn tell(app: &App) -> Result<(), StoreError> {
    let mut conn = app.store.connection().await?;
    let untold = hold_untold(&mut conn, app.number, ROWS).await?;
    let mut told = Vec::new();
    for hold in untold {
        let id = hold.id;
        let Some(agent) = hold.agent_id.as_deref().and_then(|agent| app.agents.get(agent)) else {
            // It asks again when it is back.
            continue;
        };
        if let Some(resolved) = resolved(hold)
            && agent.approval(resolved)
        {
            told.push(id);
        }
    }
    if !told.is_empty() {
        hold_told(&mut conn, &told).await?;
    }
    Ok(())
}

/// The same after a decision that is committed: what does not work now is done by the next pass.
pub(super) async fn tell_soon(app: &App) {
    if let Err(error) = tell(app).await {
        warn!(error = %Chain(&error), "could not tell agents what was decided, trying again");
    }
}

fn resolved(hold: Untold) -> Option<StepApprovalResolved> {
    let (outcome, reason) = outcome(&hold.state, hold.resolved_by, hold.comment)?;
    Some(StepApprovalResolved {
        request_id: hold.request_id,
        run_id: hold.run_id.to_string(),
        job_id: hold.job_id.to_string(),
        step_index: i64::from(hold.step_index),
        outcome,
        reason,
    })
}

/// What a state of a hold means for its step; nothing while somebody is still asked.
fn outcome(
    state: &str,
    by: Option<String>,
    comment: Option<String>,
) -> Option<(ApprovalOutcome, Option<String>)> {
    let by = by.map(|by| match &comment {
        Some(comment) => format!("{comment} ({by})"),
        None => format!("by {by}"),
    });
    Some(match state.parse().ok()? {
        HoldState::Planned | HoldState::Pending => return None,
        HoldState::Approved | HoldState::Released => (ApprovalOutcome::Approved, by),
        HoldState::Rejected => (ApprovalOutcome::Rejected, by),
        HoldState::Expired => {
            let reason = EndReason::ApprovalExpired { scope: HoldScope::Step };
            (ApprovalOutcome::Expired, Some(reason.to_string()))
        }
        HoldState::Cancelled => {
            (ApprovalOutcome::Rejected, Some("the question was withdrawn".to_owned()))
        }
    })
}

fn answer(
    request: &StepApprovalRequest,
    outcome: ApprovalOutcome,
    reason: Option<String>,
) -> StepApprovalResolved {
    StepApprovalResolved {
        request_id: request.message_id.clone(),
        run_id: request.run_id.clone(),
        job_id: request.job_id.clone(),
        step_index: request.step_index,
        outcome,
        reason,
    }
}

fn clauses(clauses: &[agent::ApprovalClause]) -> Vec<ApprovalClause> {
    let one = |clause: &agent::ApprovalClause| match clause {
        agent::ApprovalClause::Team(team) => ApprovalClause::team(team),
        agent::ApprovalClause::User(user) => ApprovalClause::user(user),
    };
    clauses.iter().map(one).collect()
}

/// What whoever decides gets to see, bounded.
fn shown(payload: &Value) -> String {
    let text = payload.to_string();
    if text.len() <= MOST_PAYLOAD {
        return text;
    }
    let summary = payload.get("summaryMarkdown").and_then(Value::as_str).unwrap_or_default();
    let cut = summary.floor_char_boundary(MOST_SUMMARY);
    json!({ "summaryMarkdown": &summary[..cut], "truncated": true }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_approval_lets_a_step_run() {
        let approved = |state: &HoldState| {
            outcome(state.as_str(), None, None)
                .is_some_and(|(outcome, _)| outcome == ApprovalOutcome::Approved)
        };
        let open: Vec<_> = HoldState::ALL.iter().filter(|state| approved(state)).collect();
        assert_eq!(open, [&HoldState::Approved, &HoldState::Released]);
        assert_eq!(outcome("of a later version", None, None), None);
        let (_, why) = outcome("rejected", Some("ada".into()), Some("not today".into())).unwrap();
        assert_eq!(why.as_deref(), Some("not today (ada)"));
    }

    #[test]
    fn a_huge_drift_is_cut_to_its_summary() {
        let small = json!({"summaryMarkdown": "one", "drift": {"a": 1}});
        assert_eq!(shown(&small), small.to_string());
        let huge = json!({"summaryMarkdown": "ü".repeat(MOST_PAYLOAD), "drift": {}});
        let kept: Value = serde_json::from_str(&shown(&huge)).unwrap();
        assert_eq!(kept["truncated"], true);
        assert!(kept["summaryMarkdown"].as_str().unwrap().len() <= MOST_SUMMARY);
    }
}
