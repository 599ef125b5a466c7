//! Calls a generator of jobs: to learn which jobs there are, and again on each agent that runs one of them.

use std::sync::Arc;
use std::time::Duration;

use kici_workflow::describe::{FnRef, JobDef, JobEntry, WorkflowDef};
use kici_workflow::engine::CallKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::calls::{CallBounds, Caller, Function};
use crate::context::Context;
use crate::failure::Failure;
use crate::scope::Scope;

/// For a generator that is called again.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Where a generated job comes from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Source {
    /// The generator's place in the workflow's `jobs`.
    pub(crate) index: usize,
    /// Names of the whole generation.
    #[serde(default)]
    pub(crate) expected_job_names: Vec<String>,
}

impl Source {
    pub(crate) fn read(source: &Value) -> Result<Source, String> {
        Source::deserialize(source)
            .map_err(|error| format!("the job's dynamicSource makes no sense: {error}"))
    }
}

/// The generator at a place.
pub(crate) fn find(workflow: &WorkflowDef, index: usize) -> Result<&FnRef, String> {
    match workflow.jobs.get(index) {
        Some(JobEntry::Dynamic(generator)) => Ok(&generator.generate),
        _ => Err(format!("there is no job generator at jobs[{index}]")),
    }
}

#[derive(Debug, Deserialize)]
struct Generated {
    jobs: Vec<JobDef>,
}

/// Calls it with the event and, if it has needs, with what came of them.
pub(crate) async fn call(
    context: &Context,
    caller: &Caller,
    scope: &Arc<Scope>,
    generator: &FnRef,
    limit: Duration,
) -> Result<Vec<JobDef>, String> {
    let data = Map::from_iter([("env".to_owned(), context.env.for_guest(&scope.env()))]);
    let function = Function {
        handle: generator.handle,
        kind: CallKind::Generator,
        data: Value::Object(data),
        args: Vec::new(),
    };
    let bounds = CallBounds {
        stop: context.control.stop.clone(),
        limit,
        grace: context.grace(),
        control: Arc::clone(&context.control),
    };
    let value = caller.call(scope, function, bounds).await.map_err(|failure| {
        let failure = Failure::of_call("the job generator", failure);
        failure.log(scope);
        format!("the job generator failed: {}", failure.message)
    })?;
    Generated::deserialize(value.unwrap_or_default()).map(|generated| generated.jobs).map_err(
        |error| format!("the job generator gave something that is no list of jobs: {error}"),
    )
}
