//! The reading side of an agent's connection: carries out what [`super::link`] decides about each frame.
//!
//! Frames are handled strictly one after the other. While a report waits for the database, the socket is not
//! read, and so the agent is slowed down instead of anything being dropped.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use kici_protocol::agent::limits::{AUTH_TIMEOUT, MAX_MESSAGE, PING_TIMEOUT, REGISTER_TIMEOUT};
use kici_protocol::agent::{Close, CloseCode, ToAgent};
use kici_store::job::job_now;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::acks::{Acks, Receipt};
use super::connected::{Connected, Order};
use super::link::{Effect, Link};
use super::{agent_log, api};
use crate::access::agent_token_verify;
use crate::app::App;
use crate::jobs::Fact;
use crate::logging::Chain;

/// A connection that is about to be closed is read until nothing came for this long …
const READ_OUT: Duration = Duration::from_millis(100);

/// … and for no longer than this. Also how long the other side may take to answer the close.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_millis(1000);

/// See the module.
pub(super) struct Reader {
    pub(super) app: App,
    pub(super) connection: Uuid,
    pub(super) from: SocketAddr,
    /// See [`Reader::number`].
    pub(super) number: Option<i64>,
    pub(super) link: Arc<Mutex<Link>>,
    pub(super) acks: Arc<Acks>,
    pub(super) orders: mpsc::Sender<Order>,
    /// The writer has sent a close, or cannot write any more.
    pub(super) closing: CancellationToken,
    pub(super) stream: SplitStream<WebSocket>,
    pub(super) agent: Option<Arc<Connected>>,
    /// A newer connection has the agent's id.
    pub(super) replaced: CancellationToken,
    pub(super) done: CancellationToken,
    /// Why the connection ended.
    pub(super) ended: String,
}

impl Reader {
    /// Reads until the connection ends, whoever ends it.
    pub(super) async fn run(&mut self) {
        let app = self.app.clone();
        let opened = Instant::now();
        let mut authenticated = None;
        loop {
            let limit = {
                let link = self.link();
                match link.on_silence() {
                    None => PING_TIMEOUT,
                    Some(_) if link.is_waiting_for_auth() => {
                        AUTH_TIMEOUT.saturating_sub(opened.elapsed())
                    }
                    Some(_) => {
                        let since = *authenticated.get_or_insert_with(Instant::now);
                        REGISTER_TIMEOUT.saturating_sub(since.elapsed())
                    }
                }
            };
            let next = tokio::select! {
                next = timeout(limit, self.stream.next()) => next,
                () = self.closing.cancelled() => return,
                () = self.replaced.cancelled() => return self.leave(Close::REPLACED).await,
                () = app.stop.cancelled() => return self.leave(Close::SERVER_SHUTTING_DOWN).await,
            };
            let text = match next {
                Err(_) => {
                    let close = self.link().on_silence();
                    let close = close.unwrap_or_else(|| {
                        Close::new(CloseCode::HeartbeatTimeout, Close::HEARTBEAT_TIMEOUT)
                    });
                    return self.hang_up(close).await;
                }
                Ok(Some(Ok(Message::Close(Some(frame))))) => {
                    self.ended = format!("closed by the agent ({} {})", frame.code, frame.reason);
                    return;
                }
                Ok(None | Some(Err(_)) | Some(Ok(Message::Close(None)))) => return,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {
                    self.alive();
                    continue;
                }
                Ok(Some(Ok(Message::Binary(_)))) => {
                    return self
                        .hang_up(Close::new(CloseCode::Protocol, Close::MALFORMED_JSON))
                        .await;
                }
                Ok(Some(Ok(Message::Text(text)))) => text,
            };
            if let ControlFlow::Break(close) = self.take(text.as_str()).await {
                return self.hang_up(close).await;
            }
            tokio::select! {
                () = self.acks.room() => {}
                () = self.closing.cancelled() => return,
            }
        }
    }

    /// Handles one frame to its end.
    async fn take(&mut self, text: &str) -> ControlFlow<Close> {
        self.alive();
        if text.len() > MAX_MESSAGE {
            return ControlFlow::Break(Close::new(CloseCode::Protocol, Close::MESSAGE_TOO_LARGE));
        }
        let mut effects = self.link().on_text(text);
        effects.reverse();
        while let Some(effect) = effects.pop() {
            match self.perform(effect).await {
                Ok(Some(more)) => effects.extend(more.into_iter().rev()),
                Ok(None) => {}
                Err(close) => return ControlFlow::Break(close),
            }
        }
        ControlFlow::Continue(())
    }

