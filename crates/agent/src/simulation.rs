//! An agent without sockets, processes and clock, for tests of the link against an orchestrator's.
//!
//! It is the link and the outbox that the real agent uses, and what `agent::effects` does with them, with frames in and
//! frames out. The test moves the frames, loses them, and decides what the job does.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;

use kici_protocol::agent::{
    AuthRequest, Fate, FromAgent, InFlightJob, JobRef, JobState, PROTOCOL_VERSION, Register,
    RegisterAck, Secret, ToAgent,
};

use crate::agent::settle_after_crash;
use crate::job::Voice;
use crate::link::{AgentLink, Effect, Event};
use crate::outbox::{Outbox, RECONCILE_TIME, Told};

/// Far more than any test writes.
const DISK: u64 = 1024 * 1024 * 1024;

/// A frame on its way out.
#[derive(Debug)]
pub struct Sent {
    /// To be given to [`SimulatedAgent::written`] once the frame has left; 0 for one that is not kept.
    pub ticket: u64,
    /// The text.
    pub text: String,
}

/// See the module's description.
#[derive(Debug)]
pub struct SimulatedAgent {
    id: String,
    link: AgentLink,
    outbox: Outbox,
    running: Option<Running>,
    fates: BTreeMap<String, Fate>,
    ready: VecDeque<Sent>,
    /// The link wants the connection closed.
    closes: bool,
}

/// The job that runs.
#[derive(Debug)]
struct Running {
    voice: Voice,
    request: String,
    cancelled: bool,
}

impl SimulatedAgent {
    /// A new process of an agent, which finds what the last one left in `folder`.
    pub fn start(id: &str, folder: &Path) -> Self {
        let mut outbox = Outbox::new(Some(PathBuf::from(folder)), DISK);
        let fates = settle_after_crash(&mut outbox);
        Self {
            fates,
            id: id.to_owned(),
            link: AgentLink::new(true, outbox.untold()),
            outbox,
            running: None,
            ready: VecDeque::new(),
            closes: false,
        }
    }

    /// A connection was made.
    pub fn opened(&mut self, now: Instant) {
        self.closes = false;
        self.feed(Event::Opened, now);
    }

    /// A frame has come.
    pub fn frame(&mut self, text: &str, now: Instant) {
        self.feed(Event::Frame(Box::new(ToAgent::parse(text))), now);
    }

    /// The connection is gone.
    pub fn closed(&mut self, code: Option<u16>, now: Instant) {
        self.ready.clear();
        self.outbox.rewind();
        self.feed(Event::Closed { code, reason: String::new() }, now);
    }

    /// No answer to the greeting came.
    pub fn gave_no_answer(&mut self, now: Instant) {
        self.feed(Event::AckOverdue, now);
    }

    /// Whether it wants the connection closed.
    pub fn wants_to_close(&self) -> bool {
        self.closes
    }

    /// Whether it is registered.
    pub fn is_ready(&self) -> bool {
        self.link.is_ready()
    }

    /// What the writer may send now.
    pub fn pump(&mut self, now: Instant) -> Vec<Sent> {
        if self.link.is_ready() {
            while let Some(frame) = self.outbox.next_fact(now) {
                self.ready.push_back(Sent { ticket: frame.ticket, text: frame.text });
            }
            while let Some(frame) = self.outbox.next_log(now) {
                self.ready.push_back(Sent { ticket: frame.ticket, text: frame.text });
            }
        }
        self.outbox.spill(now);
        self.ready.drain(..).collect()
    }

    /// A frame has left for a registered socket.
    pub fn written(&mut self, ticket: u64, now: Instant) {
        let told = self.outbox.written(ticket);
        self.told(told, now);
    }

    /// The `requestId` of the job that runs, and whether it was asked to stop.
    pub fn job(&self) -> Option<(&str, bool)> {
        self.running.as_ref().map(|running| (running.request.as_str(), running.cancelled))
    }

    /// The running job writes lines.
    pub fn print(&mut self, step: i64, lines: Vec<String>, now: Instant) {
        if let Some(logs) = self.outbox.logs() {
            logs.push(step, lines, now);
        }
    }

