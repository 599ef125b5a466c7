//! Finds the job in the module, or has it generated again.

use std::sync::Arc;

use kici_workflow::describe::{JobDef, JobEntry, ModuleDescription, WorkflowDef};

use crate::calls::Caller;
use crate::context::Context;
use crate::evaluate::generator;
use crate::scope::Scope;

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
        return Ok((static_job(workflow, name)?.clone(), Vec::new()));
    };
    let source = generator::Source::read(source)?;
    let generator = generator::find(workflow, source.index)?;
    let jobs = generator::call(context, caller, scope, generator, generator::LIMIT).await?;
    pick(jobs, name, source.expected_job_names)
}

/// A job that the workflow has without any generator.
pub(crate) fn static_job<'a>(workflow: &'a WorkflowDef, name: &str) -> Result<&'a JobDef, String> {
    let mut jobs = workflow.jobs.iter().filter_map(|entry| match entry {
        JobEntry::Static(job) => Some(&**job),
        JobEntry::Dynamic(_) => None,
    });
    jobs.find(|job| job.name == name)
        .ok_or_else(|| format!("Static job '{name}' not found in workflow"))
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
