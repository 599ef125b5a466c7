//! `kici-admin runs show` and `runs jobs`.

use std::process::ExitCode;

use anyhow::Result;
use kici_client::Client;
use kici_client::live::duration;
use kici_model::ids::RunId;
use kici_protocol::http::runs::{AttemptView, JobList, JobView, RunDetail, StepView};
use kici_protocol::http::time::{Timestamp, ago};
use serde_json::json;

use super::graph;
use super::list::short;
use crate::context::Context;
use crate::output::{moment, or_dash};

/// Jobs of one answer.
const PART: i32 = 500;

/// A run with the graph of its jobs, their steps if they are few, and what it took its time for.
pub(super) async fn show(context: &mut Context, run: RunId) -> Result<ExitCode> {
    let client = context.client()?;
    let answer = client.run_get(run).await?;
    let mut jobs = all_jobs(&client, run, context.out.is_json()).await?;
    let path = graph::slowest(&jobs, Timestamp::now());
    if context.out.is_json() {
        let legs: Vec<_> = path
            .iter()
            .map(|leg| {
                json!({
                    "jobName": jobs[leg.job].job_name, "queuedMs": leg.queued_ms, "ranMs": leg.ran_ms,
                })
            })
            .collect();
        context.out.json(&json!({ "run": &answer.run, "jobs": &jobs, "criticalPath": legs }))?;
        return Ok(ExitCode::SUCCESS);
    }
    head(context, &answer.run)?;
    context.out.line("")?;
    if jobs.len() <= graph::SMALL {
        jobs = client.run_jobs(run, true).await?.jobs;
    }
    if jobs.is_empty() {
        context.out.line("No jobs found.")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for line in graph::lines(&jobs) {
        match line {
            graph::Line::Job(job) => {
                rows.push(graph_row(job));
                rows.extend(job.attempts.iter().map(attempt_row).map(wider));
                rows.extend(job.steps.iter().flatten().map(step_row).map(wider));
            }
            graph::Line::Folded { name, states } => {
                let mut row: [String; 7] = Default::default();
                row[0] = name;
                row[6] = graph::counts(&states);
                rows.push(row);
            }
        }
    }
    let header = ["job / step", "status", "needs", "waited", "duration", "agent", "reason"];
    context.out.table(header, &rows)?;
    if !path.is_empty() {
        context.out.line("")?;
        for line in graph::chain(&jobs, &path) {
            context.out.text(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All jobs of a run, in parts, so that no answer is huge.
async fn all_jobs(client: &Client, run: RunId, with_steps: bool) -> Result<Vec<JobView>> {
    let (mut jobs, mut cursor) = (Vec::new(), Some(0));
    while let Some(from) = cursor {
        let part = client.run_jobs_part(run, with_steps, from, PART).await?;
        jobs.extend(part.jobs);
        cursor = part.next_cursor;
    }
    Ok(jobs)
}

/// A job in the graph: with what it needs and how long it waited for an agent.
fn graph_row(job: &JobView) -> [String; 7] {
    let [name, status, lasted, agent, reason] = job_row(job);
    let status = if job.reused_from.is_some() { format!("{status} (kept)") } else { status };
    let start = job.started_at.or(job.completed_at).unwrap_or_else(Timestamp::now);
    let waited = job
        .ready_at
        .filter(|_| job.reused_from.is_none())
        .map(|ready| ((start.unix_micros() - ready.unix_micros()) / 1000).max(0));
    [name, status, graph::needs(job), or_dash(waited.map(duration)), lasted, agent, reason]
}

/// A row of the plain table between the columns of the graph.
fn wider([name, status, lasted, agent, reason]: [String; 5]) -> [String; 7] {
    [name, status, String::new(), String::new(), lasted, agent, reason]
}

/// The jobs of a run.
pub(super) async fn jobs(context: &mut Context, run: RunId, with_steps: bool) -> Result<ExitCode> {
    let jobs = context.client()?.run_jobs(run, with_steps).await?;
    if !context.out.json(&jobs)? {
        tables(context, &jobs, with_steps)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn head(context: &mut Context, detail: &RunDetail) -> Result<()> {
    let run = &detail.run;
    context.out.fields(&[
        ("Run", Some(run.run_id.to_string())),
        ("Workflow", Some(run.workflow_name.clone())),
        ("Status", Some(run.status.clone())),
        ("Reason", run.failure_reason.clone()),
        ("Repository", run.repo_identifier.clone()),
        ("Ref", run.git_ref.clone()),
        ("Commit", run.sha.as_deref().map(short).map(str::to_owned)),
        ("Triggered by", run.triggered_by.clone()),
        ("By", detail.contributor_username.clone()),
        ("Delivery", detail.delivery_id.clone()),
        ("Created", Some(moment(run.created_at))),
        ("Ended", run.completed_at.map(moment)),
        ("Duration", run.duration_ms.map(duration)),
        ("Cancelled by", detail.cancelled_by.clone()),
        ("Repeats", run.parent_run_id.map(|run| run.to_string())),
        ("Part", detail.rerun_scope.clone().filter(|scope| scope != "all")),
    ])
}

fn tables(context: &mut Context, jobs: &JobList, with_steps: bool) -> Result<()> {
    let out = &mut context.out;
    if jobs.jobs.is_empty() {
        return out.line("No jobs found.");
    }
    let mut rows = Vec::new();
    for job in &jobs.jobs {
        rows.push(job_row(job));
        rows.extend(job.attempts.iter().map(attempt_row));
        if with_steps {
            rows.extend(job.steps.iter().flatten().map(step_row));
        }
    }
    out.table(["job / step", "status", "duration", "agent", "reason"], &rows)
}

fn job_row(job: &JobView) -> [String; 5] {
    let now = Timestamp::now();
    let waits = job.wait_reason.as_ref().map(|why| why.told(&|at| ago(at, now)).to_string());
    let ended = job.error_message.clone().or(job.end_reason.as_ref().map(ToString::to_string));
    [
        job.job_name.clone(),
        job.status.clone(),
        or_dash(job.duration_ms.map(duration)),
        or_dash(job.agent_id.as_deref()),
        one_line(waits.or(ended)),
    ]
}

/// An attempt that did not end with a result: which agent had it, and why it was given up.
fn attempt_row(attempt: &AttemptView) -> [String; 5] {
    let lasted = |start: Timestamp| (attempt.ended_at.unix_micros() - start.unix_micros()) / 1000;
    [
        format!("  attempt {}", attempt.attempt),
        if attempt.started_at.is_some() { "lost" } else { "not taken" }.to_owned(),
        or_dash(attempt.started_at.map(|start| duration(lasted(start)))),
        attempt.agent_id.clone(),
        one_line(Some(attempt.message.clone())),
    ]
}

fn step_row(step: &StepView) -> [String; 5] {
    let kind = match step.step_type.as_str() {
        "step" => String::new(),
        other => format!(" ({other})"),
    };
    let code = step.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
    let reason = match (&step.error_message, code) {
        (Some(error), Some(code)) if !error.contains(&code) => Some(format!("{error} ({code})")),
        (Some(error), _) => Some(error.clone()),
        (None, code) => code,
    };
    [
        format!("  {}. {}{kind}", step.step_index, step.step_name),
        step.status.clone(),
        or_dash(step.duration_ms.map(duration)),
        String::new(),
        one_line(reason),
    ]
}

/// The first line of a reason; the whole text is in `--json` and in the log.
fn one_line(reason: Option<String>) -> String {
    let Some(reason) = reason else { return String::new() };
    let mut lines = reason.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    if lines.next().is_some() { format!("{first} …") } else { first }
}
