//! `kici-admin queue`: what waits for an agent, and taking it out.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use kici_client::QueueQuery;
use kici_model::ids::{JobId, RunId};
use kici_protocol::http::queue::{ClearQueue, QueueEntry};

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List jobs that wait for an agent or are with one.
    List(List),
    /// Show one job of the queue.
    Show {
        /// The job's id.
        id: String,
    },
    /// End waiting jobs that fit all filters; at least one is needed.
    Purge(Purge),
    /// End every waiting job.
    Clear {
        /// Say that this is meant.
        #[arg(long, required = true)]
        confirm: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only in this state: pending, dispatched or recovering.
    #[arg(long)]
    status: Option<String>,
    /// In none of these states, separated by commas.
    #[arg(long, value_name = "STATES")]
    status_not_in: Option<String>,
    /// Only jobs of this name.
    #[arg(long, value_name = "NAME")]
    job_name: Option<String>,
    /// Only jobs whose name begins with this.
    #[arg(long, value_name = "TEXT")]
    job_name_prefix: Option<String>,
    /// No jobs whose name is like this (% stands for anything).
    #[arg(long, value_name = "PATTERN")]
    job_name_not_like: Option<String>,
    /// Only of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow_name: Option<String>,
    /// Only of this repository.
    #[arg(long)]
    repo: Option<String>,
    /// Only of this run.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Only of runs made at this time or later, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// How many, at most 1000.
    #[arg(long, default_value_t = 100)]
    limit: i64,
}

#[derive(Debug, Args)]
pub(crate) struct Purge {
    #[command(flatten)]
    which: Which,
    /// Kept with the jobs as the reason of their end.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only say how many.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Which {
    /// Only this job.
    #[arg(long, value_name = "JOB")]
    job: Option<JobId>,
    /// Only of this run.
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// Only of this repository.
    #[arg(long)]
    repo: Option<String>,
    /// Only of this workflow.
    #[arg(long, value_name = "NAME")]
    workflow_name: Option<String>,
    /// Only jobs of this name.
    #[arg(long, value_name = "NAME")]
    job_name: Option<String>,
    /// Only jobs that have waited for more seconds than this.
    #[arg(long, value_name = "SECONDS")]
    waited: Option<u64>,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::List(list) => list.run(context).await,
        Command::Show { id } => show(context, &id).await,
        Command::Purge(purge) => {
            let which = purge.which;
            let body = ClearQueue {
                run_id: which.run,
                job_id: which.job,
                repo: which.repo,
                workflow_name: which.workflow_name,
                job_name: which.job_name,
                waited_ms: which.waited.map(|seconds| seconds.saturating_mul(1000)),
                reason: purge.reason,
                dry_run: purge.dry_run,
            };
            clear(context, body, purge.yes).await
        }
        Command::Clear { yes, .. } => clear(context, ClearQueue::default(), yes).await,
    }
}

impl List {
    async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let query = QueueQuery {
            status: self.status,
            status_not_in: self.status_not_in,
            job_name: self.job_name,
            job_name_prefix: self.job_name_prefix,
            job_name_not_like: self.job_name_not_like,
            workflow_name: self.workflow_name,
            repo: self.repo,
            run_id: self.run,
            created_after: self.created_after,
            limit: Some(self.limit),
        };
        let list = context.client()?.queue_list(&query).await?;
        let out = &mut context.out;
        if out.json(&list)? {
            return Ok(ExitCode::SUCCESS);
        }
        if list.entries.is_empty() {
            out.line("The queue is empty.")?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 8]> = list.entries.iter().map(row).collect();
        out.table(
            ["id", "status", "place", "repository", "job", "attempts", "ready", "reason"],
            &rows,
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn show(context: &mut Context, id: &str) -> Result<ExitCode> {
    let entry = context.client()?.queue_get(id).await?;
    let out = &mut context.out;
    if out.json(&entry)? {
        return Ok(ExitCode::SUCCESS);
    }
    let head_start = match entry.priority {
        0 => None,
        1 => Some("it was held".to_owned()),
        _ => Some("a re-run".to_owned()),
    };
    out.fields(&[
        ("Job", Some(entry.id.to_string())),
        ("Name", Some(entry.job_name.clone())),
        ("Run", Some(entry.run_id.to_string())),
        ("Workflow", Some(entry.workflow_name.clone())),
        ("Repository", Some(entry.repo_identifier.clone())),
        ("Status", Some(entry.status.clone())),
        ("Place", entry.position.map(|place| place.to_string())),
        ("Head start", head_start),
        ("Reason", entry.reason.clone()),
        ("Agent", entry.agent_id.clone()),
        ("Wants", Some(entry.selector.to_string())),
        (
            "Dispatches",
            Some(format!("{}, {} failed", entry.dispatch_attempts, entry.failed_attempts)),
        ),
        ("Created", Some(moment(entry.created_at))),
        ("Ready", entry.ready_at.map(moment)),
        ("Not before", entry.not_before.map(moment)),
        ("Expires", entry.expires_at.map(moment)),
    ])?;
    Ok(ExitCode::SUCCESS)
}

async fn clear(context: &mut Context, body: ClearQueue, yes: bool) -> Result<ExitCode> {
    if !yes && !body.dry_run {
        let ask = ClearQueue { dry_run: true, ..body.clone() };
        let would = context.client()?.queue_clear(&ask).await?.jobs.len();
        if would > 0 && !confirmed(would)? {
            bail!("Aborted.");
        }
    }
    let done = context.client()?.queue_clear(&body).await?;
    if context.out.json(&done)? {
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = match done.jobs.len() {
        1 => "1 waiting job".to_owned(),
        many => format!("{many} waiting jobs"),
    };
    let said = if done.cleared { "ended" } else { "would end" };
    context.out.line(&format!("{jobs} {said}."))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks on the terminal; without one the answer is no.
fn confirmed(jobs: usize) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{jobs} waiting jobs will end as cancelled. Go on? [y/N] ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn row(entry: &QueueEntry) -> [String; 8] {
    [
        entry.id.to_string(),
        entry.status.clone(),
        or_dash(entry.position),
        entry.repo_identifier.clone(),
        entry.job_name.clone(),
        entry.dispatch_attempts.to_string(),
        or_dash(entry.ready_at.map(moment)),
        entry
            .reason
            .clone()
            .or(entry.agent_id.clone().map(|id| format!("with {id}")))
            .unwrap_or_default(),
    ]
}
