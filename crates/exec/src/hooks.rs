//! Runs hooks: pseudo-steps with an index and a log of their own.

use std::time::{Duration, Instant};

use kici_workflow::describe::HookDef;
use kici_workflow::engine::CallKind;
use serde_json::{Map, Value};

use crate::control::Stop;
use crate::failure::Failure;
use crate::job::Job;
use crate::millis;
use crate::report::{Report, Row};
use crate::scope::Scope;
use crate::spec::StepStatus;

const DEFAULT_LIMIT: Duration = Duration::from_secs(5 * 60);

/// What a hook learns as `ctx.outcome`.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// `success`, `failed` or `cancelled`.
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) failed_step: Option<String>,
}

impl Outcome {
    /// The outcome of the job as it stands.
    pub(crate) fn so_far(job: &Job) -> Self {
        match &job.progress().failed {
            Some(failed) => {
                Self { status: "failed", reason: None, failed_step: Some(failed.name.clone()) }
            }
            None => Self { status: "success", reason: None, failed_step: None },
        }
    }

    fn to_json(&self, job: &Job) -> Value {
        let mut outcome = Map::new();
        outcome.insert("status".to_owned(), self.status.into());
        if let Some(reason) = &self.reason {
            outcome.insert("reason".to_owned(), reason.as_str().into());
        }
        if let Some(step) = &self.failed_step {
            outcome.insert("failedStep".to_owned(), step.as_str().into());
        }
        outcome.insert("stepOutputs".to_owned(), job.progress().outputs.clone().into());
        outcome.insert("duration".to_owned(), millis::of(job.started.elapsed()).into());
        Value::Object(outcome)
    }
}

/// A hook and where it shows.
#[derive(Debug)]
pub(crate) struct Hook<'a> {
    /// `onSuccess`, `cleanup`, …
    pub(crate) name: &'static str,
    pub(crate) def: &'a HookDef,
    pub(crate) index: i64,
}

/// Runs a hook. An error is the masked message of its failure.
pub(crate) async fn run(
    job: &Job,
    hook: Hook<'_>,
    outcome: &Outcome,
    stop: &Stop,
) -> Result<(), String> {
    let started = Instant::now();
    let row = Row { index: hook.index, name: hook.name.to_owned(), group: None }
        .typed(format!("hook:{}", hook.name));
    row.started(&job.context).await;
    let (result, scope) = match Scope::new(&job.context, hook.name, hook.index) {
        Ok(scope) => (call(job, &hook, &scope, outcome, stop).await, Some(scope)),
        Err(error) => (Err(Failure::of(format!("could not prepare: {error}"))), None),
    };
    let mut report = Report::new(StepStatus::Success, started.elapsed());
    if let Err(failure) = &result {
        report.status = StepStatus::Failed;
        report.error = Some(failure.to_step_error(&job.context.masker));
        if let Some(scope) = &scope {
            failure.log(scope);
        }
    }
    if let Some(scope) = &scope {
        job.context.env.apply(scope.take_changes(&job.context));
        report.learn(scope).await;
        scope.dispose();
    }
    row.ended(&job.context, report).await;
    result.map_err(|failure| job.context.masker.text(&failure.message))
}

async fn call(
    job: &Job,
    hook: &Hook<'_>,
    scope: &std::sync::Arc<Scope>,
    outcome: &Outcome,
    stop: &Stop,
) -> Result<(), Failure> {
    let limit = millis::duration(hook.def.timeout).unwrap_or(DEFAULT_LIMIT);
    let more = Map::from_iter([("outcome".to_owned(), outcome.to_json(job))]);
    job.call(scope, &hook.def.run, CallKind::Hook, more, Vec::new(), (stop, limit))
        .await
        .map(|_| ())
        .map_err(|failure| Failure::of_call(&format!("Hook {}", hook.name), failure))
}
