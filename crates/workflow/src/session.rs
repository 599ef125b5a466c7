//! One loaded module on one engine: keeps the open calls, answers the guest's requests, knows the end.
//!
//! An engine (`embedded`, `node`) carries frames: it feeds what the guest sends to `Session::on_frame`, takes
//! what `outbox` gives, and says `end` when the guest is gone. `run` shows the public face of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::describe::ModuleDescription;
use crate::engine::{Call, CallError, CallId, Host, LoadMode, LoadRequest, Thrown};
use crate::failure::LoadError;
use crate::frames::{FromGuest, ToGuest};
use crate::stack;

/// How long leftovers of finished calls (timers, unawaited promises) may compute without a pause.
const LEFTOVER_ALLOWANCE: Duration = Duration::from_secs(10);

/// How an engine ended, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// A limit was hit.
    Limit(String),
    /// Anything else.
    Lost(String),
}

impl End {
    /// More memory than allowed, in bytes.
    pub(crate) fn over_memory(limit: usize) -> Self {
        End::Limit(format!(
            "the workflow's JavaScript needs more than {} MiB of memory and was stopped",
            limit / (1024 * 1024)
        ))
    }

    fn to_call_error(&self) -> CallError {
        match self {
            End::Limit(what) => CallError::Limit { what: what.clone() },
            End::Lost(how) => CallError::EngineLost { how: how.clone() },
        }
    }

    fn to_load_error(&self) -> LoadError {
        match self {
            End::Limit(what) => LoadError::Limit { what: what.clone() },
            End::Lost(how) => LoadError::EngineLost { how: how.clone() },
        }
    }
}

type CallResult = Result<Option<Value>, CallError>;
type LoadResult = Result<ModuleDescription, LoadError>;

struct OpenCall {
    budget: Duration,
    answer: oneshot::Sender<CallResult>,
}

struct State {
    load: Option<oneshot::Sender<LoadResult>>,
    calls: HashMap<CallId, OpenCall>,
    next_call: u64,
    /// What loaders found wrong; the guest only sees the text of it.
    troubles: Vec<LoadError>,
    end: Option<End>,
}

/// The state that the engine's carrier and the callers share.
pub(crate) struct Session {
    host: Arc<dyn Host>,
    /// Host requests run where the caller's other work runs, not on an engine's thread.
    callers_runtime: tokio::runtime::Handle,
    root: PathBuf,
    load_limit: Duration,
    /// Unbounded: every frame belongs to a call or to a request of the guest, which bound them; pushes come
    /// as fast as a child process writes and are taken out at once by the guest's own thread.
    outbox: mpsc::UnboundedSender<String>,
    state: Mutex<State>,
    /// Mirrors `state.end` for the interrupt handler, which must not wait for a lock.
    ended: AtomicBool,
    /// Milliseconds of JavaScript without a pause that are allowed right now.
    allowance_ms: AtomicU64,
    end_signal: watch::Sender<bool>,
    /// The last ping that the guest answered (Node only).
    pong: watch::Sender<u64>,
}

/// What a new session hands to the engine that carries its frames.
pub(crate) struct Carrier {
    /// Frames for the guest.
    pub(crate) outbox: mpsc::UnboundedReceiver<String>,
    /// Resolves with the load's result.
    pub(crate) loaded: oneshot::Receiver<LoadResult>,
}