    async fn perform(&mut self, effect: Effect) -> Result<Option<Vec<Effect>>, Close> {
        match effect {
            Effect::Send(message) => self.send(message).await,
            Effect::Close(close) => return Err(close),
            Effect::Verify(token) => {
                self.number().await?;
                let verified = agent_token_verify(&self.app.store, token.expose()).await;
                let identity = verified.map_err(|error| {
                    warn!(error = %Chain(&error), "could not check an agent's token");
                    Close::new(CloseCode::Internal, "could not check the token")
                })?;
                return Ok(Some(self.link().on_verified(identity)));
            }
            Effect::Register(register) => self.register(*register).await?,
            Effect::Report { mut fact, message } => {
                if let Fact::Refused { agent, .. } = &mut fact {
                    agent.clone_from(&self.agent_id());
                }
                if let Fact::Step(step) = &fact {
                    self.app.metrics.step(&step.state);
                }
                self.app.facts.report(fact, self.receipt(message)).await;
            }
            Effect::Log { job, attempt, chunk, place } => {
                self.app.metrics.log_chunk();
                let of = (job, attempt);
                self.app.logs.append(&self.app, of, chunk, place, &self.acks).await;
            }
            Effect::End { end, message } => {
                let rows = self.app.logs.seal(&self.app, end.job).await;
                if !rows.is_empty() {
                    self.app.facts.report(Fact::Logged(rows), None).await;
                }
                self.app.facts.report(Fact::Ended(end), self.receipt(message)).await;
            }
            Effect::Done { message } => self.acks.fact(message),
            Effect::LogsDone { job, seq } => self.acks.logs(job, seq),
            Effect::Load { active, draining } => {
                if let Some(agent) = &self.agent {
                    agent.drains(draining);
                    if usize::try_from(active).is_ok_and(|active| active < agent.max) {
                        agent.paused.store(false, Ordering::Relaxed);
                    }
                    self.app.dispatch.wake();
                }
            }
            Effect::Pause { draining } => {
                if let Some(agent) = &self.agent {
                    agent.paused.store(true, Ordering::Relaxed);
                    agent.drains(draining);
                }
            }
            Effect::Clock(theirs) => {
                if let Some(agent) = &self.agent {
                    agent.life.clock(theirs, jiff::Timestamp::now().as_millisecond());
                }
            }
            Effect::Group { run, job, request, group } => {
                self.group(run, job, request, &group).await;
            }
            Effect::Approval { run, job, attempt, request } => {
                self.approval((run, job, attempt), &request).await?;
            }
            Effect::Foreign { job, kind, message } => self.foreign(job, kind, message).await?,
            Effect::AgentLog(lines) => agent_log::print(&self.agent_id(), &lines),
            Effect::Metrics(reported) => {
                if let Some(agent) = &self.agent {
                    agent.measured(reported);
                }
            }
            Effect::Api(request) => {
                let response = api::answer(&self.app, request).await;
                self.send(ToAgent::ApiResponse(response)).await;
            }
            Effect::Bundle(part) => {
                if let Some(agent) = &self.agent
                    && !agent.bundles.take(part).await
                {
                    debug!(agent.id = %agent.id, "part of a log bundle ignored that nobody waits for");
                }
            }
            Effect::Note(text) => debug!(agent.id = %self.agent_id(), "{text}"),
        }
        Ok(None)
    }

    /// A job that this connection does not hold. One that was given to this agent before is only late.
    async fn foreign(
        &mut self,
        job: Uuid,
        kind: &'static str,
        message: String,
    ) -> Result<(), Close> {
        let agent = self.agent_id();
        let known = match self.app.store.connection().await {
            Ok(mut conn) => job_now(&mut conn, &[job]).await,
            Err(error) => Err(error),
        };
        match known {
            Ok(rows) if rows.iter().any(|row| row.agent_id.as_deref() == Some(agent.as_str())) => {
                debug!(agent.id = %agent, job.id = %job, kind, "late message about a job ignored");
                self.acks.fact(message);
            }
            Ok(_) => {
                warn!(agent.id = %agent, job.id = %job, kind, "message about a job that is not the agent's ignored");
                self.acks.fact(message);
                if let Some(close) = self.link().on_foreign(Instant::now()) {
                    return Err(close);
                }
            }
            Err(error) => warn!(error = %Chain(&error), job.id = %job, "could not look up a job"),
        }
        Ok(())
    }

    pub(super) async fn send(&self, message: ToAgent) {
        // The writer is gone when this fails, and the reader ends with its next look.
        let _ = self.orders.send(Order::Send(Box::new(message))).await;
    }

    async fn close(&self, close: Close) {
        let _ = self.orders.send(Order::Close(close)).await;
    }

    /// Closes and waits for the other side, so that the close frame is not lost with unread data.
    async fn hang_up(&mut self, close: Close) {
        let agent = self.agent_id();
        self.ended = format!("{} ({})", close.reason, close.code as u16);
        info!(agent.id = %agent, code = close.code as u16, reason = %close.reason, "closing an agent's connection");
        self.close(close).await;
        let rest = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(CLOSE_WITHIN, rest).await;
    }

    /// Ends a connection that has done nothing wrong. What the agent has sent so far still counts, so it is read
    /// before the close: afterwards the library drops everything. It is also stored, and the agent told, so that it
    /// need not send it again.
    async fn leave(&mut self, reason: &str) {
        let until = Instant::now() + CLOSE_WITHIN;
        while Instant::now() < until {
            let Ok(Some(Ok(message))) = timeout(READ_OUT, self.stream.next()).await else { break };
            if let Message::Text(text) = message
                && let ControlFlow::Break(close) = self.take(text.as_str()).await
            {
                return self.hang_up(close).await;
            }
        }
        let jobs = self.link().known();
        for job in jobs {
            self.app.logs.settle(&self.app, job).await;
        }
        self.app.facts.flush().await;
        self.hang_up(Close::new(CloseCode::GoingAway, reason)).await;
    }

    /// Whom to tell that a fact is written.
    fn receipt(&self, message: String) -> Option<Receipt> {
        Some(Receipt { acks: Arc::clone(&self.acks), message })
    }

    /// A frame came.
    fn alive(&self) {
        if let Some(agent) = &self.agent {
            agent.life.frame();
        }
    }

    fn agent_id(&self) -> String {
        self.agent.as_ref().map(|agent| agent.id.clone()).unwrap_or_default()
    }

    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("the link does not panic")
    }
}
