//! The functions by which an author computes values of a job: environments, variables, concurrency group, matrix.

use std::sync::Arc;
use std::time::Duration;

use kici_model::lock::MatrixValues;
use kici_workflow::describe::{Field, FnRef, JobDef};
use kici_workflow::engine::CallKind;
use serde_json::{Map, Value, json};

use crate::calls::{CallBounds, Caller, Function};
use crate::context::Context;
use crate::failure::Failure;
use crate::job::first_label;
use crate::load;
use crate::scope::Scope;

/// One job and the means to evaluate it.
pub(super) struct Values<'a> {
    pub(super) context: &'a Context,
    pub(super) caller: &'a Caller,
    pub(super) scope: &'a Arc<Scope>,
    pub(super) job: &'a JobDef,
    /// For each function.
    pub(super) limit: Duration,
}

impl Values<'_> {
    /// Names of all environments, in order.
    pub(super) async fn environments(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for field in &self.job.environments {
            match self.value("environment", field).await? {
                Value::String(name) if !name.is_empty() => names.push(name),
                other => return Err(self.wrong("environment", "a name", &other)),
            }
        }
        Ok(names)
    }

    /// Its variables.
    pub(super) async fn env(&self) -> Result<Option<Map<String, Value>>, String> {
        let Some(field) = &self.job.env else { return Ok(None) };
        let value = self.value("env", field).await?;
        let Value::Object(map) = value else {
            return Err(self.wrong("env", "an object of strings", &value));
        };
        let mut env = Map::new();
        for (name, value) in map {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                other => return Err(self.wrong(&format!("env ('{name}')"), "strings", &other)),
            };
            env.insert(name, Value::String(text));
        }
        Ok(Some(env))
    }

    /// Its concurrency group.
    pub(super) async fn concurrency_group(&self) -> Result<Option<String>, String> {
        let Some(field) = &self.job.concurrency_group else { return Ok(None) };
        match self.value("concurrencyGroup", field).await? {
            Value::String(group) => Ok(Some(group)),
            other => Err(self.wrong("concurrencyGroup", "a name", &other)),
        }
    }

    /// Its matrix.
    pub(super) async fn matrix(&self) -> Result<Option<MatrixValues>, String> {
        let Some(field) = &self.job.matrix else { return Ok(None) };
        let value = match field {
            Field::Value(value) => value.clone(),
            Field::Function(function) => self.call("matrix", function, CallKind::Matrix).await?,
        };
        serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| self.wrong("matrix", "a list or an object of lists", &value))
    }

    /// The job with values in place of functions.
    pub(super) async fn written_down(&self) -> Result<JobDef, String> {
        let mut job = self.job.clone();
        let plain = |value| Field::Value(value);
        if self.job.environments.iter().any(is_function) {
            let names = self.environments().await?;
            job.environments = names.into_iter().map(|name| plain(Value::String(name))).collect();
        }
        if self.job.env.as_ref().is_some_and(is_function) {
            job.env = self.env().await?.map(|env| plain(json!(env)));
        }
        if self.job.concurrency_group.as_ref().is_some_and(is_function) {
            let group = self.concurrency_group().await?;
            job.concurrency_group = group.map(|group| plain(Value::String(group)));
        }
        if self.job.matrix.as_ref().is_some_and(is_function) {
            job.matrix = self.matrix().await?.map(|matrix| plain(json!(matrix)));
        }
        Ok(job)
    }

    /// A value that is written down, or that a function of the event gives.
    async fn value(&self, what: &str, field: &Field) -> Result<Value, String> {
        match field {
            Field::Value(value) => Ok(value.clone()),
            Field::Function(function) => self.call(what, function, CallKind::Plain).await,
        }
    }

    async fn call(&self, what: &str, function: &FnRef, kind: CallKind) -> Result<Value, String> {
        let what = format!("{what} of job '{}'", self.job.name);
        let data = match kind {
            CallKind::Matrix => {
                let runs_on = self.job.options.get("runsOn").map(first_label).unwrap_or_default();
                json!({
                    "job": { "name": self.job.name, "runsOn": runs_on },
                    "env": self.context.env.for_guest(&self.scope.env()),
                })
            }
            _ => load::event(self.context),
        };
        let bounds = CallBounds {
            stop: self.context.control.stop.clone(),
            limit: self.limit,
            grace: self.context.grace(),
            control: Arc::clone(&self.context.control),
        };
        let function = Function { handle: function.handle, kind, data, args: Vec::new() };
        let called = self.caller.call(self.scope, function, bounds).await;
        let value = called.map_err(|failure| {
            let failure = Failure::of_call(&what, failure);
            failure.log(self.scope);
            format!("{what} failed: {}", failure.message)
        })?;
        Ok(value.unwrap_or_default())
    }

    fn wrong(&self, what: &str, expected: &str, got: &Value) -> String {
        let mut got = got.to_string();
        if got.len() > 100 {
            got.truncate(got.floor_char_boundary(100));
            got.push('…');
        }
        format!("{what} of job '{}' gave {got}, expected {expected}", self.job.name)
    }
}

fn is_function(field: &Field) -> bool {
    matches!(field, Field::Function(_))
}
