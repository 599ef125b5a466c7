//! Loads the workflow module and finds the job in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::describe::{FnRef, JobDef, JobEntry, ModuleDescription, WorkflowDef};
use kici_workflow::engine::{
    self, CallKind, Engine, EngineKind, LoadMode, LoadRequest, SdkChoice, Warm, Wish,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::calls::{CallBounds, Caller, Function, OpenCalls};
use crate::context::Context;
use crate::failure::{Failure, chain};
use crate::host::JobHost;
use crate::indexes;
use crate::job::Job;
use crate::scope::Scope;
use crate::spec::EngineWish;

/// For a generator of jobs.
const GENERATOR: Duration = Duration::from_secs(120);

/// A loaded job, its workflow, and what was found out on the way.
pub(crate) struct Loaded {
    pub(crate) job: Job,
    pub(crate) workflow: WorkflowDef,
    /// Generated siblings that are no longer generated.
    pub(crate) dropped: Vec<String>,
    pub(crate) engine: EngineKind,
}

/// Starts the engine and finds the job. An error is why the job fails.
pub(crate) async fn load(
    context: &Arc<Context>,
    warm: Option<Warm>,
    started: Instant,
) -> Result<Loaded, String> {
    let open = Arc::new(OpenCalls::default());
    let scope = Scope::new(context, &context.spec.job_name, indexes::JOB)
        .map_err(|error| format!("could not prepare the job: {error}"))?;
    let (engine, kind) = start(context, warm, Arc::clone(&open), Arc::clone(&scope)).await?;
    scope.end_console();
    let workflow = match find_workflow(engine.description(), &context.spec.workflow_name) {
        Ok(workflow) => workflow.clone(),
        Err(missing) => {
            engine.stop().await;
            return Err(missing);
        }
    };
    let caller = Caller::new(engine, open);
    match find_job(context, &caller, &scope, &workflow).await {
        Ok((def, dropped)) => {
            if let Some(seconds) = def.options.get("gracePeriod").and_then(Value::as_f64) {
                context.learn_grace(seconds);
            }
            let job = Job::new(Arc::clone(context), caller, def, started);
            Ok(Loaded { job, workflow, dropped, engine: kind })
        }
        Err(missing) => {
            caller.stop().await;
            Err(missing)
        }
    }
}

async fn start(
    context: &Arc<Context>,
    warm: Option<Warm>,
    open: Arc<OpenCalls>,
    scope: Arc<Scope>,
) -> Result<(Engine, EngineKind), String> {
    let request = request(context);
    let wish = match context.spec.engine {
        EngineWish::Auto => Wish::Auto,
        EngineWish::Embedded => Wish::Embedded,
        EngineWish::Node => Wish::Node,
    };
    let choice = engine::choose(&request, wish).map_err(|error| chain(&error))?;
    context.log.text(&format!("[kici] Engine: {}", choice.reason));
    context.log.text("[workflow-runner] Loading workflow module");
    let host = Arc::new(JobHost::new(Arc::clone(context), open, scope));
    let engine = match (choice.kind, warm) {
        (EngineKind::Embedded, Some(warm)) => Engine::start_warm(warm, request, host).await,
        (kind, _) => Engine::start(kind, request, host).await,
    };
    let engine = engine.map_err(|error| chain(&error))?;
    context.log.text("[workflow-runner] Workflow module loaded");
    Ok((engine, choice.kind))
}

fn request(context: &Context) -> LoadRequest {
    let spec = &context.spec;
    let sdk = if spec.installed_sdk { SdkChoice::Installed } else { SdkChoice::BuiltIn };
    LoadRequest {
        root: context.root.clone(),
        entry: PathBuf::from(&spec.source_file),
        mode: LoadMode::Run,
        sdk,
        env: context.env.vars().into_iter().collect(),
        state: state(context),
        limits: engine::Limits::default(),
    }
}

/// `docs/design/engine-data.md`, "`state` of `load`".
fn state(context: &Context) -> Value {
    let spec = &context.spec;
    let snapshot = spec.dynamic_source.as_ref().and_then(|source| source.get("upstreamSnapshot"));
    let from_snapshot = |key: &str| {
        snapshot.and_then(|s| s.get(key)).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut outputs = from_snapshot("jobs");
    outputs.extend(spec.upstream_outputs.clone());
    let mut statuses = from_snapshot("statuses");
    statuses.extend(spec.upstream_statuses.iter().map(|(k, v)| (k.clone(), json!(v))));
    let mut upstream = json!({ "outputs": outputs, "statuses": statuses });
    let groups = from_snapshot("groups");
    if !groups.is_empty() {
        upstream["groups"] = Value::Object(groups);
    }
    let declared = spec.dynamic_source.as_ref().and_then(|source| source.get("declaredNeeds"));
    if let Some(needs) = spec.needs.as_ref().or(declared).and_then(Value::as_array) {
        upstream["needs"] = needs.iter().filter_map(need_name).collect();
    }
    let mut defaults = json!({
        "workflow": { "name": spec.workflow_name },
        "job": { "name": spec.base_job_name },
        "event": event(context),
        "dispatchInputs": if spec.dispatch_inputs.is_null() { json!({}) } else { spec.dispatch_inputs.clone() },
        "isTestRun": spec.is_test_run,
    });
    let optional = [
        ("provider", spec.provider.clone().map(Value::from)),
        ("environment", spec.environment.clone().map(Value::from)),
        ("matrix", spec.matrix.clone()),
        ("fanout", spec.fanout.clone()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            defaults[key] = value;
        }
    }
    json!({
        "context": defaults,
        "upstream": upstream,
        "secretKeys": spec.secrets.keys().collect::<Vec<_>>(),
    })
}

/// The job's event; generated jobs may have theirs beside the generator.
pub(crate) fn event(context: &Context) -> Value {
    match (&context.spec.event, &context.spec.dynamic_source) {
        (Value::Null, Some(source)) => source.get("event").cloned().unwrap_or_default(),
        (event, _) => event.clone(),
    }
}

fn need_name(need: &Value) -> Option<Value> {
    let name = need.as_str().or_else(|| {
        ["name", "job", "group"].iter().find_map(|key| need.get(key).and_then(Value::as_str))
    });
    name.map(Value::from)
}

fn find_workflow<'a>(module: &'a ModuleDescription, name: &str) -> Result<&'a WorkflowDef, String> {
    module
        .workflows
        .iter()
        .find(|workflow| workflow.name == name)
        .ok_or_else(|| format!("Workflow '{name}' not found in module exports"))
}

async fn find_job(
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
