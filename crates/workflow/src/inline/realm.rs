//! One fresh QuickJS realm per evaluation, with its limits.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use kici_model::event::Event;
use rquickjs::{CatchResultExt, Context, Ctx, Runtime, Value};

use super::{InlineError, MEMORY_LIMIT, TIME_LIMIT};
use crate::embedded::meter::{Meter, Usage};

/// Stack of the expression: some thousand calls deep.
const STACK: usize = 256 * 1024;
/// Keeps QuickJS's own functions from looping for ages.
const GUARD: &str = include_str!("guard.js");
/// How much of an error is kept.
const MAX_MESSAGE: usize = 500;

/// What can go wrong inside of the realm.
pub(super) enum Failure {
    /// JavaScript failed; the exception is still pending.
    Js(rquickjs::Error),
    /// The expression does not compile.
    Compile(String),
    /// Anything else.
    Known(InlineError),
}

impl From<InlineError> for Failure {
    fn from(error: InlineError) -> Self {
        Self::Known(error)
    }
}

/// Evaluates the expression and reads its value while the realm is alive.
pub(super) fn with_result<T>(
    expression: &str,
    event: &Event,
    read: impl FnOnce(Value<'_>) -> Result<T, Failure>,
) -> Result<T, InlineError> {
    let json = serde_json::to_string(event).map_err(|error| engine(&error))?;
    let usage = Usage::new(usize::MAX);
    let runtime =
        Runtime::new_with_alloc(Meter(Arc::clone(&usage))).map_err(|error| engine(&error))?;
    runtime.set_max_stack_size(STACK);
    let context = Context::full(&runtime).map_err(|error| engine(&error))?;
    let deadline = Arc::new(OnceLock::new());
    let (clock, meter) = (Arc::clone(&deadline), Arc::clone(&usage));
    let is_over = move || {
        let late = clock.get().is_some_and(|deadline: &Instant| Instant::now() >= *deadline);
        late || meter.exceeded()
    };
    let (stop, meter) = (is_over.clone(), Arc::clone(&usage));
    runtime.set_interrupt_handler(Some(Box::new(move || {
        let over = stop();
        if over {
            // The exception that ends the script has to be allocated, else a catchable one takes its place.
            lift(&meter);
        }
        over
    })));
    let mut over = false;
    let result = context.with(|ctx| {
        let event = ctx.json_parse(json).map_err(|error| engine(&error))?;
        ctx.globals().set("event", event.clone()).map_err(|error| engine(&error))?;
        ctx.eval::<(), _>(GUARD).map_err(|error| engine(&error))?;
        usage.set_limit(usage.used() + MEMORY_LIMIT);
        usage.set_strict(Some(*deadline.get_or_init(|| Instant::now() + TIME_LIMIT)));
        let result = super::call(&ctx, expression, event).and_then(read);
        over = is_over();
        lift(&usage); // telling what was thrown takes a little memory
        result.map_err(|failure| describe(&ctx, failure))
    });
    runtime.set_interrupt_handler(None);
    match result {
        _ if usage.exceeded() => Err(InlineError::TooLarge),
        Err(InlineError::Threw { .. } | InlineError::NotAFunction { .. }) if over => {
            Err(InlineError::TooSlow)
        }
        result => result,
    }
}

/// Ends the limits on memory; whether they were hit stays known.
fn lift(usage: &Usage) {
    usage.set_strict(None);
    usage.set_limit(usize::MAX);
}

fn describe(ctx: &Ctx<'_>, failure: Failure) -> InlineError {
    match failure {
        Failure::Known(error) => error,
        Failure::Compile(what) => InlineError::NotAFunction { what },
        Failure::Js(error) => InlineError::Threw { error: thrown(ctx, &error) },
    }
}

/// The pending exception as `Name: message`.
pub(super) fn thrown(ctx: &Ctx<'_>, error: &rquickjs::Error) -> String {
    let caught = match error {
        rquickjs::Error::Exception => Err::<(), _>(rquickjs::Error::Exception).catch(ctx).err(),
        other => return other.to_string(),
    };
    let text = match caught {
        Some(rquickjs::CaughtError::Exception(exception)) => {
            let name = exception.get::<_, String>("name").unwrap_or_else(|_| "Error".to_owned());
            format!("{name}: {}", exception.message().unwrap_or_default())
        }
        Some(other) => other.to_string(),
        None => "an unknown error".to_owned(),
    };
    text.trim().chars().take(MAX_MESSAGE).collect()
}

fn engine(error: &impl std::fmt::Display) -> InlineError {
    InlineError::Engine { what: error.to_string() }
}
