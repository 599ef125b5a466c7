//! The end of a job: last hooks, leftovers, result.

use std::time::Instant;

use kici_workflow::engine::EngineKind;
use serde_json::{Map, Value};
use tokio::task::JoinHandle;

use crate::caches;
use crate::context::Context;
use crate::control::StopCause;
use crate::failure::{chain, shortened};
use crate::hooks::{self, Hook, Outcome};
use crate::indexes::{self, CacheOwner, JobHook, StepHook};
use crate::job::{Job, Progress};
use crate::millis;
use crate::phases::Phases;
use crate::process::named;
use crate::spec::{JobResult, JobStatus};

/// The result of a job that could not even be set up.
pub(crate) fn without_context(error: &std::io::Error, started: Instant) -> JobResult {
    JobResult {
        status: JobStatus::Failed,
        error: Some(format!("could not set up the job's directories: {}", chain(error))),
        cause: None,
        outputs: Map::new(),
        secret_outputs: Default::default(),
        steps: Vec::new(),
        dropped_jobs: Vec::new(),
        evaluated: None,
        duration_ms: millis::of(started.elapsed()),
    }
}

/// Runs the last hooks, ends the engine and says how it all ended.
///
/// What remains to be waited for after the result is known comes with it.
pub(crate) async fn settle(
    context: &Context,
    phases: Phases,
    started: Instant,
) -> (JobResult, Option<JoinHandle<()>>) {
    let mut evaluated = None;
    let (early, loaded, _borrowed) = match phases {
        Phases::Failed { error, loaded, borrowed } => (Some(error), loaded, borrowed),
        Phases::Over { loaded, borrowed } => (None, loaded, borrowed),
        Phases::Evaluated { value, borrowed } => {
            evaluated = Some(value);
            (None, None, borrowed)
        }
    };
    let mut progress = Progress::default();
    let mut dropped_jobs = Vec::new();
    let mut stopping = None;
    if let Some(loaded) = loaded {
        let cancelled = matches!(context.control.cause(), Some(StopCause::Cancelled { .. }));
        if early.is_none() || cancelled {
            last_hooks(&loaded.job).await;
        }
        progress = std::mem::take(&mut *loaded.job.progress());
        dropped_jobs = loaded.dropped;
        let stop = tokio::spawn(loaded.job.caller.stop());
        match loaded.engine {
            // Nothing runs in it any more; taking its heap apart can wait.
            EngineKind::Embedded => stopping = Some(stop),
            // Its own children are leftovers only when it is gone.
            EngineKind::Node => {
                let _panicked = stop.await;
            }
        }
    }
    let (status, error) = verdict(context, early, &progress);
    if let Some(error) = &error {
        context.log.text(&format!("[kici] {error}"));
    }
    let result = JobResult {
        status,
        error: error.map(|error| shortened(context.masker.text(&error))),
        cause: progress.failed.as_ref().and_then(|failed| failed.cause).map(str::to_owned),
        outputs: outputs(context, progress.outputs),
        // Nobody gets those of a job that did not succeed.
        secret_outputs: if status == JobStatus::Success {
            context.secret_outputs.all()
        } else {
            Default::default()
        },
        steps: progress.steps.into_values().collect(),
        dropped_jobs,
        evaluated: evaluated.filter(|_| status == JobStatus::Success),
        duration_ms: millis::of(started.elapsed()),
    };
    (result, stopping)
}

/// What counts, the first cause first.
fn verdict(
    context: &Context,
    early: Option<String>,
    progress: &Progress,
) -> (JobStatus, Option<String>) {
    let drifted = (context.spec.check_mode.as_deref() == Some("check-fail-on-drift")
        && !progress.drifted.is_empty())
    .then(|| format!("drift found by: {}", progress.drifted.join(", ")));
    let failed_step = progress.failed.as_ref().map(|failed| {
        let prefix = format!("Step '{}'", failed.name);
        // A message of our own names the step already.
        if failed.message.starts_with(&prefix) {
            failed.message.clone()
        } else {
            format!("{prefix} failed: {}", failed.message)
        }
    });
    let problems = progress.problems.iter().cloned();
    match context.control.cause() {
        Some(StopCause::TimedOut { limit_ms }) => {
            let error = format!("job_timeout: job exceeded its timeout of {limit_ms}ms");
            (JobStatus::Failed, Some(error))
        }
        // What force has cut short is no failure of its own.
        Some(StopCause::Cancelled { .. })
            if progress.problems.is_empty() || context.control.stop.kill.is_cancelled() =>
        {
            (JobStatus::Cancelled, None)
        }
        Some(StopCause::Cancelled { .. }) => {
            (JobStatus::Failed, Some(problems.collect::<Vec<_>>().join("; ")))
        }
        None => {
            let causes: Vec<String> =
                early.into_iter().chain(failed_step).chain(drifted).chain(problems).collect();
            if causes.is_empty() {
                (JobStatus::Success, None)
            } else {
                (JobStatus::Failed, Some(causes.join("; ")))
            }
        }
    }
}

