//! Finds the job in the module, or has it generated again.

use std::sync::Arc;
use std::time::Duration;

use kici_workflow::describe::{FnRef, JobDef, JobEntry, ModuleDescription, WorkflowDef};
use kici_workflow::engine::CallKind;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::calls::{CallBounds, Caller, Function};
use crate::context::Context;
use crate::failure::Failure;
use crate::scope::Scope;

/// For a generator of jobs.
const GENERATOR: Duration = Duration::from_secs(120);

/// The workflow of this name.
pub(super) fn workflow<'a>(
    module: &'a ModuleDescription,
    name: &str,
) -> Result<&'a WorkflowDef, String> {
    module
        .workflows
        .iter()
        .find(|workflow| workflow.name == name)
        .ok_or_else(|| format!("Workflow '{name}' not found in module exports"))
}

/// The job, and generated siblings that are gone.
pub(super) async fn job(
    context: &Context,
    caller: &Caller,
    scope: &Arc<Scope>,
    workflow: &WorkflowDef,
) -> Result<(JobDef, Vec<String>), String> {
    let name = &context.spec.base_job_name;
    let Some(source) = &context.spec.dynamic_source else {
        let mut jobs = workflow.jobs.iter().filter_map(|entry| match entry {
            JobEntry::Static(job) => Some(job),
            JobEntry::Dynamic(_) => None,
        });
        return jobs
            .find(|job| job.name == *name)
            .map(|job| ((**job).clone(), Vec::new()))
            .ok_or_else(|| format!("Static job '{name}' not found in workflow"));
    };
    let source = GeneratedBy::deserialize(source)
        .map_err(|error| format!("the job's dynamicSource makes no sense: {error}"))?;
    let generator = match workflow.jobs.get(source.index) {
        Some(JobEntry::Dynamic(generator)) => &generator.generate,
        _ => return Err(format!("there is no job generator at jobs[{}]", source.index)),
    };
    let jobs = generate(context, caller, scope, generator).await?;
    pick(jobs, name, source.expected_job_names)
}

/// Takes the job out of what its generator gives now, and names siblings that are gone.
fn pick(
    jobs: Vec<JobDef>,
    name: &str,
    expected: Vec<String>,
) -> Result<(JobDef, Vec<String>), String> {
    let dropped = expected
        .into_iter()
        .filter(|sibling| sibling != name && !jobs.iter().any(|job| job.name == *sibling))
        .collect();
    let found = jobs.into_iter().find(|job| job.name == name);
    let job = found.ok_or_else(|| {
        format!("the job generator no longer gives a job '{name}'; it has to give the same jobs for the same event")
    })?;
    Ok((job, dropped))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeneratedBy {
    index: usize,
    #[serde(default)]
    expected_job_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Generated {
    jobs: Vec<JobDef>,
}

async fn generate(
    context: &Context,
    caller: &Caller,
    scope: &Arc<Scope>,
    generator: &FnRef,
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
        limit: GENERATOR,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(name: &str) -> JobDef {
        serde_json::from_value(json!({ "name": name, "steps": [] })).unwrap()
    }

    #[test]
    fn generated_siblings_that_are_gone_are_named() {
        let expected = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let (found, dropped) = pick(vec![job("a"), job("c")], "c", expected).unwrap();
        assert_eq!((found.name.as_str(), dropped), ("c", vec!["b".to_owned()]));
        let missing = pick(vec![job("a")], "x", Vec::new()).unwrap_err();
        assert!(missing.contains("'x'"), "{missing}");
    }
}
