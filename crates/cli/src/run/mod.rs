//! `kici run local`: a workflow on this machine, through the same executor that agents use.
//!
//! Jobs run one after the other, each in a copy of the working tree, so that uncommitted changes count and
//! nothing in the tree is touched. Generators and functions that the lock file does not have are evaluated first, as
//! jobs of their own with the names that they have on the server.

mod connect;
mod event;
mod expand;
mod grow;
mod host;
mod interrupts;
mod output;
mod plan;
mod results;
mod spec;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use kici_exec::spec::{JobEvent, JobOrder, JobResult, JobStatus};
use kici_model::event::Event;
use kici_model::lock::{LockFile, Workflow};
use kici_model::state::JobState;
use kici_model::triggers::TriggerSet;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::compile;
use crate::project::Project;
use interrupts::Interrupts;
use output::Output;
use plan::{Next, Plan, Work};
use spec::{Common, Values};

/// Options of `kici run local`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workflow to run; needed when several match the event.
    workflow: Option<String>,
    /// Run only this job, or the jobs of this group, and what they need.
    #[arg(long)]
    job: Option<String>,
    /// Event as JSON (`{"type": "push", "targetBranch": "main", "payload": {…}}`); default: a push of HEAD.
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Run in the working tree itself instead of a copy.
    #[arg(long)]
    in_place: bool,
}

/// Runs a workflow; the exit code says whether it succeeded.
pub(crate) async fn local(start: &Path, args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find(start)?;
    let lock = compile::compiled(&project).await?;
    let event = event::event(&project, args.event.as_deref())?;
    let workflow = choose(&lock, args.workflow.as_deref(), &event)?;
    let mut plan = Plan::new(workflow, args.job.as_deref())?;
    let output = Output::new();
    let run = LocalRun {
        project: &project,
        common: Common { lock: &lock, event: &event, run_id: Uuid::new_v4() },
        in_place: args.in_place,
        interrupts: Interrupts::listen()?,
    };
    let started = Instant::now();
    loop {
        output.fit(plan.jobs.iter().map(|job| job.name.chars().count()));
        match plan.next() {
            Next::Over => break,
            Next::End(at, state, why) => end(&mut plan, &output, (at, state, &why)),
            Next::Run(at) if run.interrupts.pressed() => {
                end(&mut plan, &output, (at, JobState::Cancelled, "the run was cancelled"));
            }
            Next::Run(at) => run.play(&mut plan, at, &output).await?,
        }
    }
    let took = output::duration(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let failed = plan.failed();
    if failed.is_empty() {
        println!("\nWorkflow '{}' succeeded in {took}.", workflow.name);
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nWorkflow '{}' did not succeed ({took}): {}.", workflow.name, failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Ends a job that does not run.
fn end(plan: &mut Plan<'_>, output: &Output, (at, state, why): (usize, JobState, &str)) {
    output.job_without_run(&plan.jobs[at].name, state, why);
    plan.end(at, state, None);
}

/// The workflow that was named, or the only one that the event starts.
fn choose<'a>(
    lock: &'a LockFile,
    name: Option<&str>,
    event: &Event,
) -> anyhow::Result<&'a Workflow> {
    let names = |workflows: &[&Workflow]| {
        workflows.iter().map(|workflow| workflow.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&Workflow> = lock.workflows.iter().collect();
    if let Some(name) = name {
        let found = all.iter().find(|workflow| workflow.name == name);
        return found
            .copied()
            .with_context(|| format!("there is no workflow '{name}'; there are: {}", names(&all)));
    }
    let matching: Vec<&Workflow> = all
        .iter()
        .copied()
        .filter(|workflow| TriggerSet::new(workflow).decide(event).matched)
        .collect();
    match (matching.as_slice(), all.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], _) => bail!("no workflow is started by this event; name one: {}", names(&all)),
        (many, _) => bail!("this event starts several workflows; name one: {}", names(many)),
    }
}

/// What all jobs of a local run have in common.
struct LocalRun<'a> {
    project: &'a Project,
    common: Common<'a>,
    in_place: bool,
    interrupts: Interrupts,
}

impl LocalRun<'_> {
    /// Runs a job of the plan and applies what came of it.
    async fn play(&self, plan: &mut Plan<'_>, at: usize, output: &Output) -> anyhow::Result<()> {
        let name = plan.jobs[at].name.clone();
        let values = match &plan.jobs[at].work {
            Work::Steps(child) => Values::of(&child.job, self.common.event),
            Work::Init(..) | Work::Generator => Ok(Values::default()),
        };
        let values = match values {
            Ok(values) => values,
            Err(why) => {
                end(plan, output, (at, JobState::Failed, &why));
                return Ok(());
            }
        };
        output.job_started(&name);
        let mut result = self.job(plan, at, values, output).await?;
        if result.status == JobStatus::Success
            && !matches!(plan.jobs[at].work, Work::Steps(_))
            && let Err(why) = plan.grow(at, result.evaluated.take())
        {
            result.status = JobStatus::Failed;
            result.error = Some(why);
        }
        output.job_ended(&name, result.status, result.duration_ms, result.error.as_deref());
        let state = match result.status {
            JobStatus::Success => JobState::Success,
            JobStatus::Failed => JobState::Failed,
            JobStatus::Cancelled => JobState::Cancelled,
        };
        if state != JobState::Success {
            let why = result.error.as_deref().unwrap_or("its values were not computed");
            plan.lacks_values(at, why);
        }
        plan.end(at, state, Some(&result));
        for (at, state, why) in plan.dropped(at, &result.dropped_jobs) {
            end(plan, output, (at, state, &why));
        }
        Ok(())
    }

    async fn job(
        &self,
        plan: &Plan<'_>,
        at: usize,
        values: Values,
        output: &Output,
    ) -> anyhow::Result<JobResult> {
        let temp = tempfile::Builder::new()
            .prefix("kici-run-")
            .tempdir()
            .context("could not make a workspace")?;
        let dir = if self.in_place {
            self.project.root.clone()
        } else {
            workspace::copy(self.project, temp.path())?;
            temp.path().to_owned()
        };
        let name = &plan.jobs[at].name;
        let spec = self.common.spec(plan, at, values, (dir, temp.path()))?;
        // Logs may wait for the terminal: the job slows down instead of filling memory.
        let (events, mut said) = mpsc::channel(256);
        let (orders, orders_rx) = mpsc::channel(4);
        let job = tokio::spawn(kici_exec::run_job(spec, orders_rx, events));
        let interrupts = tokio::spawn(self.interrupts.clone().forward(orders.clone()));
        while let Some(event) = said.recv().await {
            output.event(name, &event);
            if let JobEvent::Request { id, method, .. } = &event {
                // A job that is over needs no answer any more.
                let _ = orders.send(JobOrder::Answer { id: *id, result: answer(method) }).await;
            }
        }
        interrupts.abort();
        job.await.context("the job's runner crashed")
    }
}

/// What a job gets that asks for something only an orchestrator has.
fn answer(method: &str) -> Result<serde_json::Value, String> {
    match method {
        // Whoever runs a job by hand has approved of it.
        "approval" => Ok(serde_json::json!({ "outcome": "approved" })),
        other => Err(format!("a local run has no orchestrator, which `{other}` needs")),
    }
}
