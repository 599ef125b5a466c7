//! `kici-admin runs list`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use kici_client::RunsQuery;
use kici_client::live::duration;
use kici_protocol::http::runs::RunView;

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only these states: pending, running, held, cancelling, success, failed, cancelled.
    #[arg(long, value_name = "STATE,…")]
    status: Option<String>,
    /// Only this workflow.
    #[arg(long, value_name = "NAME")]
    workflow_name: Option<String>,
    /// Only this repository.
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// Only those made later than this, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only say how many there are.
    #[arg(long)]
    count: bool,
    /// How many, at most 100.
    #[arg(long, default_value_t = 20)]
    limit: i64,
    /// How many to skip.
    #[arg(long, default_value_t = 0)]
    offset: i64,
}

impl List {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let query = RunsQuery {
            status: self.status,
            workflow_name: self.workflow_name,
            repo: self.repo,
            since: self.since,
            limit: Some(self.limit),
            offset: Some(self.offset),
        };
        let out = &mut context.out;
        if self.count {
            let count = client.run_count(&query).await?;
            if !out.json(&count)? {
                out.line(&count.total.to_string())?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let list = client.run_list(&query).await?;
        if out.json(&list)? {
            return Ok(ExitCode::SUCCESS);
        }
        if list.runs.is_empty() {
            out.line("No runs found.")?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 8]> = list.runs.iter().map(row).collect();
        out.table(
            ["run_id", "workflow", "status", "repo", "ref", "sha", "started_at", "duration"],
            &rows,
        )?;
        let (shown, total) = (list.runs.len(), list.total);
        out.line(&format!(
            "Showing {shown} of {total} (offset {}, limit {})",
            list.offset, list.limit
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(run: &RunView) -> [String; 8] {
    [
        run.run_id.to_string(),
        run.workflow_name.clone(),
        run.status.clone(),
        or_dash(run.repo_identifier.as_deref()),
        or_dash(run.git_ref.as_deref()),
        or_dash(run.sha.as_deref().map(short)),
        or_dash(run.started_at.map(moment)),
        or_dash(run.duration_ms.map(duration)),
    ]
}

/// A commit as people write it.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}
