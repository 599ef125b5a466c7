//! `kici run local`: a workflow on this machine, through the same executor that agents use.
//!
//! Jobs run one after the other, each in a copy of the working tree, so that uncommitted changes count and
//! nothing in the tree is touched.

mod event;
mod interrupts;
mod output;
mod plan;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use kici_exec::spec::{Checkout, EngineWish, JobEvent, JobOrder, JobResult, JobSpec, JobStatus};
use kici_model::event::Event;
use kici_model::lock::{EnvValue, LockFile, Workflow};
use kici_model::state::JobState;
use kici_model::triggers::TriggerSet;
use tokio::sync::mpsc;

use crate::compile;
use crate::project::Project;
use interrupts::Interrupts;
use output::Output;
use plan::{Next, Plan, Planned};

/// Options of `kici run local`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workflow to run; needed when several match the event.
    workflow: Option<String>,
    /// Run only this job, and the jobs that it needs.
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
    let output = Output::new(plan.jobs.iter().map(|job| job.name.chars().count()));
    let run = LocalRun {
        project: &project,
        lock: &lock,
        workflow,
        event: &event,
        in_place: args.in_place,
        interrupts: Interrupts::listen()?,
    };
    let started = Instant::now();
    loop {
        match plan.next() {
            Next::Over => break,
            Next::Skip(index, why) => {
                output.job_skipped(&plan.jobs[index].name, &why);
                plan.ended(index, JobState::Skipped, None);
            }
            Next::Run(index) if run.interrupts.pressed() => {
                output.job_skipped(&plan.jobs[index].name, "the run was cancelled");
                plan.ended(index, JobState::Cancelled, None);
            }
            Next::Run(index) => {
                let name = plan.jobs[index].name.clone();
                output.job_started(&name);
                let result = run.job(&plan, index, &output).await?;
                output.job_ended(&name, result.status, result.duration_ms, result.error.as_deref());
                let state = match result.status {
                    JobStatus::Success => JobState::Success,
                    JobStatus::Failed => JobState::Failed,
                    JobStatus::Cancelled => JobState::Cancelled,
                };
                plan.ended(index, state, Some(&result));
            }
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
    lock: &'a LockFile,
    workflow: &'a Workflow,
    event: &'a Event,
    in_place: bool,
    interrupts: Interrupts,
}

impl LocalRun<'_> {
    async fn job(
        &self,
        plan: &Plan<'_>,
        index: usize,
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
        let planned = &plan.jobs[index];
        let spec = self.spec(plan, index, planned, dir, temp.path())?;
        // Logs may wait for the terminal: the job slows down instead of filling memory.
        let (events, mut said) = mpsc::channel(256);
        let (orders, orders_rx) = mpsc::channel(4);
        let job = tokio::spawn(kici_exec::run_job(spec, orders_rx, events));
        let interrupts = tokio::spawn(self.interrupts.clone().forward(orders.clone()));
        while let Some(event) = said.recv().await {
            output.event(&planned.name, &event);
            if let JobEvent::Request { id, method, .. } = &event {
                // A job that is over needs no answer any more.
                let _ = orders.send(JobOrder::Answer { id: *id, result: answer(method) }).await;
            }
        }
        interrupts.abort();
        job.await.context("the job's runner crashed")
    }

    fn spec(
        &self,
        plan: &Plan<'_>,
        index: usize,
        planned: &Planned<'_>,
        dir: PathBuf,
        workspace: &Path,
    ) -> anyhow::Result<JobSpec> {
        let job = planned.job;
        let source = self.lock.source_of(self.workflow);
        Ok(JobSpec {
            run_id: uuid::Uuid::new_v4().to_string(),
            job_id: uuid::Uuid::new_v4().to_string(),
            job_name: planned.name.clone(),
            base_job_name: job.name.clone(),
            workflow_name: self.workflow.name.clone(),
            source_file: source.file.clone(),
            source_export: source.export.clone(),
            content_hash: None,
            resolved_hash_files: Vec::new(),
            checkout: Checkout::InPlace { dir },
            workspace: workspace.to_owned(),
            temp: None,
            mirrors: None,
            engine: engine_wish()?,
            installed_sdk: std::env::var("KICI_SDK").is_ok_and(|sdk| sdk == "installed"),
            env: self.env(job)?,
            secrets: Default::default(),
            event: serde_json::to_value(self.event)
                .context("the event cannot be written as JSON")?,
            provider: Some("local".to_owned()),
            environment: None,
            matrix: planned
                .combination
                .as_ref()
                .map(|combination| serde_json::json!(combination.values)),
            host: None,
            agent: None,
            fanout: planned.fanout.clone(),
            dispatch_inputs: serde_json::json!({}),
            needs: (!job.needs.is_empty()).then(|| serde_json::json!(job.needs)),
            upstream_outputs: plan.upstream_outputs(index),
            upstream_statuses: plan.upstream_statuses(index),
            upstream_groups: Default::default(),
            dynamic_source: None,
            evaluate: None,
            check_mode: None,
            is_test_run: true,
            timeout_ms: job.timeout.map(|timeout| timeout.as_millis()),
            step_timeout_ms: None,
            concurrency_wait_ms: None,
            grace_ms: job.grace_period.map(|seconds| seconds.as_millis() * 1000),
            max_log_bytes: None,
        })
    }

    fn env(
        &self,
        job: &kici_model::lock::StaticJob,
    ) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
        match &job.env {
            Some(EnvValue::Map(map)) => {
                Ok(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            }
            Some(EnvValue::Inline(inline)) => {
                kici_workflow::inline::env(&inline.expression, self.event)
                    .map(|map| map.into_iter().collect())
                    .with_context(|| format!("could not evaluate `env` of job '{}'", job.name))
            }
            None if job.dynamic_env => bail!(
                "`env` of job '{}' is computed by a function that only an agent can evaluate; `kici run local` cannot run it yet",
                job.name
            ),
            None => Ok(Default::default()),
        }
    }
}

fn engine_wish() -> anyhow::Result<EngineWish> {
    match std::env::var("KICI_JS_ENGINE").as_deref() {
        Err(_) | Ok("" | "auto") => Ok(EngineWish::Auto),
        Ok("embedded") => Ok(EngineWish::Embedded),
        Ok("node") => Ok(EngineWish::Node),
        Ok(other) => bail!("KICI_JS_ENGINE is '{other}'; write auto, embedded or node"),
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
