//! Who is connected here, and what each can take.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use kici_model::ids::TokenId;
use kici_protocol::agent::{AuthFailure, Close, CloseCode, ToAgent};
use kici_protocol::http::agent_tokens::PendingAgentView;
use kici_protocol::http::time::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connected::Connected;
use crate::metrics::Sums;

/// All connected agents.
pub(crate) struct Agents {
    by_id: Mutex<HashMap<String, Arc<Connected>>>,
    /// Open sockets, registered or not.
    open: AtomicUsize,
    /// Connections that have not registered.
    pending: Mutex<HashMap<Uuid, PendingAgentView>>,
    closed: Notify,
}

/// A connected agent as the dispatcher sees it.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) agent: Arc<Connected>,
    /// How many jobs it can take now; 0 for one that is busy.
    pub(crate) free: usize,
}

/// Whether a second connection of an agent may take the place of the first.
pub(super) enum Entry {
    /// It is in; the one before it, if any, has been told to go.
    In { before: Option<Arc<Connected>> },
    /// Another token holds the id.
    Taken,
}

impl Agents {
    pub(crate) fn new() -> Agents {
        Agents {
            by_id: Mutex::default(),
            open: AtomicUsize::new(0),
            pending: Mutex::default(),
            closed: Notify::new(),
        }
    }

    /// How many are registered.
    pub(crate) fn connected(&self) -> usize {
        self.map().len()
    }

    /// All registered agents with what they can take, by id.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let mut offers: Vec<Offer> = self
            .map()
            .values()
            .filter(|agent| {
                agent.ready.load(Ordering::Acquire) && !agent.draining.load(Ordering::Relaxed)
            })
            .map(|agent| Offer { agent: Arc::clone(agent), free: agent.free() })
            .collect();
        offers.sort_by(|a, b| a.agent.id.cmp(&b.agent.id));
        offers
    }

    /// All registered agents.
    pub(super) fn all(&self) -> Vec<Arc<Connected>> {
        self.map().values().cloned().collect()
    }

    /// The connection of an agent.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Connected>> {
        self.map().get(id).cloned()
    }

    /// Sends a cancel to the agent that holds a job, if it is connected here.
    pub(crate) fn cancel(
        &self,
        agent: &str,
        run: Uuid,
        job: Uuid,
        reason: &str,
        force: bool,
    ) -> bool {
        self.get(agent).is_some_and(|agent| agent.cancel(run, job, reason, force))
    }

    /// What all connected agents hold: agent, job, attempt.
    pub(crate) fn held(&self) -> Vec<(String, Uuid, i32)> {
        let agents: Vec<Arc<Connected>> = self.map().values().cloned().collect();
        let ready = agents.iter().filter(|agent| agent.ready.load(Ordering::Acquire));
        ready
            .flat_map(|agent| {
                let attempts = agent.link().attempts();
                attempts.into_iter().map(|(job, attempt)| (agent.id.clone(), job, attempt))
            })
            .collect()
    }

    /// The numbers that all connected agents have reported, summed.
    pub(crate) fn measured(&self) -> Sums {
        let mut sums = Sums::default();
        for agent in self.all() {
            let metrics = agent.metrics.lock().expect("nothing panics while it is held");
            sums.add(&metrics, agent.backend());
        }
        sums
    }

    /// The tokens in use.
    pub(crate) fn tokens(&self) -> HashSet<TokenId> {
        self.map().values().filter_map(|agent| agent.token).collect()
    }

    /// Closes every connection of a token that is no longer valid; says how many.
    pub(crate) fn kick(&self, token: TokenId) -> usize {
        let kicked: Vec<_> =
            self.map().values().filter(|agent| agent.token == Some(token)).cloned().collect();
        for agent in &kicked {
            let reason = Close::TOKEN_REVOKED;
            agent.send(ToAgent::AuthFailure(AuthFailure { reason: reason.into() }));
            agent.close(Close::new(CloseCode::Refused, reason));
        }
        kicked.len()
    }

    /// Whether another token holds the agent's id here.
    pub(super) fn is_taken(&self, agent: &Connected) -> bool {
        self.map().get(&agent.id).is_some_and(|before| before.token != agent.token)
    }

    pub(super) fn enter(&self, agent: &Arc<Connected>) -> Entry {
        let mut map = self.map();
        if let Some(before) = map.get(&agent.id)
            && before.token != agent.token
        {
            return Entry::Taken;
        }
        let before = map.insert(agent.id.clone(), Arc::clone(agent));
        if let Some(before) = &before {
            before.replaced.cancel();
        }
        Entry::In { before }
    }

    /// Removes a connection; `false` when another has taken its place.
    pub(super) fn leave(&self, agent: &Arc<Connected>) -> bool {
        let mut map = self.map();
        let own = map.get(&agent.id).is_some_and(|known| Arc::ptr_eq(known, agent));
        if own {
            map.remove(&agent.id);
        }
        own
    }

    /// Counts a socket until the guard is dropped, and lists it as pending until it registers.
    pub(super) fn open(&self, connection: Uuid, from: SocketAddr) -> impl Drop + use<'_> {
        self.open.fetch_add(1, Ordering::AcqRel);
        let view = PendingAgentView {
            connection_id: connection.to_string(),
            remote_address: from.to_string(),
            connected_at: Timestamp::now(),
        };
        self.waiting().insert(connection, view);
        Open(self, connection)
    }

    /// A connection has said who it is.
    pub(super) fn registered(&self, connection: Uuid) {
        self.waiting().remove(&connection);
    }

    /// Connections that have not said who they are, oldest first.
    pub(crate) fn pending(&self) -> Vec<PendingAgentView> {
        let mut pending: Vec<PendingAgentView> = self.waiting().values().cloned().collect();
        pending.sort_by_key(|one| one.connected_at);
        pending
    }

    /// Resolves when the process stops and the last socket is gone.
    pub(crate) async fn all_gone(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        loop {
            let closed = self.closed.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, PendingAgentView>> {
        self.pending.lock().expect("nothing panics while it is held")
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Connected>>> {
        self.by_id.lock().expect("nothing panics while it is held")
    }
}

struct Open<'a>(&'a Agents, Uuid);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.registered(self.1);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.closed.notify_waiters();
    }
}