async fn last_hooks(job: &Job) {
    let control = &job.context.control;
    if !control.hooks_allowed() || job.progress().skipped {
        return;
    }
    if let Some(StopCause::Cancelled { reason }) = control.cause() {
        return cancel_hooks(job, reason).await;
    }
    let hooks = &job.def.hooks;
    let failed = job.progress().failed.clone();
    let Some(failed) = failed else {
        let outcome = Outcome::so_far(job);
        job_hook(job, ("onSuccess", hooks.on_success.as_ref(), JobHook::OnSuccess), &outcome).await;
        let outcome = Outcome { status: status_now(job), ..outcome };
        job_hook(job, ("cleanup", hooks.cleanup.as_ref(), JobHook::Cleanup), &outcome).await;
        if job.progress().problems.is_empty() {
            let specs = caches::specs_of(job.def.options.get("cache"));
            caches::save(&job.context, CacheOwner::Job, &specs).await;
        }
        return;
    };
    let without_reason =
        Outcome { status: "failed", reason: None, failed_step: Some(failed.name.clone()) };
    let outcome = Outcome {
        reason: Some(format!("Step '{}' failed", failed.name)),
        ..without_reason.clone()
    };
    let problems = job.progress().problems.len();
    job_hook(job, ("onFailure", hooks.on_failure.as_ref(), JobHook::OnFailure), &outcome).await;
    // The job has failed already; its own row says that this hook has too.
    job.progress().problems.truncate(problems);
    job_hook(job, ("cleanup", hooks.cleanup.as_ref(), JobHook::Cleanup), &without_reason).await;
}

fn status_now(job: &Job) -> &'static str {
    if job.progress().problems.is_empty() { "success" } else { "failed" }
}

/// After a graceful stop: the step that started last, then the job.
async fn cancel_hooks(job: &Job, reason: String) {
    let outcome = Outcome { status: "cancelled", reason: Some(reason), failed_step: None };
    let (last, already) = {
        let progress = job.progress();
        (progress.last_started.clone(), progress.cancel_hook_ran)
    };
    if let Some((index, hooks)) = last.filter(|_| !already) {
        let index = indexes::step_hook(index, StepHook::OnCancel);
        run_hook(job, ("onCancel", hooks.on_cancel.as_ref(), index), &outcome).await;
    }
    let hooks = &job.def.hooks;
    job_hook(job, ("onCancel", hooks.on_cancel.as_ref(), JobHook::OnCancel), &outcome).await;
    job_hook(job, ("cleanup", hooks.cleanup.as_ref(), JobHook::Cleanup), &outcome).await;
}

type NamedHook<'a, I> = (&'static str, Option<&'a kici_workflow::describe::HookDef>, I);

async fn job_hook(job: &Job, (name, def, which): NamedHook<'_, JobHook>, outcome: &Outcome) {
    run_hook(job, (name, def, indexes::job_hook(which)), outcome).await;
}

async fn run_hook(job: &Job, (name, def, index): NamedHook<'_, i64>, outcome: &Outcome) {
    let control = &job.context.control;
    let Some(def) = def.filter(|_| control.hooks_allowed()) else { return };
    let stop = control.stop.only_kill();
    if let Err(message) = hooks::run(job, Hook { name, def, index }, outcome, &stop).await {
        job.progress().problems.push(format!("Hook {name} failed: {message}"));
    }
}

fn outputs(context: &Context, outputs: Map<String, Value>) -> Map<String, Value> {
    match context.masker.json(Value::Object(outputs)) {
        Value::Object(masked) => masked,
        _ => Map::new(),
    }
}

/// Ends processes that the job has left behind, and says so.
pub(crate) async fn end_leftovers(context: &Context) {
    if context.groups.is_empty() && !context.alone {
        return;
    }
    let ended = context.leftovers().end().await;
    if !ended.is_empty() {
        context.log.text(&format!("[kici] the job had left behind {}; stopped", named(&ended)));
    }
}
