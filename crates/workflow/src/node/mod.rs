//! The Node engine: a child process of Node.js that runs the same guest.
//!
//! `find` finds Node, `child` starts and watches the process and carries the frames, `loader` answers its
//! questions about modules. `packages/sdk` has the other side (`node-main`).

mod child;
pub(crate) mod find;
mod loader;

use std::sync::Arc;

use crate::describe::ModuleDescription;
use crate::engine::{Host, LoadRequest};
use crate::failure::LoadError;
use crate::frames::ToGuest;
use crate::session::{End, Session};
use crate::source::Sources;

pub(crate) use child::Child;

/// Starts Node and loads a module.
pub(crate) async fn start(
    mut request: LoadRequest,
    host: Arc<dyn Host>,
) -> Result<(Arc<Session>, Child, ModuleDescription), LoadError> {
    let node = find::node().map_err(|missing| start_error(&missing.to_string(), None))?;
    let sources = Arc::new(Sources::open(&request)?);
    request.root = sources.root().to_path_buf();
    let (session, carrier) = Session::new(&request, host);
    session.send(&ToGuest::Load {
        entry: &sources.entry().to_string_lossy(),
        root: &request.root.to_string_lossy(),
        mode: request.mode,
        state: &request.state,
    });
    let child =
        Child::spawn(node, &request, &session, carrier.outbox, sources).map_err(|source| {
            start_error(&format!("{} did not start", node.path.display()), Some(source))
        })?;

    let description = match tokio::time::timeout(request.limits.load, carrier.loaded).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(start_error("its session was dropped", None)),
        Err(_) => Err(session.end_slow_load(&request.entry)),
    };
    match description {
        Ok(description) => Ok((session, child, description)),
        Err(error) => {
            session.end(End::Lost("its module did not load".to_owned()));
            child.stop().await;
            Err(error)
        }
    }
}

fn start_error(what: &str, source: Option<std::io::Error>) -> LoadError {
    LoadError::Start { engine: "node", what: what.to_owned(), source }
}
