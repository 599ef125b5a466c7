//! Calls the author's functions and finds the scope that a host call belongs to.
//!
//! A call can be stopped three ways: by its own time limit, by a graceful stop (`ctx.signal` fires,
//! processes get TERM), and by force. JavaScript that does not return is given up on; what it asks for
//! later is refused, because its call is no longer open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kici_workflow::describe::FnHandle;
use kici_workflow::engine::{Call, CallError, CallId, CallKind, Engine};
use serde_json::Value;

use crate::control::{Control, Stop, StopCause};
use crate::scope::Scope;

/// For JavaScript to return after its last command has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Looking whether commands are still running.
const LOOK: Duration = Duration::from_millis(20);

/// A call that is open: what its host calls work on.
#[derive(Debug, Clone)]
pub(crate) struct OpenCall {
    pub(crate) scope: Arc<Scope>,
    /// Stops when the call has to stop, also by its own time limit.
    pub(crate) stop: Stop,
}

/// The open calls of one engine.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls(Mutex<HashMap<CallId, OpenCall>>);

impl OpenCalls {
    /// The call with this id.
    pub(crate) fn get(&self, id: CallId) -> Option<OpenCall> {
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, OpenCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A function to call.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) handle: FnHandle,
    pub(crate) kind: CallKind,
    pub(crate) data: Value,
    pub(crate) args: Vec<Value>,
}

/// Bounds of one call.
#[derive(Debug, Clone)]
pub(crate) struct CallBounds {
    pub(crate) stop: Stop,
    pub(crate) limit: Duration,
    pub(crate) grace: Duration,
    /// Knows why the job stops.
    pub(crate) control: Arc<Control>,
}

/// Why a call gave no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    /// The author's code threw, or the engine is gone.
    #[error(transparent)]
    Engine(#[from] CallError),
    /// It took longer than its limit.
    #[error("timed out after {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It was stopped from outside before it returned.
    #[error("stopped")]
    Stopped,
}

/// The engine of a job, with its open calls.
pub(crate) struct Caller {
    engine: Engine,
    open: Arc<OpenCalls>,
}

impl Caller {
    pub(crate) fn new(engine: Engine, open: Arc<OpenCalls>) -> Self {
        Self { engine, open }
    }

    /// Ends the engine.
    pub(crate) async fn stop(self) {
        self.engine.stop().await;
    }

    /// Calls a function and waits for what it returns.
    pub(crate) async fn call(
        &self,
        scope: &Arc<Scope>,
        function: Function,
        bounds: CallBounds,
    ) -> Result<Option<Value>, CallFailure> {
        let stop = bounds.stop.child();
        let entry = OpenCall { scope: Arc::clone(scope), stop: stop.clone() };
        let running = {
            // Held until the call is known, because its first host call may come at once.
            let mut open = self.open.lock();
            let running = self.engine.begin(Call {
                function: function.handle,
                kind: function.kind,
                data: function.data,
                args: function.args,
                budget: bounds.limit + LAST_WORDS / 2,
            });
            open.insert(running.id(), entry);
            running
        };
        let id = running.id();
        let aborter = running.aborter();
        let outcome = running.outcome();
        tokio::pin!(outcome);
        let result = tokio::select! {
            biased;
            outcome = &mut outcome => outcome.map_err(CallFailure::from),
            () = stop.term.cancelled() => {
                aborter.abort("the job is being stopped");
                let returned = tokio::select! {
                    outcome = &mut outcome => Some(outcome),
                    () = stop.kill.cancelled() => None,
                    () = patience(scope, &bounds) => None,
                };
                match returned {
                    Some(outcome) => outcome.map_err(CallFailure::from),
                    None => {
                        if bounds.control.cause().is_some() {
                            bounds.control.lose_patience();
                        }
                        Err(CallFailure::Stopped)
                    }
                }
            }
            () = tokio::time::sleep(bounds.limit) => {
                aborter.abort("the time limit is over");
                stop.term.cancel();
                tokio::select! {
                    // An endless loop. The engine says more about it than "timed out".
                    late = &mut outcome => {
                        if let Err(CallError::Limit { what }) = late {
                            scope.note(&what);
                        }
                    }
                    () = stop.kill.cancelled() => {}
                    () = without_commands(scope, bounds.grace) => {}
                }
                Err(CallFailure::TimedOut(bounds.limit))
            }
        };
        self.open.lock().remove(&id);
        scope.end_console();
        result
    }
}

/// How long JavaScript is waited for after `ctx.signal` has fired.
async fn patience(scope: &Scope, bounds: &CallBounds) {
    if matches!(bounds.control.cause(), Some(StopCause::Cancelled { .. })) {
        // The author's code may be putting things in order. Processes are killed when the grace time
        // ends; a moment more is left to see that.
        tokio::time::sleep(bounds.grace + 2 * LAST_WORDS).await;
    } else {
        without_commands(scope, bounds.grace).await;
    }
}

/// Resolves a moment after the last command of `scope` has ended; they get `grace` for that.
async fn without_commands(scope: &Scope, grace: Duration) {
    let deadline = Instant::now() + grace + LAST_WORDS;
    while scope.has_commands() && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(LAST_WORDS).await;
}