impl Session {
    /// A session that waits for its module to be loaded. Must be called within a tokio runtime.
    pub(crate) fn new(request: &LoadRequest, host: Arc<dyn Host>) -> (Arc<Self>, Carrier) {
        #[expect(
            clippy::disallowed_methods,
            reason = "`begin` and `push` must not wait; see `Session::outbox`"
        )]
        let (outbox, outbox_rx) = mpsc::unbounded_channel();
        let (load, loaded) = oneshot::channel();
        let session = Arc::new(Self {
            host,
            callers_runtime: tokio::runtime::Handle::current(),
            root: request.root.clone(),
            load_limit: request.limits.load,
            outbox,
            state: Mutex::new(State {
                load: Some(load),
                calls: HashMap::new(),
                next_call: 1,
                troubles: Vec::new(),
                end: None,
            }),
            ended: AtomicBool::new(false),
            allowance_ms: AtomicU64::new(as_millis(request.limits.load)),
            end_signal: watch::Sender::new(false),
            pong: watch::Sender::new(0),
        });
        (session, Carrier { outbox: outbox_rx, loaded })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code that holds this lock panics")
    }

    /// Queues a frame; a guest that is gone gets none.
    pub(crate) fn send(&self, frame: &ToGuest<'_>) {
        // The receiver only goes away with the guest, and then `end` has answered every caller.
        let _ = self.outbox.send(frame.to_json());
    }

    /// Starts a call; the answer comes through the receiver.
    pub(crate) fn begin(&self, call: &Call) -> (CallId, oneshot::Receiver<CallResult>) {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.state();
            let id = CallId(state.next_call);
            state.next_call += 1;
            if let Some(end) = &state.end {
                let _ = answer.send(Err(end.to_call_error()));
                return (id, answered);
            }
            state.calls.insert(id, OpenCall { budget: call.budget, answer });
            self.renew_allowance(&state);
            id
        };
        self.send(&ToGuest::Call {
            call: id,
            function: call.function,
            kind: call.kind,
            data: &call.data,
            args: &call.args,
        });
        (id, answered)
    }

    /// Takes one frame of the guest. Runs on the carrier's thread and does not wait.
    pub(crate) fn on_frame(self: &Arc<Self>, line: &str) {
        match serde_json::from_str::<FromGuest>(line) {
            Ok(frame) => self.on_parsed(frame),
            Err(error) => {
                self.end(End::Lost(format!("its guest sent a frame that makes no sense ({error})")))
            }
        }
    }

    fn on_parsed(self: &Arc<Self>, frame: FromGuest) {
        match frame {
            FromGuest::Ready => {}
            FromGuest::Pong { id } => {
                self.pong.send_replace(id);
            }
            FromGuest::Exit { code } => self.end(End::Lost(format!(
                "the workflow called process.exit({code}); throw an error to fail, or return to succeed"
            ))),
            FromGuest::Loaded { mut description } => {
                crate::locate::settle(&mut description, &self.root);
                self.finish_load(Ok(*description));
            }
            FromGuest::Failed { error } => {
                let trouble = self.take_trouble(&error.message);
                self.finish_load(Err(trouble.unwrap_or_else(|| LoadError::Thrown(self.tidy(error)))));
            }
            FromGuest::Returned { call, value } => self.finish_call(call, Ok(value.filter(|v| !v.is_null()))),
            FromGuest::Threw { call, error } => self.finish_call(call, Err(CallError::Thrown(self.tidy(error)))),
            FromGuest::Request { call, request, method, params } => self.answer(call, request, &method, params),
            FromGuest::Notify { call, method, params } => self.host.notify(call, &method, params),
        }
    }

    /// Has one more module described by the same engine; the answer comes through the receiver.
    pub(crate) fn load_another(&self, entry: &Path) -> oneshot::Receiver<LoadResult> {
        let (load, loaded) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(end) = &state.end {
                let _ = load.send(Err(end.to_load_error()));
                return loaded;
            }
            state.troubles.clear();
            state.load = Some(load);
            self.allowance_ms.store(as_millis(self.load_limit), Ordering::Relaxed);
        }
        self.send(&ToGuest::Load {
            entry: &entry.to_string_lossy(),
            root: &self.root.to_string_lossy(),
            mode: LoadMode::Describe,
            state: &Value::Object(serde_json::Map::new()),
        });
        loaded
    }

    /// The repository's real path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How long loading one module may take.
    pub(crate) fn load_limit(&self) -> Duration {
        self.load_limit
    }

    /// Keeps what a loader found wrong until the guest reports that loading failed.
    pub(crate) fn note_trouble(&self, error: LoadError) {
        let mut state = self.state();
        // An author may try imports in a loop and catch the errors.
        if state.load.is_some() && state.troubles.len() < 100 {
            state.troubles.push(error);
        }
    }

    /// The loader's own error behind a thrown one, found by its text.
    fn take_trouble(&self, message: &str) -> Option<LoadError> {
        let mut state = self.state();
        let index = state.troubles.iter().position(|trouble| trouble.to_string() == message)?;
        Some(state.troubles.swap_remove(index))
    }

    /// Gives the load its result; a second one is dropped.
    pub(crate) fn finish_load(&self, result: LoadResult) {
        let load = {
            let mut state = self.state();
            let load = state.load.take();
            self.renew_allowance(&state);
            load
        };
        if let Some(load) = load {
            let _ = load.send(result);
        }
    }

    fn finish_call(&self, call: CallId, result: CallResult) {
        let open = {
            let mut state = self.state();
            let open = state.calls.remove(&call);
            self.renew_allowance(&state);
            open
        };
        if let Some(open) = open {
            // A caller that no longer listens has made up its mind already.
            let _ = open.answer.send(result);
        }
    }

    fn answer(self: &Arc<Self>, call: CallId, request: u64, method: &str, mut params: Value) {
        // `process.kill` names the command by the number of its request, which only this frame has.
        if let ("process.run", Value::Object(params)) = (method, &mut params) {
            params.insert("request".to_owned(), request.into());
        }
        let pusher = Arc::downgrade(self);
        let push = Arc::new(move |data: Value| {
            if let Some(session) = pusher.upgrade() {
                session.send(&ToGuest::Push { request, data: &data });
            }
        });
        let answer = self.host.request(call, method, params, push);
        let session = Arc::clone(self);
        self.callers_runtime.spawn(async move {
            let mut ended = session.end_signal.subscribe();
            let answer = tokio::select! {
                answer = answer => answer,
                _ = ended.wait_for(|ended| *ended) => return,
            };
            session.send(&match &answer {
                Ok(value) => ToGuest::Reply { request, ok: Some(value), error: None },
                Err(error) => ToGuest::Reply { request, ok: None, error: Some(error) },
            });
        });
    }

    /// Says something as the author's code would, outside any call.
    pub(crate) fn log(&self, level: &str, text: &str) {
        self.host.notify(CallId(0), "log", serde_json::json!({ "level": level, "text": text }));
    }

    /// Declares the engine gone. Every open and later call gets the first reason that was given.
    pub(crate) fn end(&self, end: End) {
        let (load, calls, end) = {
            let mut state = self.state();
            let end = state.end.get_or_insert(end).clone();
            self.ended.store(true, Ordering::Release);
            (state.load.take(), std::mem::take(&mut state.calls), end)
        };
        if let Some(load) = load {
            let _ = load.send(Err(end.to_load_error()));
        }
        for open in calls.into_values() {
            let _ = open.answer.send(Err(end.to_call_error()));
        }
        self.end_signal.send_replace(true);
    }

    /// JavaScript did not pause for longer than it may.
    pub(crate) fn end_runaway(&self, allowance: Duration) {
        self.end(End::Limit(format!(
            "the workflow's JavaScript ran for {} s without a pause (an endless loop?) and was stopped",
            allowance.as_secs_f32()
        )));
    }

    /// Loading took too long. Gives the error for the caller.
    pub(crate) fn end_slow_load(&self, entry: &Path) -> LoadError {
        let what = format!(
            "loading `{}` took longer than {} s and was stopped; move slow work from the top level into steps",
            entry.display(),
            self.load_limit.as_secs_f32()
        );
        self.end(End::Limit(what.clone()));
        LoadError::Limit { what }
    }

    /// The pings that the guest has answered.
    pub(crate) fn pongs(&self) -> watch::Receiver<u64> {
        self.pong.subscribe()
    }

    /// Whether the engine has to stop executing.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Resolves once the engine has to stop.
    pub(crate) async fn wait_for_end(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.end_signal.subscribe().wait_for(|ended| *ended).await;
    }

    /// How long JavaScript may compute now without a pause.
    pub(crate) fn allowance(&self) -> Duration {
        Duration::from_millis(self.allowance_ms.load(Ordering::Relaxed))
    }

    fn renew_allowance(&self, state: &State) {
        if state.load.is_some() {
            return; // still loading: the load's own limit holds
        }
        let longest = state.calls.values().map(|open| open.budget).max();
        self.allowance_ms
            .store(as_millis(longest.unwrap_or(LEFTOVER_ALLOWANCE)), Ordering::Relaxed);
    }

    fn tidy(&self, mut error: Thrown) -> Thrown {
        error.stack = error.stack.map(|text| stack::tidy(&text, &self.root));
        error
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
