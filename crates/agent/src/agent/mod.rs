//! The running agent: one loop that hears the socket, the job, the clock and the operator.
//!
//! Decisions are made elsewhere (`link` for the protocol, `outbox` for order, `pace` for speed); here
//! they are carried out. `effects` does what the link decided, `work` follows the running job,
//! `leaving` is the way out.

mod after_crash;
mod effects;
mod leaving;
mod own_log;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_protocol::agent::{
    AgentMetrics, AgentStatus, Fate, FromAgent, Heartbeat, JobState, limits,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::chain::Chain;
use crate::config::Config;
use crate::facts::{self, Facts};
use crate::job::{self, Job, JobProcess, Launcher, Voice};
use crate::link::{AgentLink, Event};
use crate::logging;
use crate::metrics::Metrics;
use crate::now;
use crate::outbox::{Outbox, Told};
use crate::own_log::OwnLog;
use crate::pace::Pace;
use crate::questions::Questions;
use crate::signals::Signal;
use crate::socket::{Socket, SocketEvent};
use crate::state::State;

#[cfg(feature = "simulation")]
pub(crate) use after_crash::settle as settle_after_crash;
pub use leaving::Exit;
use leaving::Leaving;

/// Nothing is due: look again anyway.
const IDLE: Duration = Duration::from_secs(3600);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Agent {
    config: Config,
    agent_id: Arc<str>,
    /// Locked for as long as the agent runs.
    _state: State,
    facts: Facts,
    launcher: Launcher,
    metrics: Arc<Metrics>,
    started: Instant,

    link: AgentLink,
    socket: Option<Socket>,
    attempt: u32,
    outbox: Outbox,
    pace: Pace,
    lost_at: Option<Instant>,
    own_log: OwnLog,
    forwarding: own_log::Forwarding,
    clock: Clock,

    job: Option<Running>,
    /// What the orchestrator has to know about jobs beside their end, by id.
    fates: BTreeMap<String, Fate>,
    ended: Option<Ended>,
    questions: Questions,
    warm: Option<JobProcess>,
    tracker: TaskTracker,
    leaving: Leaving,
}

/// What is due when.
#[derive(Debug, Default)]
struct Clock {
    reconnect: Option<Instant>,
    /// Authentication and registration have to be answered by then.
    answer: Option<Instant>,
    heartbeat: Option<Instant>,
    job_heartbeat: Option<Instant>,
    metrics: Option<Instant>,
    /// A scaler-managed agent without work goes.
    idle: Option<Instant>,
    /// The next log frame may go.
    pace: Option<Instant>,
}

/// A job that has not told its end yet.
#[derive(Debug)]
struct Running {
    voice: Voice,
    job: Job,
    steps: Duration,
    stuck_since: Option<Instant>,
    /// Lines without room are dropped instead of being waited for.
    impatient: bool,
    cancelled: bool,
}

/// A job whose end is being told.
#[derive(Debug)]
struct Ended {
    voice: Voice,
    state: JobState,
    overhead: Duration,
}

impl Agent {
    /// Not connected yet.
    pub(crate) fn new(
        config: Config,
        state: State,
        launcher: Launcher,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = Instant::now();
        let mut outbox = Outbox::new(state.outbox(), config.outbox_bytes);
        let fates = after_crash::settle(&mut outbox);
        Self {
            fates,
            agent_id: state.agent_id().into(),
            facts: Facts::gather(&config, state.agent_id()),
            link: AgentLink::new(config.token.is_some(), outbox.untold()),
            outbox,
            _state: state,
            launcher,
            metrics,
            started: now,
            socket: None,
            attempt: 0,
            pace: Pace::new(true, now),
            lost_at: None,
            own_log: logging::own(),
            forwarding: own_log::Forwarding::default(),
            clock: Clock::default(),
            job: None,
            ended: None,
            questions: Questions::default(),
            warm: None,
            tracker: TaskTracker::new(),
            leaving: Leaving::default(),
            config,
        }
    }

