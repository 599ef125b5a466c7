//! `kici-admin runs held`, `runs approve` and `runs reject`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use kici_client::HoldsQuery;
use kici_model::approval;
use kici_model::ids::{HoldId, RunId};
use kici_protocol::http::holds::{ApproveHold, HoldView, RejectHold};

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Args)]
pub(crate) struct Held {
    /// Show one in full: what the step is about to change, who has decided.
    hold: Option<HoldId>,
    /// Only of this organisation.
    #[arg(long, value_name = "ORG", conflicts_with = "hold")]
    org: Option<String>,
    /// pending (as without it), approved, rejected, expired, released, cancelled or all.
    #[arg(long, value_name = "STATE", conflicts_with = "hold")]
    status: Option<String>,
    /// Only of this run, in every state.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["hold", "status", "org"])]
    run: Option<RunId>,
    /// How many, at most 500.
    #[arg(long, default_value_t = 100)]
    limit: i64,
}

/// Which holds a decision is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Ids, as `runs held` shows them.
    #[arg(value_name = "HOLD")]
    holds: Vec<HoldId>,
    /// Everything of this run that is pending.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    which: Which,
    /// Kept with the decision.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    #[command(flatten)]
    which: Which,
    /// Why. It becomes the reason why the run failed.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Held {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let out = &mut context.out;
        if let Some(id) = self.hold {
            let answer = client.hold_get(id).await?;
            if !out.json(&answer)? {
                show(context, &answer.held_run)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let everything = self.status.is_some() || self.run.is_some();
        let query = HoldsQuery {
            org_id: self.org,
            status: self.status,
            run_id: self.run,
            limit: Some(self.limit),
            cursor: None,
        };
        let list = client.hold_list(&query).await?;
        if out.json(&list)? {
            return Ok(ExitCode::SUCCESS);
        }
        if list.held_runs.is_empty() {
            let empty =
                if everything { "No held runs found." } else { "Nothing waits for an approval." };
            out.line(empty)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 7]> = list.held_runs.iter().map(row).collect();
        out.table(["hold", "run", "what", "status", "needs", "expires", "reason"], &rows)?;
        if list.next_cursor.is_some() {
            out.line(&format!("There are more than these {}; see --limit.", rows.len()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Approve {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let ids = self.which.ids(context).await?;
        let body = ApproveHold { comment: self.comment };
        let mut decided = Vec::with_capacity(ids.len());
        for id in ids {
            decided.push(context.client()?.hold_approve(id, &body).await?.held_run);
        }
        said(context, &decided)
    }
}

impl Reject {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let ids = self.which.ids(context).await?;
        let body = RejectHold { reason: self.reason };
        let mut decided = Vec::with_capacity(ids.len());
        for id in ids {
            decided.push(context.client()?.hold_reject(id, &body).await?.held_run);
        }
        said(context, &decided)
    }
}

impl Which {
    async fn ids(self, context: &mut Context) -> Result<Vec<HoldId>> {
        let Some(run) = self.run else { return Ok(self.holds) };
        let query = HoldsQuery { run_id: Some(run), ..HoldsQuery::default() };
        let list = context.client()?.hold_list(&query).await?;
        let pending: Vec<HoldId> = list
            .held_runs
            .iter()
            .filter(|hold| hold.status == "pending")
            .map(|hold| hold.id)
            .collect();
        if pending.is_empty() {
            bail!("nothing of run {run} waits for an approval");
        }
        Ok(pending)
    }
}

fn said(context: &mut Context, decided: &[HoldView]) -> Result<ExitCode> {
    if context.out.json(&decided)? {
        return Ok(ExitCode::SUCCESS);
    }
    for hold in decided {
        let more = match hold.outstanding.as_slice() {
            [] => String::new(),
            missing => format!(", it still needs {}", approval::list(missing)),
        };
        context.out.line(&format!(
            "Hold {} ({}) is {}{more}.",
            hold.id,
            what(hold),
            hold.status
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &mut Context, hold: &HoldView) -> Result<()> {
    let asked = match hold.approval_requirement.as_slice() {
        [] => "anybody who may approve".to_owned(),
        clauses => approval::list(clauses),
    };
    let missing = (!hold.outstanding.is_empty()).then(|| approval::list(&hold.outstanding));
    context.out.fields(&[
        ("Hold", Some(hold.id.to_string())),
        ("Run", Some(hold.run_id.to_string())),
        ("Workflow", Some(hold.workflow_name.clone())),
        ("Repository", Some(hold.repo_identifier.clone())),
        ("Ref", Some(hold.git_ref.clone())),
        ("Held", Some(what(hold))),
        ("Status", Some(hold.status.clone())),
        ("Reason", hold.reason.clone()),
        ("Approvers", Some(asked)),
        ("Missing", missing),
        ("Asked", hold.requested_at.map(moment)),
        ("Expires", hold.expires_at.map(moment)),
        ("Resolved", hold.resolved_at.map(moment)),
        ("By", hold.resolved_by.clone()),
        ("Comment", hold.comment.clone()),
    ])?;
    for decision in &hold.decisions {
        let said = decision.comment.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        let did = if decision.decision == "approve" { "approved" } else { "rejected" };
        let when = moment(decision.decided_at);
        context.out.text(&format!("{when} {} {did}{said}", decision.who))?;
    }
    let Some(payload) = &hold.payload else { return Ok(()) };
    context.out.line("")?;
    match payload.get("summaryMarkdown").and_then(serde_json::Value::as_str) {
        Some(summary) => summary.lines().try_for_each(|line| context.out.text(line)),
        None => context.out.text(&payload.to_string()),
    }
}

fn row(hold: &HoldView) -> [String; 7] {
    let needs = match (hold.status.as_str(), hold.outstanding.as_slice()) {
        ("pending", []) => "anybody".to_owned(),
        (_, []) => or_dash(hold.resolved_by.as_deref()),
        (_, clauses) => approval::list(clauses),
    };
    [
        hold.id.to_string(),
        hold.run_id.to_string(),
        what(hold),
        hold.status.clone(),
        needs,
        or_dash(hold.expires_at.filter(|_| hold.status == "pending").map(moment)),
        hold.comment.clone().or(hold.reason.clone()).unwrap_or_default(),
    ]
}

fn what(hold: &HoldView) -> String {
    match (&hold.job_name, &hold.step_name) {
        (Some(job), Some(step)) => format!("step {step} of {job}"),
        (Some(job), None) => format!("job {job}"),
        (None, _) => format!("workflow {}", hold.workflow_name),
    }
}
