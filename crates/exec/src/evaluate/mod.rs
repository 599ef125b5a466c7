//! Computes what a run has to know before its jobs can run: values of a job that are functions, or the jobs that a
//! generator gives.
//!
//! Shown as one step, `init` or `evaluate`. Like steps, the author's functions run in the job's own process and
//! environment. `values` evaluates the functions of one job, `generator` calls generators; the scheduler applies
//! what comes out.

pub(crate) mod generator;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_model::generated::check_generated;
use kici_model::lock::JobEntry as LockEntry;
use kici_workflow::engine::Warm;
use kici_workflow::extract;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::load::{self, Module};
use crate::report::{Report, Row};
use crate::scope::Scope;
use crate::spec::{Evaluate, StepError, StepStatus};
use values::Values;

/// Loads the module and evaluates. An error is why the job fails.
pub(crate) async fn run(
    context: &Arc<Context>,
    warm: Option<Warm>,
    what: &Evaluate,
) -> Result<Value, String> {
    let stop = &context.control.stop.term;
    let module = tokio::select! {
        module = load::module(context, warm) => module?,
        () = stop.cancelled() => return Err("stopped".to_owned()),
    };
    let result = step(context, &module, what).await;
    module.caller.stop().await;
    result
}

/// The one step that people see.
async fn step(context: &Context, module: &Module, what: &Evaluate) -> Result<Value, String> {
    let name = match what {
        Evaluate::Fields { .. } => "init",
        Evaluate::Jobs { .. } => "evaluate",
    };
    let row = Row { index: 0, name: name.to_owned(), group: None }.step();
    let started = Instant::now();
    row.started(context).await;
    let scope = Scope::new(context, name, 0)
        .map_err(|error| format!("could not prepare the evaluation: {error}"))?;
    let result = match what {
        Evaluate::Fields { .. } => fields(context, module, &scope, what).await,
        Evaluate::Jobs { limit_ms } => {
            jobs(context, module, &scope, Duration::from_millis(*limit_ms)).await
        }
    };
    let mut report = Report::new(StepStatus::Success, started.elapsed());
    if let Err(error) = &result {
        scope.note(error);
        let stopped = context.control.stop.term.is_cancelled();
        report.status = if stopped { StepStatus::Cancelled } else { StepStatus::Failed };
        let message = context.masker.text(error);
        report.error = Some(StepError { message, exit_code: None, signal: None, cause: None });
    }
    report.learn(&scope).await;
    scope.dispose();
    row.ended(context, report).await;
    result
}

async fn fields(
    context: &Context,
    module: &Module,
    scope: &Arc<Scope>,
    what: &Evaluate,
) -> Result<Value, String> {
    let Evaluate::Fields { environment, env, concurrency_group, matrix, limit_ms } = *what else {
        return Err("there are no fields to evaluate".to_owned());
    };
    let name = &context.spec.base_job_name;
    scope.log.text(&format!(
        "Evaluating dynamic fields for job '{name}' (env={env} environment={environment} \
         concurrencyGroup={concurrency_group} matrix={matrix})"
    ));
    let job = load::static_job(&module.workflow, name)?;
    let limit = Duration::from_millis(limit_ms);
    let values = Values { context, caller: &module.caller, scope, job, limit };
    let mut result = Map::new();
    if environment {
        result.insert("environmentNames".to_owned(), json!(values.environments().await?));
    }
    if env && let Some(env) = values.env().await? {
        result.insert("env".to_owned(), json!(env));
    }
    if concurrency_group && let Some(group) = values.concurrency_group().await? {
        result.insert("concurrencyGroup".to_owned(), json!(group));
    }
    if matrix && let Some(matrix) = values.matrix().await? {
        result.insert("matrixValues".to_owned(), json!(matrix));
    }
    scope.log.text("Init completed successfully");
    Ok(Value::Object(result))
}

async fn jobs(
    context: &Context,
    module: &Module,
    scope: &Arc<Scope>,
    limit: Duration,
) -> Result<Value, String> {
    let source = context.spec.dynamic_source.as_ref().ok_or("no generator is named")?;
    let source = generator::Source::read(source)?;
    let index = source.index;
    scope
        .log
        .text(&format!("Evaluating DynamicJobFn (index {index}, timeout {}ms)", limit.as_millis()));
    let generator = generator::find(&module.workflow, index)?;
    let mut jobs = generator::call(context, &module.caller, scope, generator, limit).await?;
    check_generated(jobs.iter().map(|job| job.name.as_str()), |_| false)
        .map_err(|error| error.to_string())?;
    for job in &mut jobs {
        let values = Values { context, caller: &module.caller, scope, job, limit };
        let written_down = values.written_down().await?;
        *job = written_down;
    }
    let index = u32::try_from(index).map_err(|_| "the generator's index makes no sense")?;
    let made = extract::generated(&context.spec.source_file, index, &jobs)
        .map_err(|problem| problem.message)?;
    let names: Vec<&str> = made.iter().map(|job| job.name.as_str()).collect();
    scope.log.text(&format!("Generated {} job(s): {}", names.len(), names.join(", ")));
    let entries: Vec<LockEntry> =
        made.into_iter().map(|job| LockEntry::Static(Box::new(job))).collect();
    Ok(serde_json::to_value(entries).expect("a lock file is plain data"))
}
