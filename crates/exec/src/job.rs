//! A job whose module is loaded: its definition, its engine, and what has happened so far.
//!
//! `load` makes it, `steps` and `hooks` work with it, `run` takes the result out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kici_workflow::describe::{FnRef, Hooks, JobDef};
use kici_workflow::engine::CallKind;
use serde_json::{Map, Value, json};

use crate::calls::{CallBounds, CallFailure, Caller, Function};
use crate::context::Context;
use crate::control::Stop;
use crate::millis;
use crate::scope::Scope;
use crate::spec::{StepStatus, StepSummary};

/// Outputs travel in the message that ends the job, which has a limit of its own.
const MOST_OUTPUT: usize = 512 * 1024;

/// A loaded job.
pub(crate) struct Job {
    pub(crate) context: Arc<Context>,
    pub(crate) caller: Caller,
    pub(crate) def: JobDef,
    pub(crate) started: Instant,
    progress: Mutex<Progress>,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Step name → value as the author returned it.
    pub(crate) outputs: Map<String, Value>,
    output_bytes: usize,
    /// By index.
    pub(crate) steps: BTreeMap<i64, StepSummary>,
    /// The step that started last, for its `onCancel`.
    pub(crate) last_started: Option<(i64, Hooks)>,
    /// A step that was stopped has run its `onCancel`.
    pub(crate) cancel_hook_ran: bool,
    /// The first step whose failure counts, and why.
    pub(crate) failed: Option<FailedStep>,
    /// Steps that would change something (`check-fail-on-drift`).
    pub(crate) drifted: Vec<String>,
    /// A rule of the job did not pass.
    pub(crate) skipped: bool,
    /// Something went wrong besides the steps: hooks.
    pub(crate) problems: Vec<String>,
}

/// A step whose failure fails the job.
#[derive(Debug, Clone)]
pub(crate) struct FailedStep {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) cause: Option<&'static str>,
}

impl Job {
    pub(crate) fn new(
        context: Arc<Context>,
        caller: Caller,
        def: JobDef,
        started: Instant,
    ) -> Self {
        Self { context, caller, def, started, progress: Mutex::default() }
    }

    /// What has happened so far.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a step that was reached.
    pub(crate) fn record(
        &self,
        index: i64,
        name: &str,
        status: StepStatus,
        duration: Duration,
        error: Option<String>,
    ) {
        let duration_ms = millis::of(duration);
        let summary = StepSummary { name: name.to_owned(), status, duration_ms, error };
        self.progress().steps.insert(index, summary);
    }

    /// Calls a function that gets a context, in `scope`.
    pub(crate) async fn call(
        &self,
        scope: &Arc<Scope>,
        function: &FnRef,
        kind: CallKind,
        more: Map<String, Value>,
        args: Vec<Value>,
        (stop, limit): (&Stop, Duration),
    ) -> Result<Option<Value>, CallFailure> {
        let mut data = more;
        data.insert("job".to_owned(), self.job_data());
        data.insert("step".to_owned(), json!({ "name": scope.name }));
        data.insert("env".to_owned(), self.context.env.for_guest(&scope.env()));
        let function = Function { handle: function.handle, kind, data: Value::Object(data), args };
        self.caller.call(scope, function, self.bounds(stop, limit)).await
    }

    /// Calls a function that gets `data` itself.
    pub(crate) async fn call_plain(
        &self,
        scope: &Arc<Scope>,
        function: &FnRef,
        data: Value,
        (stop, limit): (&Stop, Duration),
    ) -> Result<Option<Value>, CallFailure> {
        let function =
            Function { handle: function.handle, kind: CallKind::Plain, data, args: Vec::new() };
        self.caller.call(scope, function, self.bounds(stop, limit)).await
    }

    fn bounds(&self, stop: &Stop, limit: Duration) -> CallBounds {
        CallBounds {
            stop: stop.clone(),
            limit,
            grace: self.context.grace(),
            control: Arc::clone(&self.context.control),
        }
    }

    /// `ctx.job`: the base name, and the first label as text.
    fn job_data(&self) -> Value {
        let runs_on = self.def.options.get("runsOn").map(first_label).unwrap_or_default();
        json!({ "name": self.context.spec.base_job_name, "runsOn": runs_on })
    }
}

/// What `ctx.job.runsOn` shows: the first label as text.
pub(crate) fn first_label(runs_on: &Value) -> String {
    match runs_on {
        Value::String(label) => label.clone(),
        Value::Array(labels) => labels.first().map(first_label).unwrap_or_default(),
        Value::Object(map) => match (map.get("labels"), map.get("$re")) {
            (Some(labels), _) => first_label(labels),
            (None, Some(regex)) => {
                let part = |name| regex.get(name).and_then(Value::as_str).unwrap_or_default();
                format!("/{}/{}", part("source"), part("flags"))
            }
            (None, None) => String::new(),
        },
        _ => String::new(),
    }
}

impl Progress {
    /// Keeps a step's output. An error says that there is no room for it.
    pub(crate) fn keep_output(&mut self, step: &str, output: Value) -> Result<(), String> {
        self.output_bytes += output.to_string().len();
        if self.output_bytes > MOST_OUTPUT {
            return Err(format!(
                "the outputs of the job's steps exceed {} KiB; keep large data in files",
                MOST_OUTPUT / 1024
            ));
        }
        self.outputs.insert(step.to_owned(), output);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_label_is_shown_as_text() {
        for (runs_on, shown) in [
            (json!("linux"), "linux"),
            (json!(["a", "b"]), "a"),
            (json!({"labels": [{"$re": {"source": "^gpu", "flags": "i"}}]}), "/^gpu/i"),
            (json!([]), ""),
        ] {
            assert_eq!(first_label(&runs_on), shown);
        }
    }
}
