//! Evaluates inline expressions of a lock file: small functions of the event that name an environment, a
//! concurrency group or environment variables.
//!
//! The expression comes from a repository and is evaluated by the server, so that it gets a fresh realm with
//! nothing but `event`: no modules, no I/O, little memory and 100 ms. Evaluation blocks; async callers use
//! `spawn_blocking`. `realm` holds the limits, `guard.js` closes the gaps that QuickJS leaves.

mod realm;

use std::time::Duration;

use indexmap::IndexMap;
use kici_model::event::Event;
use kici_model::js::JsNumber;
use rquickjs::{Ctx, Function, Type, Value};

/// Time for one evaluation.
pub const TIME_LIMIT: Duration = Duration::from_millis(100);
/// Memory beyond what the event itself takes.
pub const MEMORY_LIMIT: usize = 8 * 1024 * 1024;

/// Why an expression gave no value. The caller says which job and field it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InlineError {
    /// It is no JavaScript function.
    #[error("the inline expression is not a function: {what}")]
    NotAFunction {
        /// What it is, or the syntax error.
        what: String,
    },
    /// It threw.
    #[error("the inline expression threw {error}")]
    Threw {
        /// `Error: message`.
        error: String,
    },
    /// It ran too long.
    #[error("the inline expression took longer than {} ms", TIME_LIMIT.as_millis())]
    TooSlow,
    /// It took too much memory.
    #[error("the inline expression took more than {} MiB of memory", MEMORY_LIMIT >> 20)]
    TooLarge,
    /// It returned something else than the field wants.
    #[error("the inline expression returned {got}, expected {expected}")]
    WrongType {
        /// What the field wants.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// QuickJS could not be started.
    #[error("the inline expression could not be evaluated: {what}")]
    Engine {
        /// What went wrong.
        what: String,
    },
}

/// Evaluates an expression that must give a text (`environment`, `concurrencyGroup`).
pub fn text(expression: &str, event: &Event) -> Result<String, InlineError> {
    realm::with_result(expression, event, |value| match value.as_string() {
        Some(text) => text.to_string().map_err(realm::Failure::Js),
        None => Err(wrong_type("a string", &value)),
    })
}

/// Evaluates an expression that must give a map of texts (`env`). Numbers and booleans become text,
/// `undefined` and `null` leave the variable out.
pub fn env(expression: &str, event: &Event) -> Result<IndexMap<String, String>, InlineError> {
    realm::with_result(expression, event, |value| {
        let object = match value.as_object() {
            Some(object) if !value.is_array() && !value.is_function() && !value.is_promise() => {
                object
            }
            _ => return Err(wrong_type("an object of strings", &value)),
        };
        let mut out = IndexMap::new();
        for entry in object.props::<String, Value<'_>>() {
            let (key, value) = entry.map_err(realm::Failure::Js)?;
            if let Some(text) = variable(&key, &value)? {
                out.insert(key, text);
            }
        }
        Ok(out)
    })
}

fn variable(key: &str, value: &Value<'_>) -> Result<Option<String>, realm::Failure> {
    Ok(Some(match value.type_of() {
        Type::Undefined | Type::Null => return Ok(None),
        Type::String => value.get::<String>().map_err(realm::Failure::Js)?,
        Type::Bool => value.get::<bool>().map_err(realm::Failure::Js)?.to_string(),
        Type::Int | Type::Float => {
            JsNumber(value.get::<f64>().map_err(realm::Failure::Js)?).to_string()
        }
        _ => {
            let got = format!("{} for `{key}`", described(value));
            return Err(InlineError::WrongType { expected: "strings", got }.into());
        }
    }))
}

fn wrong_type(expected: &'static str, value: &Value<'_>) -> realm::Failure {
    InlineError::WrongType { expected, got: described(value) }.into()
}

fn described(value: &Value<'_>) -> String {
    let name = match value.type_of() {
        Type::Undefined | Type::Uninitialized => "undefined",
        Type::Null => "null",
        Type::Bool => "a boolean",
        Type::Int | Type::Float | Type::BigInt => "a number",
        Type::String => "a string",
        Type::Array => "an array",
        Type::Function | Type::Constructor => "a function",
        Type::Promise => "a promise (the function must not be async)",
        _ => "an object",
    };
    name.to_owned()
}

/// Calls `(expression)(event)`.
fn call<'js>(
    ctx: &Ctx<'js>,
    expression: &str,
    event: Value<'js>,
) -> Result<Value<'js>, realm::Failure> {
    let function: Value<'js> = ctx
        .eval(format!("({expression}\n)"))
        .map_err(|error| realm::Failure::Compile(realm::thrown(ctx, &error)))?;
    let Some(function) = function.as_function().cloned() else {
        return Err(InlineError::NotAFunction { what: described(&function) }.into());
    };
    Function::call(&function, (event,)).map_err(realm::Failure::Js)
}

#[cfg(test)]
mod tests;