    /// Runs until the operator or the work says that it is over.
    pub(crate) async fn run(mut self, mut signals: mpsc::Receiver<Signal>) -> Exit {
        self.connect();
        loop {
            let now = Instant::now();
            self.look_at_clock(now);
            self.pump(now);
            self.forward(now);
            self.metrics.outbox_stands(self.outbox.standing());
            if let Some(exit) = self.way_out(now) {
                drop(self.job.take());
                drop(self.warm.take());
                self.tracker.close();
                // Folders of jobs are still being removed.
                let _ = tokio::time::timeout(Duration::from_secs(3), self.tracker.wait()).await;
                return exit;
            }
            let wake = self.next_wake(now);
            let wants_notes = self.wants_notes();
            tokio::select! {
                biased;
                Some(signal) = signals.recv() => self.on_signal(signal),
                event = next_event(&mut self.socket) => self.on_socket(event),
                note = next_note(&mut self.job), if wants_notes => self.on_note(note),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    fn connect(&mut self) {
        tracing::debug!(url = %self.config.orchestrator_url, "connecting");
        self.clock.reconnect = None;
        self.socket = Some(Socket::open(self.config.orchestrator_url.clone()));
    }

    fn on_socket(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Opened => self.feed(Event::Opened),
            SocketEvent::Frame(frame) => self.feed(Event::Frame(frame)),
            SocketEvent::Written(ticket) if self.bundle_written(ticket) => {}
            SocketEvent::Written(ticket) => {
                let told = self.outbox.written(ticket);
                self.on_told(told);
            }
            SocketEvent::Closed { code, reason } => self.on_closed(code, reason),
        }
    }

    pub(super) fn on_told(&mut self, told: Vec<Told>) {
        for told in told {
            match told {
                // One of an earlier process holds no slot.
                Told::Written(job) if self.link.job() == Some(&job) => self.settled(),
                Told::Written(_) => {}
                Told::Stored(job) => {
                    self.fates.remove(&job.job_id);
                    self.feed(Event::Stored(job.job_id));
                }
            }
        }
    }

    /// Lets the link decide and does what it decided.
    fn feed(&mut self, event: Event) {
        for effect in self.link.on(event) {
            self.carry_out(effect);
        }
    }

    /// Hands to the writer what may go.
    fn pump(&mut self, now: Instant) {
        self.clock.pace = None;
        self.outbox.spill(now);
        let Some(socket) = self.socket.as_ref().filter(|_| self.link.is_ready()) else { return };
        while let Some(bytes) = self.outbox.next_fact_len(now) {
            if let Err(until) = self.pace.check_fact(bytes, now) {
                self.clock.pace = Some(until);
                return;
            }
            let Some(frame) = self.outbox.next_fact(now) else { break };
            self.pace.spend(bytes, now);
            socket.send_fact(frame);
        }
        loop {
            if let Err(until) = self.pace.check_log(now) {
                self.clock.pace = Some(until);
                return;
            }
            let Some(frame) = self.outbox.next_log(now) else { return };
            self.pace.spend(frame.text.len(), now);
            socket.send_log(frame);
        }
    }

    /// Sends what is of no use later; without a registered socket it is left out.
    fn send_now(&mut self, message: &FromAgent) {
        if let Some(socket) = self.socket.as_ref().filter(|_| self.link.is_ready()) {
            let text = message.to_text();
            self.pace.spend(text.len(), Instant::now());
            socket.send_now(text);
        }
    }

    fn look_at_clock(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.clock.reconnect) {
            self.connect();
        }
        if is_due(self.clock.answer) {
            self.clock.answer = None;
            self.feed(Event::AckOverdue);
        }
        if is_due(self.clock.heartbeat) {
            self.clock.heartbeat = Some(now + limits::HEARTBEAT_INTERVAL);
            self.send_now(&FromAgent::Heartbeat(Heartbeat { timestamp: Some(now::epoch_ms()) }));
        }
        if is_due(self.clock.job_heartbeat) {
            self.clock.job_heartbeat = Some(now + self.config.times.job_heartbeat);
            if let Some(heartbeat) = self.job.as_ref().map(|running| running.voice.heartbeat()) {
                self.send_now(&heartbeat);
            }
        }
        if is_due(self.clock.metrics) {
            self.clock.metrics = Some(now + limits::METRICS_INTERVAL);
            self.send_metrics();
        }
        if is_due(self.clock.idle) {
            self.clock.idle = None;
            tracing::info!("no work came in time; leaving");
            self.feed(Event::Drain);
        }
        self.watch_backpressure(now);
        self.watch_shutdown(now);
    }

    fn next_wake(&mut self, now: Instant) -> Instant {
        let bundle = self.bundle_at(now);
        let clock = &self.clock;
        // A log frame that is due has to wait for the pace.
        let sends = self.link.is_ready() && clock.pace.is_none();
        [
            clock.reconnect,
            clock.answer,
            clock.heartbeat,
            clock.job_heartbeat,
            clock.metrics,
            clock.idle,
            clock.pace,
            self.forward_at(),
            bundle,
            self.outbox.wake_at(now, sends),
            self.backpressure_at(),
            self.leaving.wake_at(),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(now + IDLE)
        // Never spin, whatever is overdue.
        .max(now + Duration::from_millis(1))
    }

    fn status_message(&self) -> FromAgent {
        let memory = facts::memory();
        FromAgent::AgentStatus(AgentStatus {
            message_id: job::id(),
            agent_id: self.agent_id.to_string(),
            active_jobs: u32::from(self.job.is_some()),
            memory_used_mb: memory.as_ref().map(|memory| memory.total_mb - memory.available_mb),
            memory_available_mb: memory.as_ref().map(|memory| memory.available_mb),
            uptime_seconds: Some(self.started.elapsed().as_secs()),
            draining: self.link.is_draining(),
        })
    }

    fn send_metrics(&mut self) {
        let message = FromAgent::AgentMetrics(AgentMetrics {
            message_id: job::id(),
            agent_id: self.agent_id.to_string(),
            metrics: self.metrics.snapshot(),
            timestamp: now::epoch_ms(),
        });
        self.send_now(&message);
    }

    /// Starts the process of the next job, so that it need not be waited for then.
    fn keep_warm(&mut self) {
        let unwanted = self.leaving.has_begun() || self.link.is_given_up();
        if !self.config.warm_process || self.warm.is_some() || unwanted {
            return;
        }
        match self.launcher.start() {
            Ok(process) => self.warm = Some(process),
            Err(error) => tracing::warn!("no job process can be kept ready: {}", Chain(&error)),
        }
    }
}

async fn next_event(socket: &mut Option<Socket>) -> SocketEvent {
    match socket {
        // After `Closed` the socket is taken away, so there is always one more event.
        Some(socket) => match socket.event().await {
            Some(event) => event,
            None => SocketEvent::Closed { code: None, reason: "the connection ended".to_owned() },
        },
        None => std::future::pending().await,
    }
}

async fn next_note(running: &mut Option<Running>) -> Option<job::Note> {
    match running {
        Some(running) => running.job.note().await,
        None => std::future::pending().await,
    }
}
