//! Decides what happens on the link to the orchestrator: greeting, registration, which job to take,
//! when to come back and when to stop for good.
//!
//! No socket, no clock, no ids here: [`AgentLink::on`] turns an [`Event`] into [`Effect`]s, `agent`
//! carries them out, and the tables in `tests` are the whole behaviour.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use kici_protocol::agent::{
    Ack, Close, CloseCode, JobDispatch, JobRef, ParseError, Parsed, RegisterAck, RejectReason,
    ToAgent,
};

/// What came in.
#[derive(Debug)]
pub(crate) enum Event {
    /// The socket is open.
    Opened,
    /// A frame was read.
    Frame(Box<Result<Parsed<ToAgent>, ParseError>>),
    /// The socket is gone, or could not be opened.
    Closed {
        /// Close code, if the other side sent one.
        code: Option<u16>,
        /// Close reason or error text.
        reason: String,
    },
    /// No answer to authentication or registration in time.
    AckOverdue,
    /// Take no more jobs and leave when idle.
    Drain,
    /// The terminal status of the job was written to a registered socket.
    Settled,
    /// The terminal status of a job need not be told any more.
    Stored(String),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send `auth.request` and wait for the answer.
    Authenticate,
    /// Send `agent.register` with these jobs and wait for `register.ack`.
    Register(Vec<JobRef>),
    /// Registered: start heartbeats, flush the outbox, answer `config.ack`.
    Registered(RegisterAck),
    /// `job.ack` and start.
    Accept(Box<JobDispatch>),
    /// `job.ack` once more; the job is running already.
    AckAgain(JobRef),
    /// `job.reject` and `agent.status`.
    Reject(JobRef, RejectReason),
    /// `job.ack` and `job.status` failed: the dispatch cannot be understood.
    Refuse(JobRef, String),
    /// Hand a cancel to the running job.
    Cancel {
        /// Kill now.
        force: bool,
        /// Why.
        reason: String,
    },
    /// `job.status` cancelled for a job that is not here.
    NotHere(JobRef),
    /// An answer to a question of the job.
    Answer(Box<ToAgent>),
    /// The orchestrator has these; they need not be kept any longer.
    Stored(Ack),
    /// Send no log frames for so many milliseconds.
    HoldLogs(u64),
    /// Close the socket.
    Close(Close),
    /// Try again later.
    Reconnect {
        /// At the longest delay: trying sooner will not help.
        slowly: bool,
    },
    /// Never come back, but stay alive for the operator to see.
    GiveUp(String),
    /// Draining and idle: go.
    Leave,
    /// Worth a line in the log.
    Note(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Away,
    Authenticating,
    Registering,
    Ready,
    GivenUp,
}

/// One agent's view of its link.
#[derive(Debug)]
pub(crate) struct AgentLink {
    phase: Phase,
    has_token: bool,
    job: Option<JobRef>,
    /// Jobs that have ended and whose end the orchestrator may not know yet.
    untold: Vec<JobRef>,
    /// Jobs whose end was told, latest first: a cancel that crossed it must not be answered.
    ended: VecDeque<String>,
    draining: bool,
}

/// How many ended jobs are remembered; a cancel is late by seconds, not by many jobs.
const REMEMBERED: usize = 32;

impl AgentLink {
    /// Not connected yet. `untold` are jobs of an earlier process of this agent.
    pub(crate) fn new(has_token: bool, untold: Vec<JobRef>) -> Self {
        Self {
            phase: Phase::Away,
            has_token,
            job: None,
            untold,
            ended: VecDeque::new(),
            draining: false,
        }
    }

    /// Whether there is traffic.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether it will never be ready again.
    pub(crate) fn is_given_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    /// Whether new jobs are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// The job that is held until its end was told.
    pub(crate) fn job(&self) -> Option<&JobRef> {
        self.job.as_ref()
    }

    /// The jobs that the orchestrator may still think are running here.
    pub(crate) fn in_flight(&self) -> Vec<JobRef> {
        self.untold.iter().chain(&self.job).cloned().collect()
    }

    /// Decides what an event means.
    pub(crate) fn on(&mut self, event: Event) -> Vec<Effect> {
        match (self.phase, event) {
            (Phase::GivenUp, Event::Opened | Event::Frame(_) | Event::Closed { .. }) => vec![],
            (_, Event::Opened) if self.has_token => {
                self.phase = Phase::Authenticating;
                vec![Effect::Authenticate]
            }
            (_, Event::Opened) => self.register(),
            (Phase::Authenticating | Phase::Registering, Event::AckOverdue) => {
                let reason = "no answer from the orchestrator within 10 s";
                vec![
                    Effect::Note(reason.to_owned()),
                    Effect::Close(Close::new(CloseCode::Normal, reason)),
                ]
            }
            (_, Event::AckOverdue) => vec![],
            (_, Event::Closed { code, reason }) => self.closed(code, &reason),
            (_, Event::Frame(frame)) => self.frame(*frame),
            (_, Event::Drain) => {
                self.draining = true;
                self.leave_if_idle()
            }
            (_, Event::Settled) => {
                self.untold.extend(self.job.take());
                self.leave_if_idle()
            }
            (_, Event::Stored(job_id)) => {
                self.untold.retain(|job| job.job_id != job_id);
                self.ended.truncate(REMEMBERED - 1);
                self.ended.push_front(job_id);
                vec![]
            }
        }
    }

    fn register(&mut self) -> Vec<Effect> {
        self.phase = Phase::Registering;
        vec![Effect::Register(self.in_flight())]
    }

