//! An agent registers: who it is, whether the id is free, what it still holds, and the acknowledgement.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use kici_model::labels::AgentLabels;
use kici_protocol::agent::{Close, CloseCode, Register, RegisterAck, ToAgent};
use kici_store::StoreError;
use kici_store::agent::{Registered, agent_connection, agent_register};
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

use super::bundles::Bundles;
use super::connected::{Connected, HostFacts};
use super::life::Life;
use super::reader::{CLOSE_WITHIN, Reader};
use super::register::{Reconciled, reconcile};
use super::registry::Entry;
use super::roster;
use crate::logging::Chain;

/// What this orchestrator can do beyond v0.1.24.
const FEATURES: [&str; 3] = [RegisterAck::NO_RATE_LIMIT, RegisterAck::RECONCILED, RegisterAck::ACK];

/// Tries of a step that the database refuses for a moment.
const TRIES: u32 = 5;

impl Reader {
    pub(super) async fn register(&mut self, register: Register) -> Result<(), Close> {
        let again = self.agent.take();
        let agent = Arc::new(self.connected(&register).await?);
        if let Some(again) = &again {
            // The same connection under new labels, perhaps under another id: the old entry must not stay.
            self.app.agents.leave(again);
            if again.id != agent.id {
                self.app.roster.left(again, format!("registered as {}", agent.id));
            }
        }
        let taken = || Err(Close::new(CloseCode::Protocol, Close::AGENT_ID_TAKEN));
        if self.app.agents.is_taken(&agent) {
            return taken();
        }
        match self.enter_roster(&agent, &register).await? {
            Registered::In => {}
            Registered::Taken => return taken(),
            Registered::Superseded => {
                return Err(Close::new(CloseCode::GoingAway, Close::REPLACED));
            }
        }
        let before = match self.app.agents.enter(&agent) {
            Entry::Taken => return taken(),
            Entry::In { before } => before,
        };
        self.agent = Some(Arc::clone(&agent));
        self.app.agents.registered(self.connection);
        let keeps = register.has(RegisterAck::ACK);
        self.acks.want(keeps);
        let mut reconciled = Reconciled::default();
        if again.is_none() {
            // What the connection before this one still had to say comes first.
            if let Some(before) = before {
                let _ = timeout(2 * CLOSE_WITHIN, before.done.cancelled()).await;
            }
            self.app.facts.flush().await;
            reconciled = self.compare(&agent.id, &register).await?;
            for (job, held) in &reconciled.held {
                let (of, acks) = ((*job, held.attempt), &self.acks);
                let from = reconciled.anew.contains(job).then_some(agent.id.as_str());
                self.app.logs.adopted(&self.app, of, from, acks, keeps).await;
            }
            // Jobs of its that have ended: the rest of their log may follow, and must find the log as it is now.
            for (job, attempt) in reconciled.past.iter().filter(|_| keeps) {
                if let Some(attempt) = attempt {
                    let (of, acks) = ((*job, *attempt), &self.acks);
                    self.app.logs.adopted(&self.app, of, None, acks, keeps).await;
                }
            }
            let held = std::mem::take(&mut reconciled.held);
            let past = std::mem::take(&mut reconciled.past);
            let mut link = self.link();
            if keeps {
                link.await_ends(past.iter().map(|(job, _)| *job));
            }
            link.on_registered(held, past);
        }
        self.send(ToAgent::RegisterAck(RegisterAck {
            agent_id: register.agent_id,
            labels: register.labels,
            scaler_managed: agent.scaler_managed,
            pending_dispatch: false,
            features: FEATURES.map(str::to_owned).to_vec(),
        }))
        .await;
        for stop in reconciled.stop {
            agent.cancel(stop.run, stop.job, &stop.reason, stop.force);
        }
        info!(agent.id = %agent.id, version = register.version.as_deref().unwrap_or("unknown"),
              in_flight = register.in_flight_jobs.len(), "agent {} registered", agent.id);
        agent.ready.store(true, Ordering::Release);
        self.app.dispatch.wake();
        Ok(())
    }

    async fn connected(&mut self, register: &Register) -> Result<Connected, Close> {
        let connection = self.number().await?;
        let identity = self.link().identity().cloned();
        Ok(Connected {
            id: register.agent_id.clone(),
            labels: AgentLabels {
                labels: register.labels.iter().cloned().collect(),
                mandatory: identity
                    .iter()
                    .flat_map(|identity| identity.mandatory.iter().cloned())
                    .collect(),
            },
            host: HostFacts {
                // An agent that does not name its host stands for it.
                name: register.hostname.clone().unwrap_or_else(|| register.agent_id.clone()),
                platform: register.platform.clone(),
                arch: register.arch.clone(),
            },
            max: usize::try_from(register.max_concurrency.unwrap_or(1)).unwrap_or(1),
            token: identity.as_ref().map(|identity| identity.token),
            scaler_managed: identity.is_some_and(|identity| identity.bound_to.is_some()),
            from: self.from,
            connection,
            life: Life::new(clock_skew(register)),
            metrics: Mutex::default(),
            bundles: Bundles::default(),
            link: Arc::clone(&self.link),
            orders: self.orders.clone(),
            ready: false.into(),
            paused: false.into(),
            draining: false.into(),
            replaced: self.replaced.clone(),
            done: self.done.clone(),
        })
    }

    /// This connection's number. It is taken before `auth.success` is sent: an agent that registers here has no
    /// later connection whose number is lower.
    pub(super) async fn number(&mut self) -> Result<i64, Close> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let app = &self.app;
        let number = patiently("number a connection", || async {
            let mut conn = app.store.connection().await?;
            agent_connection(&mut conn).await
        })
        .await?;
        self.number = Some(number);
        Ok(number)
    }

    async fn enter_roster(
        &self,
        agent: &Connected,
        register: &Register,
    ) -> Result<Registered, Close> {
        let row = roster::row(agent, register, self.app.number);
        let (app, row) = (&self.app, &row);
        patiently("enter an agent into the roster", || async {
            let mut conn = app.store.connection().await?;
            agent_register(&mut conn, row).await
        })
        .await
    }

    async fn compare(&self, agent: &str, register: &Register) -> Result<Reconciled, Close> {
        let app = &self.app;
        patiently("compare an agent's jobs", || reconcile(app, agent, &register.in_flight_jobs))
            .await
    }
}

/// Tries again while the database is away for a moment; in the end the agent has to come back later.
async fn patiently<T, F: Future<Output = Result<T, StoreError>> + Send>(
    what: &'static str,
    step: impl Fn() -> F,
) -> Result<T, Close> {
    let mut tries = 0;
    loop {
        tries += 1;
        match step().await {
            Ok(done) => return Ok(done),
            Err(error) if error.is_transient() && tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(100 << tries)).await;
            }
            Err(error) => {
                warn!(error = %Chain(&error), "could not {what}");
                return Err(Close::new(CloseCode::Internal, &format!("could not {what}")));
            }
        }
    }
}

/// The agent's clock minus ours, as far as the id of its registration (`register-{agentId}-{ms}`) tells. Heartbeats
/// say it again.
fn clock_skew(register: &Register) -> Option<i64> {
    let sent: i64 = register.message_id.rsplit('-').next()?.parse().ok()?;
    // Anything else that ends in a number is not a time of this century.
    let is_time = (1_000_000_000_000..10_000_000_000_000).contains(&sent);
    is_time.then(|| sent - jiff::Timestamp::now().as_millisecond())
}
