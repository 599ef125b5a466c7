//! The embedded engine: QuickJS on a thread of its own, inside this process.
//!
//! `thread` prepares the engine and carries the frames; `loader` gives it modules; `trace` makes its stacks
//! point into TypeScript; `meter` and the interrupt handler in `thread` hold it to its limits.

mod directory;
mod files;
mod globals;
mod loader;
pub(crate) mod meter;
mod natives;
mod processes;
mod pulse;
mod rejections;
mod thread;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::describe::ModuleDescription;
use crate::engine::{Host, LoadRequest};
use crate::failure::LoadError;
use crate::frames::ToGuest;
use crate::session::{End, Session};
use crate::source::Sources;
use thread::Order;

/// How long `stop` waits for the thread. Native code (name resolution, say) cannot be interrupted.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// An embedded engine with SDK and guest loaded, waiting for a job.
///
/// Preparing costs a few milliseconds; a program that knows it will soon run a job does it ahead of time.
pub struct Warm {
    orders: oneshot::Sender<Order>,
    gone: oneshot::Receiver<()>,
}

impl Warm {
    /// Prepares an engine.
    pub async fn new() -> Result<Warm, LoadError> {
        let (orders, orders_rx) = oneshot::channel();
        let (ready, ready_rx) = oneshot::channel();
        let (gone_tx, gone) = oneshot::channel();
        std::thread::Builder::new()
            .name("kici-js".to_owned())
            .stack_size(thread::STACK)
            .spawn(move || thread::run(ready, orders_rx, gone_tx))
            .map_err(|source| start_error("the thread could not be created", Some(source)))?;
        match ready_rx.await {
            Ok(Ok(())) => Ok(Warm { orders, gone }),
            Ok(Err(what)) => Err(start_error(&what, None)),
            Err(_) => Err(start_error("its thread died", None)),
        }
    }
}

fn start_error(what: &str, source: Option<std::io::Error>) -> LoadError {
    LoadError::Start { engine: "embedded", what: what.to_owned(), source }
}

/// The thread of a running engine. Dropping it ends the engine.
pub(crate) struct Thread {
    session: Arc<Session>,
    gone: oneshot::Receiver<()>,
}

impl Thread {
    /// Waits until the thread runs no more of the author's code, for a bounded time. The session must have been ended.
    pub(crate) async fn stop(mut self) {
        if tokio::time::timeout(STOP_PATIENCE, &mut self.gone).await.is_err() {
            tracing::warn!(
                "the embedded engine did not stop within {STOP_PATIENCE:?}; its thread is left behind"
            );
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.session.end(End::Lost("it was dropped".to_owned()));
    }
}

/// Loads a module on a prepared engine.
pub(crate) async fn start(
    warm: Warm,
    mut request: LoadRequest,
    host: Arc<dyn Host>,
) -> Result<(Arc<Session>, Thread, ModuleDescription), LoadError> {
    let sources = Sources::open(&request)?;
    request.root = sources.root().to_path_buf();
    let entry = sources.entry().to_string_lossy().into_owned();
    let (session, carrier) = Session::new(&request, host);
    session.send(&ToGuest::Load {
        entry: &entry,
        root: &request.root.to_string_lossy(),
        mode: request.mode,
        state: &request.state,
    });
    let Warm { orders, gone } = warm;
    let thread = Thread { session: Arc::clone(&session), gone };
    let order = Order {
        session: Arc::clone(&session),
        outbox: carrier.outbox,
        sources,
        env: std::mem::take(&mut request.env),
        entry,
        memory: request.limits.memory,
    };
    orders.send(order).map_err(|_| start_error("its thread died", None))?;

    let description = match tokio::time::timeout(request.limits.load, carrier.loaded).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(start_error("its thread died", None)),
        Err(_) => Err(session.end_slow_load(&request.entry)),
    };
    match description {
        Ok(description) => Ok((session, thread, description)),
        Err(error) => {
            session.end(End::Lost("its module did not load".to_owned()));
            thread.stop().await;
            Err(error)
        }
    }
}
