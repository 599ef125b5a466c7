//! Held runs: what waits for people, and their decisions.
//!
//! The keys of a row are those of the published API (`hold_type`, `queue_type`, …); what it does not have is
//! named in the same way.

use kici_model::ids::{HoldId, JobId, RunId};
use kici_model::lock::ApprovalClause;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::Timestamp;

/// A run, job or step that waits, or waited, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HoldView {
    /// The name to decide about it by.
    pub id: HoldId,
    /// The organisation.
    pub org_id: String,
    /// The run.
    pub run_id: RunId,
    /// The job; none when the whole run is held.
    pub job_id: Option<JobId>,
    /// The environment whose rules hold it.
    pub environment_id: Option<String>,
    /// `approval`, `reviewer`, `wait_timer`, `concurrency` or `security`.
    pub hold_type: String,
    /// `pending`, `approved`, `rejected`, `expired`, `released`; `planned` before anybody is asked, `cancelled` when
    /// what it kept ended first.
    pub status: String,
    /// `environment` or `security`.
    pub queue_type: String,
    /// `workflow`, `job` or `step`.
    pub hold_scope: String,
    /// The step.
    pub step_index: Option<i32>,
    /// `environment` or `explicit`.
    pub trigger_source: String,
    /// What the author says about it.
    pub reason: Option<String>,
    /// Who gave the last approval.
    pub approved_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it gives up.
    pub expires_at: Option<Timestamp>,
    /// When it was decided.
    pub resolved_at: Option<Timestamp>,
    /// Who has to approve, all of them; empty: anybody who may approve.
    pub approval_requirement: Vec<ApprovalClause>,
    /// Those of them who have not.
    pub outstanding: Vec<ApprovalClause>,
    /// Since when somebody is asked.
    pub requested_at: Option<Timestamp>,
    /// Who decided, either way.
    pub resolved_by: Option<String>,
    /// What they said.
    pub comment: Option<String>,
    /// The run's workflow.
    pub workflow_name: String,
    /// The run's repository.
    pub repo_identifier: String,
    /// The run's branch or tag.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The job's name.
    pub job_name: Option<String>,
    /// The step's name.
    pub step_name: Option<String>,
    /// What was decided so far, oldest first.
    pub decisions: Vec<HoldDecision>,
    /// What the step shows to whoever decides: `{summaryMarkdown, drift}`. Only when one hold is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// What one person decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HoldDecision {
    /// Who.
    pub who: String,
    /// `approve` or `reject`.
    pub decision: String,
    /// What they said.
    pub comment: Option<String>,
    /// When.
    pub decided_at: Timestamp,
}

/// Answer of `GET /api/v1/admin/held-runs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldList {
    /// Newest first.
    pub held_runs: Vec<HoldView>,
    /// Where to go on; `null` at the end.
    pub next_cursor: Option<HoldId>,
}

/// Answer of `GET /api/v1/admin/held-runs/{id}` and of a decision: the hold as it is afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldAnswer {
    /// The hold.
    pub held_run: HoldView,
}

/// Body of `POST /api/v1/admin/held-runs/{id}/approve`; may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveHold {
    /// Kept with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Body of `POST /api/v1/admin/held-runs/{id}/reject`; may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectHold {
    /// Kept with the decision, and the reason why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
