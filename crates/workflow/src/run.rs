//! The public face of an engine: start it, call functions, stop it.
//!
//! Which engine runs is decided by `choose`; `session` keeps the calls, `embedded` and `node` carry frames.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::describe::ModuleDescription;
use crate::embedded::{self, Warm};
use crate::engine::{Call, CallError, CallId, EngineKind, Host, LoadRequest};
use crate::failure::LoadError;
use crate::frames::ToGuest;
use crate::node;
use crate::session::{End, Session};

/// A loaded workflow module whose functions can be called.
///
/// Dropping it ends the engine too, but does not wait for it.
pub struct Engine {
    session: Arc<Session>,
    description: ModuleDescription,
    carrier: Carrier,
}

/// Who carries the frames.
enum Carrier {
    Embedded(embedded::Thread),
    Node(node::Child),
}

impl Engine {
    /// Starts an engine of this kind and loads the module.
    ///
    /// Host requests run on the tokio runtime that this is called on.
    pub async fn start(
        kind: EngineKind,
        request: LoadRequest,
        host: Arc<dyn Host>,
    ) -> Result<Engine, LoadError> {
        match kind {
            EngineKind::Embedded => Self::start_warm(Warm::new().await?, request, host).await,
            EngineKind::Node => {
                let (session, child, description) = node::start(request, host).await?;
                Ok(Engine { session, description, carrier: Carrier::Node(child) })
            }
        }
    }

    /// Loads the module on a prepared embedded engine.
    pub async fn start_warm(
        warm: Warm,
        request: LoadRequest,
        host: Arc<dyn Host>,
    ) -> Result<Engine, LoadError> {
        let (session, thread, description) = embedded::start(warm, request, host).await?;
        Ok(Engine { session, description, carrier: Carrier::Embedded(thread) })
    }

    /// What the module consists of.
    pub fn description(&self) -> &ModuleDescription {
        &self.description
    }

    /// Loads a further module of the same repository, which this engine describes from now on.
    ///
    /// Modules that both import are the same for both, as in one Node.js process. After an error only `stop` is
    /// of use. For modules that are only described: functions of earlier ones cannot be called any more.
    pub async fn describe_another(&mut self, entry: &Path) -> Result<(), LoadError> {
        let missing = || LoadError::NoEntry {
            entry: entry.to_string_lossy().into_owned(),
            root: self.session.root().to_path_buf(),
        };
        let path = self.session.root().join(entry).canonicalize().map_err(|_| missing())?;
        if !path.is_file() || !path.starts_with(self.session.root()) {
            return Err(missing());
        }
        let loaded = self.session.load_another(&path);
        self.description = match tokio::time::timeout(self.session.load_limit(), loaded).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => {
                return Err(LoadError::EngineLost { how: "it dropped the load".to_owned() });
            }
            Err(_) => return Err(self.session.end_slow_load(entry)),
        };
        Ok(())
    }

    /// Calls a function. The call is under way when this returns.
    pub fn begin(&self, call: Call) -> RunningCall {
        let (id, answer) = self.session.begin(&call);
        RunningCall { id, session: Arc::clone(&self.session), answer }
    }

    /// Ends the engine, also one that is busy. Open calls get `CallError::EngineLost`.
    pub async fn stop(self) {
        self.session.end(End::Lost("it was told to stop".to_owned()));
        match self.carrier {
            Carrier::Embedded(thread) => thread.stop().await,
            Carrier::Node(child) => child.stop().await,
        }
    }
}

/// A call under way.
pub struct RunningCall {
    id: CallId,
    session: Arc<Session>,
    answer: oneshot::Receiver<Result<Option<Value>, CallError>>,
}

impl RunningCall {
    /// The id that the call's host requests carry.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// A handle to fire `ctx.signal` of this call.
    pub fn aborter(&self) -> Aborter {
        Aborter { id: self.id, session: Arc::clone(&self.session) }
    }

    /// Waits for the end of the call. `None` is `undefined` or `null`.
    pub async fn outcome(self) -> Result<Option<Value>, CallError> {
        self.answer.await.unwrap_or_else(|_| {
            Err(CallError::EngineLost { how: "it dropped the call".to_owned() })
        })
    }
}

/// Fires `ctx.signal` of one call.
#[derive(Clone)]
pub struct Aborter {
    id: CallId,
    session: Arc<Session>,
}

impl Aborter {
    /// Fires the signal; a call that has ended is not disturbed.
    pub fn abort(&self, reason: &str) {
        self.session.send(&ToGuest::Abort { call: self.id, reason });
    }
}
