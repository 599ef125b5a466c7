//! Answers what the author's code asks of the world. The methods are listed in `docs/design/engine.md`.

mod remote;
mod secrets;
mod shell;

use std::sync::Arc;

use kici_workflow::engine::{CallId, Host, HostAnswer, HostError, Push};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::calls::{OpenCall, OpenCalls};
use crate::context::Context;
use crate::scope::Scope;

/// The host of one job.
#[derive(Debug)]
pub(crate) struct JobHost {
    context: Arc<Context>,
    open: Arc<OpenCalls>,
    /// For what happens outside a call: the module's top level, leftovers of finished calls.
    job: Arc<Scope>,
}

impl JobHost {
    pub(crate) fn new(context: Arc<Context>, open: Arc<OpenCalls>, job: Arc<Scope>) -> Self {
        Self { context, open, job }
    }
}

impl Host for JobHost {
    fn request(&self, call: CallId, method: &str, params: Value, push: Push) -> HostAnswer {
        if method == "secretOutput.set" {
            // Now, not when the answer is worked out: the script may print the value right away.
            secrets::mask_output(&self.context, &params);
        }
        let context = Arc::clone(&self.context);
        let method = method.to_owned();
        let open = match self.open.get(call) {
            Some(open) => open,
            None if call == CallId(0) => {
                OpenCall { scope: Arc::clone(&self.job), stop: self.context.control.stop.child() }
            }
            None => {
                let text = format!("{method}: the step that asks for it has already ended");
                return Box::pin(async move { Err(error(text)) });
            }
        };
        Box::pin(async move { answer(&context, open, &method, params, push).await })
    }

    fn notify(&self, call: CallId, method: &str, params: Value) {
        let open = self.open.get(call);
        let scope = open.as_ref().map_or(&self.job, |open| &open.scope);
        match (method, serde_json::from_value::<LogParams>(params)) {
            ("log", Ok(log)) => log.write(scope),
            ("log", Err(error)) => tracing::warn!("a log notice makes no sense: {error}"),
            (other, _) => tracing::warn!("the guest sent an unknown notice {other:?}"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct LogParams {
    level: String,
    text: String,
}

impl LogParams {
    fn write(&self, scope: &Scope) {
        match self.level.as_str() {
            "stdout" => scope.console(false, &self.text),
            "stderr" => scope.console(true, &self.text),
            "debug" if scope.env().vars().get("KICI_LOG_LEVEL").is_none_or(|l| l != "debug") => {}
            _ => scope.log.text(&self.text),
        }
    }
}

async fn answer(
    context: &Arc<Context>,
    open: OpenCall,
    method: &str,
    params: Value,
    push: Push,
) -> Result<Value, HostError> {
    let scope = &open.scope;
    match method {
        "process.run" => shell::run(context, &open, read(method, params)?, push).await,
        "process.kill" => shell::kill(scope, &read(method, params)?),
        "env.set" => {
            let set: EnvSet = read(method, params)?;
            let exposed = set.secret && context.secrets().contains_key(&set.key);
            if context.env.is_protected(&set.key) && !exposed {
                scope.note(&format!("{} is reserved or names a secret; not changed", set.key));
            } else {
                scope.env().set(&set.key, set.value);
            }
            Ok(Value::Null)
        }
        "path.add" => {
            let add: PathAdd = read(method, params)?;
            scope.env().add_path(add.dir);
            Ok(Value::Null)
        }
        "secrets.get" => Ok(secrets::get(context, scope, &read(method, params)?)),
        "secrets.list" => Ok(json!({ "keys": context.secrets().keys().collect::<Vec<_>>() })),
        "secrets.mountFile" => secrets::mount_file(context, scope, read(method, params)?),
        "secretOutput.set" => secrets::set_output(context, &read(method, params)?),
        "emit" => remote::emit(context, params).await,
        "cache.restore" => Ok(remote::cache_restore(context, scope, params).await),
        "cache.save" => Ok(remote::cache_save(context, scope, params).await),
        "api" => remote::api(context, params).await,
        unknown => Err(error(format!("this runner does not know the host method '{unknown}'"))),
    }
}

#[derive(Debug, Deserialize)]
struct EnvSet {
    key: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    secret: bool,
}

#[derive(Debug, Deserialize)]
struct PathAdd {
    dir: String,
}

fn read<T: DeserializeOwned>(method: &str, params: Value) -> Result<T, HostError> {
    serde_json::from_value(params).map_err(|cause| error(format!("{method}: {cause}")))
}

/// A plain error for the author's code.
fn error(message: impl Into<String>) -> HostError {
    HostError { name: "Error".to_owned(), message: message.into(), data: Value::Null }
}
