//! Loads the workflow module and finds the job in it.

mod find;
mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use kici_workflow::describe::WorkflowDef;
use kici_workflow::engine::{
    self, Engine, EngineKind, LoadMode, LoadRequest, SdkChoice, Warm, Wish,
};
use serde_json::Value;

use crate::calls::{Caller, OpenCalls};
use crate::context::Context;
use crate::failure::chain;
use crate::host::JobHost;
use crate::indexes;
use crate::job::Job;
use crate::scope::Scope;
use crate::spec::EngineWish;

pub(crate) use find::static_job;
pub(crate) use state::event;

/// A loaded job, its workflow, and what was found out on the way.
pub(crate) struct Loaded {
    pub(crate) job: Job,
    pub(crate) workflow: WorkflowDef,
    /// Generated siblings that are no longer generated.
    pub(crate) dropped: Vec<String>,
    pub(crate) engine: EngineKind,
}

/// A loaded module and its workflow.
pub(crate) struct Module {
    pub(crate) caller: Caller,
    pub(crate) workflow: WorkflowDef,
    pub(crate) engine: EngineKind,
    /// What the job says outside of steps.
    pub(crate) scope: Arc<Scope>,
}

/// Starts the engine and finds the workflow. An error is why the job fails.
pub(crate) async fn module(context: &Arc<Context>, warm: Option<Warm>) -> Result<Module, String> {
    let open = Arc::new(OpenCalls::default());
    let scope = Scope::new(context, &context.spec.job_name, indexes::JOB)
        .map_err(|error| format!("could not prepare the job: {error}"))?;
    let (engine, kind) = start(context, warm, Arc::clone(&open), Arc::clone(&scope)).await?;
    scope.end_console();
    let workflow = match find::workflow(engine.description(), &context.spec.workflow_name) {
        Ok(workflow) => workflow.clone(),
        Err(missing) => {
            engine.stop().await;
            return Err(missing);
        }
    };
    Ok(Module { caller: Caller::new(engine, open), workflow, engine: kind, scope })
}

/// Starts the engine and finds the job. An error is why the job fails.
pub(crate) async fn load(
    context: &Arc<Context>,
    warm: Option<Warm>,
    started: Instant,
) -> Result<Loaded, String> {
    let Module { caller, workflow, engine, scope } = module(context, warm).await?;
    match find::job(context, &caller, &scope, &workflow).await {
        Ok((def, dropped)) => {
            if let Some(seconds) = def.options.get("gracePeriod").and_then(Value::as_f64) {
                context.learn_grace(seconds);
            }
            let job = Job::new(Arc::clone(context), caller, def, started);
            Ok(Loaded { job, workflow, dropped, engine })
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
        state: state::of(context),
        limits: engine::Limits::default(),
    }
}