    /// The running job ends.
    pub fn end(&mut self, success: bool, now: Instant) {
        let Some(running) = self.running.take() else { return };
        let state = match (running.cancelled, success) {
            (true, _) => JobState::Cancelled,
            (false, true) => JobState::Success,
            (false, false) => JobState::Failed,
        };
        self.outbox.push(&running.voice.execution_ended(state));
        self.outbox.push_terminal(&running.voice.status(state), now);
    }

    /// Whether nothing is left to be told.
    pub fn has_told_everything(&self) -> bool {
        self.outbox.is_empty()
    }

    fn feed(&mut self, event: Event, now: Instant) {
        for effect in self.link.on(event) {
            self.carry_out(effect, now);
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Authenticate => self.send(&FromAgent::AuthRequest(AuthRequest {
                token: Secret::from("kat_simulated".to_owned()),
                protocol_version: PROTOCOL_VERSION,
            })),
            Effect::Register(jobs) => self.register(jobs),
            Effect::Registered(ack) => {
                let later = !self.link.in_flight().is_empty() && !ack.has(RegisterAck::RECONCILED);
                let terminal_from = later.then(|| now + RECONCILE_TIME);
                self.outbox.registered(ack.has(RegisterAck::ACK), terminal_from);
            }
            Effect::Accept(dispatch) => {
                let job = JobRef { run_id: dispatch.run_id, job_id: dispatch.job_id };
                self.fates.remove(&job.job_id);
                let voice = Voice::new(job);
                self.outbox.begin(voice.job().clone());
                self.outbox.push(&voice.ack());
                self.outbox.push(&voice.status(JobState::Running));
                let request = dispatch.request_id.unwrap_or_default();
                self.running = Some(Running { voice, request, cancelled: false });
            }
            Effect::AckAgain(job) => self.send(&Voice::new(job).ack()),
            Effect::Reject(job, reason) => self.send(&Voice::new(job).reject(reason)),
            Effect::Refuse(job, problem) => {
                let voice = Voice::new(job);
                let end = voice.failed(JobState::Failed, &problem);
                self.outbox.refuse(voice.job(), &[voice.ack()], &end);
            }
            Effect::NotHere(job) => {
                let voice = Voice::new(job);
                let end = voice.failed(JobState::Cancelled, "the job is not on this agent");
                self.outbox.refuse(voice.job(), &[], &end);
            }
            Effect::Cancel { .. } => {
                if let Some(running) = &mut self.running {
                    running.cancelled = true;
                    self.fates.insert(running.voice.job().job_id.clone(), Fate::Stopping);
                    self.outbox.note_stopping();
                }
            }
            Effect::Stored(ack) => {
                let told = self.outbox.stored(&ack);
                self.told(told, now);
            }
            Effect::Close(_) => self.closes = true,
            Effect::Answer(_)
            | Effect::HoldLogs(_)
            | Effect::Reconnect { .. }
            | Effect::GiveUp(_)
            | Effect::Leave
            | Effect::Note(_) => {}
        }
    }

    fn told(&mut self, told: Vec<Told>, now: Instant) {
        for told in told {
            match told {
                Told::Written(job) if self.link.job() == Some(&job) => {
                    self.feed(Event::Settled, now)
                }
                Told::Written(_) => {}
                Told::Stored(job) => {
                    self.fates.remove(&job.job_id);
                    self.feed(Event::Stored(job.job_id), now);
                }
            }
        }
    }

    fn register(&mut self, jobs: Vec<JobRef>) {
        let in_flight = jobs.into_iter().map(|job| InFlightJob {
            fate: self.fates.get(&job.job_id).copied(),
            job_id: job.job_id,
            run_id: job.run_id,
        });
        let registration = Register {
            message_id: "register".to_owned(),
            agent_id: self.id.clone(),
            labels: vec!["linux".to_owned()],
            max_concurrency: Some(1),
            in_flight_jobs: in_flight.collect(),
            features: vec![RegisterAck::ACK.to_owned()],
            ..Register::default()
        };
        self.send(&FromAgent::Register(Box::new(registration)));
    }

    fn send(&mut self, message: &FromAgent) {
        self.ready.push_back(Sent { ticket: 0, text: message.to_text() });
    }
}
