//! From a configuration to a running agent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::agent::{Agent, Exit};
use crate::config::Config;
use crate::http::{self, ListenError, Pages};
use crate::job::{self, Launcher};
use crate::metrics::Metrics;
use crate::signals::Signal;
use crate::state::{State, StateTaken};

/// An agent whose port is open and that has not connected yet.
#[derive(Debug)]
pub struct Prepared {
    agent: Agent,
    listener: TcpListener,
    pages: Pages,
    address: SocketAddr,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Another agent has its state folder.
    #[error(transparent)]
    State(#[from] StateTaken),
}

/// Takes the state folder, opens the health port and puts right what an earlier agent left behind.
///
/// # Errors
/// The port is taken, or another agent uses the state folder.
pub async fn prepare(config: Config, launcher: Launcher) -> Result<Prepared, StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let state = State::open(&config.jobs.data_dir, config.agent_id.as_deref())?;
    let (listener, address) = http::listen(config.port).await?;
    // Not waited for: it reads a whole temporary folder.
    tokio::task::spawn_blocking(|| {
        let swept = job::sweep(&std::env::temp_dir());
        if swept > 0 {
            tracing::info!(swept, "removed folders of earlier jobs");
        }
    });
    let metrics = Arc::new(Metrics::new(config.backpressure));
    let pages = Pages {
        agent_id: state.agent_id().into(),
        metrics: Arc::clone(&metrics),
        started: Instant::now(),
    };
    tracing::info!(
        agent.id = state.agent_id(),
        port = address.port(),
        "kici-agent {} started on port {}",
        env!("CARGO_PKG_VERSION"),
        address.port()
    );
    Ok(Prepared { agent: Agent::new(config, state, launcher, metrics), listener, pages, address })
}

impl Prepared {
    /// Where `/health` is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects and works until a signal or the end of all work.
    pub async fn run(self, signals: mpsc::Receiver<Signal>) -> Exit {
        let pages = tokio::spawn(http::serve(self.listener, self.pages));
        let exit = self.agent.run(signals).await;
        pages.abort();
        exit
    }
}