    fn leave_if_idle(&self) -> Vec<Effect> {
        if self.draining && self.job.is_none() { vec![Effect::Leave] } else { vec![] }
    }

    fn give_up(&mut self, reason: &str) -> Vec<Effect> {
        self.phase = Phase::GivenUp;
        vec![Effect::GiveUp(reason.to_owned())]
    }

    fn closed(&mut self, code: Option<u16>, reason: &str) -> Vec<Effect> {
        let before = std::mem::replace(&mut self.phase, Phase::Away);
        let code = code.and_then(CloseCode::from_u16);
        if code.is_some_and(CloseCode::is_permanent) {
            return self.give_up(reason);
        }
        // An orchestrator without authentication (v0.1.24) does not know auth.request.
        if before == Phase::Authenticating
            && code == Some(CloseCode::Protocol)
            && reason == Close::REGISTER_FIRST
        {
            self.has_token = false;
            let note = "the orchestrator takes no tokens; registering without one";
            return vec![Effect::Note(note.to_owned()), Effect::Reconnect { slowly: false }];
        }
        vec![Effect::Reconnect { slowly: code == Some(CloseCode::UnsupportedVersion) }]
    }

    fn frame(&mut self, frame: Result<Parsed<ToAgent>, ParseError>) -> Vec<Effect> {
        match frame {
            Ok(Parsed::Known(message)) => self.message(message),
            Ok(Parsed::Unknown { kind }) => {
                vec![Effect::Note(format!("ignored a message of the unknown type {kind:?}"))]
            }
            Err(ParseError::Invalid { kind, job: Some(job), problem })
                if kind == "job.dispatch" && self.phase == Phase::Ready =>
            {
                if let Some(reason) = self.unwilling() {
                    return vec![Effect::Reject(job, reason)];
                }
                vec![Effect::Refuse(job, format!("invalid job.dispatch: {problem}"))]
            }
            Err(error) => vec![Effect::Note(format!("ignored a frame: {error}"))],
        }
    }

    fn message(&mut self, message: ToAgent) -> Vec<Effect> {
        match (self.phase, message) {
            (Phase::Authenticating, ToAgent::AuthSuccess(_)) => self.register(),
            (_, ToAgent::AuthFailure(failure)) => {
                let mut effects = self.give_up(&failure.reason);
                effects.push(Effect::Close(Close::new(CloseCode::Normal, Close::AUTH_FAILED)));
                effects
            }
            (Phase::Registering, ToAgent::RegisterAck(ack)) => {
                self.phase = Phase::Ready;
                vec![Effect::Registered(ack)]
            }
            (_, ToAgent::Error(error)) => {
                vec![Effect::Note(format!(
                    "the orchestrator refused a message: {} ({})",
                    error.message, error.code
                ))]
            }
            (_, ToAgent::Heartbeat(_)) => vec![],
            (Phase::Ready, message) => self.traffic(message),
            (phase, message) => {
                vec![Effect::Note(format!("ignored {} while {phase:?}", message.kind()))]
            }
        }
    }

    fn traffic(&mut self, message: ToAgent) -> Vec<Effect> {
        match message {
            ToAgent::JobDispatch(dispatch) => {
                let job =
                    JobRef { run_id: dispatch.run_id.clone(), job_id: dispatch.job_id.clone() };
                if self.job.as_ref() == Some(&job) {
                    vec![Effect::AckAgain(job)]
                } else if let Some(reason) = self.unwilling() {
                    vec![Effect::Reject(job, reason)]
                } else {
                    // A new attempt: what is left to say of the last one is of no use any more.
                    self.untold.retain(|untold| untold.job_id != job.job_id);
                    self.job = Some(job);
                    vec![Effect::Accept(dispatch)]
                }
            }
            ToAgent::JobCancel(cancel) => {
                if self.job.as_ref().is_some_and(|job| job.job_id == cancel.job_id) {
                    vec![Effect::Cancel { force: cancel.force, reason: cancel.reason }]
                } else if self.ended.contains(&cancel.job_id)
                    || self.untold.iter().any(|job| job.job_id == cancel.job_id)
                {
                    vec![Effect::Note("ignored a cancel of a job that has ended".to_owned())]
                } else {
                    let job = JobRef { run_id: cancel.run_id, job_id: cancel.job_id };
                    vec![Effect::NotHere(job)]
                }
            }
            ToAgent::Ack(ack) => vec![Effect::Stored(ack)],
            ToAgent::RateLimitWarning(warning) => vec![Effect::HoldLogs(warning.retry_after_ms)],
            message @ (ToAgent::ConcurrencyAck(_)
            | ToAgent::EventEmitResponse(_)
            | ToAgent::ApiResponse(_)
            | ToAgent::CacheUploadResponse(_)
            | ToAgent::CacheRestoreResponse(_)
            | ToAgent::CacheSaveResponse(_)
            | ToAgent::ProvenanceUploadResponse(_)
            | ToAgent::StepApprovalResolved(_)
            | ToAgent::FleetLogsRequest(_)) => vec![Effect::Answer(Box::new(message))],
            message @ (ToAgent::AuthSuccess(_)
            | ToAgent::AuthFailure(_)
            | ToAgent::RegisterAck(_)
            | ToAgent::Error(_)
            | ToAgent::Heartbeat(_)) => {
                vec![Effect::Note(format!("ignored {} while Ready", message.kind()))]
            }
        }
    }

    fn unwilling(&self) -> Option<RejectReason> {
        if self.draining {
            Some(RejectReason::Draining)
        } else if self.job.is_some() {
            Some(RejectReason::Busy)
        } else {
            None
        }
    }
}
