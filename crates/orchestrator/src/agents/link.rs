//! What a message from an agent means: a value that owns no socket, no clock and no database.
//!
//! [`Link::on_text`] answers with effects that `socket` carries out in order before it reads the next frame. The
//! wire has no attempt numbers, so the link keeps which attempt of a job this connection holds; what is said about
//! any other attempt cannot come from here.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use kici_protocol::agent::{
    AuthFailure, AuthSuccess, Close, CloseCode, FromAgent, JobState, LinkError, LogChunk,
    ParseError, Parsed, Register, RejectReason, Secret, StepApprovalRequest, ToAgent,
};
use uuid::Uuid;

use super::{answers, gates, outcome};
use crate::access::AgentIdentity;
use crate::config::AgentAuth;
use crate::jobs::{Fact, Finish};

/// Foreign jobs that may be named within [`VIOLATION_WINDOW`].
const VIOLATIONS: usize = 5;
const VIOLATION_WINDOW: Duration = Duration::from_secs(60);

/// Ended jobs whose late log lines are still taken.
const REMEMBERED: usize = 64;

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for `auth.request`.
    Auth,
    /// Waits for `agent.register`.
    Register,
    /// Registered.
    Ready,
}

/// An attempt that this connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) run: Uuid,
    pub(super) attempt: i32,
    pub(super) started: bool,
}

/// What has to be done about a message.
#[derive(Debug)]
pub(super) enum Effect {
    Send(ToAgent),
    /// Close and stop reading.
    Close(Close),
    /// Check the token, then call [`Link::on_verified`].
    Verify(Secret),
    /// The gates are passed: compare with the table and make the agent available.
    Register(Box<Register>),
    Report(Fact),
    Log {
        job: Uuid,
        attempt: i32,
        chunk: LogChunk,
        late: bool,
    },
    /// Store the job's log, then report its end.
    End(Box<Finish>),
    /// How many jobs the agent says it has; negative knowledge ends a pause after a refusal.
    Load {
        active: u32,
        draining: bool,
    },
    /// Refused a job: no more offers until it says that it is free.
    Pause {
        draining: bool,
    },
    /// A step of a job waits for people.
    Approval {
        run: Uuid,
        job: Uuid,
        attempt: i32,
        request: Box<StepApprovalRequest>,
    },
    /// A job that this connection does not hold; see [`Link::on_foreign`].
    Foreign {
        job: Uuid,
        kind: &'static str,
    },
    /// What the agent's clock shows, epoch ms.
    Clock(i64),
    /// The agent's own log and numbers.
    Note(String),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    auth: AgentAuth,
    phase: Phase,
    connection_id: String,
    identity: Option<AgentIdentity>,
    held: HashMap<Uuid, Held>,
    past: VecDeque<(Uuid, i32)>,
    violations: VecDeque<Instant>,
}

impl Link {
    pub(super) fn new(auth: AgentAuth, connection_id: String) -> Link {
        let phase = match auth {
            AgentAuth::Token => Phase::Auth,
            AgentAuth::None => Phase::Register,
        };
        Link {
            auth,
            phase,
            connection_id,
            identity: None,
            held: HashMap::new(),
            past: VecDeque::new(),
            violations: VecDeque::new(),
        }
    }

    /// What to close with when nothing came in time; `None` once registered.
    pub(super) fn on_silence(&self) -> Option<Close> {
        match self.phase {
            Phase::Auth => Some(Close::new(CloseCode::Timeout, Close::AUTH_TIMEOUT)),
            Phase::Register => Some(Close::new(CloseCode::Timeout, Close::REGISTRATION_TIMEOUT)),
            Phase::Ready => None,
        }
    }

    pub(super) fn is_waiting_for_auth(&self) -> bool {
        self.phase == Phase::Auth
    }

    pub(super) fn identity(&self) -> Option<&AgentIdentity> {
        self.identity.as_ref()
    }

    /// Decides about one text frame.
    pub(super) fn on_text(&mut self, text: &str) -> Vec<Effect> {
        let parsed = FromAgent::parse(text);
        if matches!(parsed, Err(ParseError::Malformed(_))) {
            return vec![close(CloseCode::Protocol, Close::MALFORMED_JSON)];
        }
        match (self.phase, parsed) {
            (Phase::Auth, Ok(Parsed::Known(FromAgent::AuthRequest(request)))) => {
                if request.protocol_version < 1 {
                    return fail_auth(
                        Close::UNSUPPORTED_VERSION,
                        CloseCode::UnsupportedVersion,
                        Close::UNSUPPORTED_VERSION,
                    );
                }
                if request.token.expose().is_empty() {
                    return bad_first_message();
                }
                vec![Effect::Verify(request.token)]
            }
            (Phase::Auth, _) => bad_first_message(),
            // An agent with a token that meets an orchestrator that asks for none.
            (Phase::Register, Ok(Parsed::Known(FromAgent::AuthRequest(_))))
                if self.auth == AgentAuth::None =>
            {
                vec![self.auth_success()]
            }
            (Phase::Register | Phase::Ready, Ok(Parsed::Known(FromAgent::Register(register)))) => {
                self.register(register)
            }
            (Phase::Register, _) => vec![close(CloseCode::Protocol, Close::REGISTER_FIRST)],
            (Phase::Ready, Ok(Parsed::Known(message))) => self.on_message(message),
            // A newer agent: say so and go on.
            (Phase::Ready, Ok(Parsed::Unknown { kind })) => vec![
                Effect::Note(format!("message of unknown type {kind:?} ignored")),
                Effect::Send(ToAgent::Error(LinkError {
                    code: LinkError::INVALID_MESSAGE.into(),
                    message: "Unknown message type".into(),
                })),
            ],
            (Phase::Ready, Err(error)) => vec![
                Effect::Note(error.to_string()),
                Effect::Send(ToAgent::Error(LinkError {
                    code: LinkError::INVALID_MESSAGE.into(),
                    message: "Invalid message format".into(),
                })),
                close(CloseCode::Protocol, Close::INVALID_MESSAGE),
            ],
        }
    }

    /// Goes on after the token was looked up.
    pub(super) fn on_verified(&mut self, identity: Option<AgentIdentity>) -> Vec<Effect> {
        match identity {
            None => fail_auth(
                "Invalid or expired token",
                CloseCode::Refused,
                Close::AUTHENTICATION_FAILED,
            ),
            Some(identity) => {
                self.identity = Some(identity);
                self.phase = Phase::Register;
                vec![self.auth_success()]
            }
        }
    }

    /// From here on there is traffic; these jobs came along.
    pub(super) fn on_registered(&mut self, held: HashMap<Uuid, Held>) {
        self.phase = Phase::Ready;
        self.held = held;
    }

    /// A job is about to be sent on this connection.
    pub(super) fn offer(&mut self, job: Uuid, run: Uuid, attempt: i32) {
        self.held.insert(job, Held { run, attempt, started: false });
    }

    /// A job that is no longer this connection's: its deadline passed or its run was stopped.
    pub(super) fn withdraw(&mut self, job: Uuid) -> Option<Held> {
        let held = self.held.remove(&job)?;
        self.remember(job, held.attempt);
        Some(held)
    }

    pub(super) fn holds(&self, job: Uuid) -> Option<Held> {
        self.held.get(&job).copied()
    }

    /// Everything that it holds.
    pub(super) fn attempts(&self) -> Vec<(Uuid, i32)> {
        self.held.iter().map(|(job, held)| (*job, held.attempt)).collect()
    }

    pub(super) fn load(&self) -> usize {
        self.held.len()
    }

    /// After a look at the table: the job was never this agent's. Too many of these end the connection.
    pub(super) fn on_foreign(&mut self, now: Instant) -> Option<Close> {
        self.violations.push_back(now);
        while self.violations.front().is_some_and(|at| now.duration_since(*at) > VIOLATION_WINDOW) {
            self.violations.pop_front();
        }
        (self.violations.len() >= VIOLATIONS)
            .then(|| Close::new(CloseCode::GoingAway, Close::OWNERSHIP_VIOLATIONS))
    }

    fn auth_success(&self) -> Effect {
        Effect::Send(ToAgent::AuthSuccess(AuthSuccess {
            connection_id: self.connection_id.clone(),
        }))
    }

    fn register(&self, register: Box<Register>) -> Vec<Effect> {
        match gates::check(self.auth, self.identity.as_ref(), &register) {
            Ok(()) => vec![Effect::Register(register)],
            Err(close) => vec![Effect::Close(close)],
        }
    }

    fn on_message(&mut self, message: FromAgent) -> Vec<Effect> {
        if let Some(answer) = answers::answer(&message) {
            return vec![Effect::Send(answer)];
        }
        match message {
            FromAgent::JobAck(ack) => self.about(&ack.job_id, "job.ack", |_, job, held| {
                vec![Effect::Report(Fact::Acked { run: held.run, job, attempt: held.attempt })]
            }),
            FromAgent::JobReject(reject) => {
                self.about(&reject.job_id, "job.reject", |link, job, held| {
                    link.withdraw(job);
                    let (why, draining) = match reject.reason {
                        RejectReason::Busy => ("agent rejected dispatch (busy)", false),
                        RejectReason::Draining => ("agent rejected dispatch (draining)", true),
                    };
                    vec![
                        Effect::Pause { draining },
                        Effect::Report(Fact::Refused {
                            run: held.run,
                            job,
                            attempt: held.attempt,
                            // Filled in by the socket, which knows the agent's id.
                            agent: String::new(),
                            why: why.into(),
                        }),
                    ]
                })
            }
            FromAgent::JobStatus(status) => {
                self.about(&status.job_id, "job.status", |link, job, held| {
                    if status.state == JobState::Running {
                        let first = link
                            .held
                            .get_mut(&job)
                            .map(|held| std::mem::replace(&mut held.started, true));
                        let fact = Fact::Started { run: held.run, job, attempt: held.attempt };
                        return if first == Some(false) {
                            vec![Effect::Report(fact)]
                        } else {
                            Vec::new()
                        };
                    }
                    match outcome::finish(held.run, job, held.attempt, &status) {
                        Some(end) => {
                            link.withdraw(job);
                            vec![Effect::End(Box::new(end))]
                        }
                        None => Vec::new(),
                    }
                })
            }
            FromAgent::StepStatus(status) => {
                self.about(&status.job_id, "step.status", |_, job, held| {
                    vec![Effect::Report(Fact::Step(Box::new(outcome::step(
                        job,
                        held.attempt,
                        &status,
                    ))))]
                })
            }
            FromAgent::StepApprovalRequest(request) => {
                self.about(&request.job_id.clone(), "step.approval-request", |_, job, held| {
                    vec![Effect::Approval {
                        run: held.run,
                        job,
                        attempt: held.attempt,
                        request: Box::new(request),
                    }]
                })
            }
            FromAgent::LogChunk(chunk) => self.log(chunk),
            FromAgent::JobHeartbeat(beat) => {
                self.about(&beat.job_id, "job.heartbeat", |_, job, held| {
                    vec![Effect::Report(Fact::Heartbeat {
                        run: held.run,
                        job,
                        attempt: held.attempt,
                    })]
                })
            }
            FromAgent::Heartbeat(beat) => beat.timestamp.map(Effect::Clock).into_iter().collect(),
            FromAgent::AgentStatus(status) => {
                vec![Effect::Load { active: status.active_jobs, draining: status.draining }]
            }
            FromAgent::AgentLog(log) => log.lines.into_iter().map(Effect::Note).collect(),
            // Signs of life and news for other parts; every frame counts as a sign of life already.
            _ => Vec::new(),
        }
    }

    fn log(&mut self, chunk: LogChunk) -> Vec<Effect> {
        let Ok(job) = chunk.job_id.parse::<Uuid>() else { return Vec::new() };
        if let Some(held) = self.held.get(&job) {
            return vec![Effect::Log { job, attempt: held.attempt, chunk, late: false }];
        }
        match self.past.iter().rev().find(|(past, _)| *past == job) {
            Some((_, attempt)) => vec![Effect::Log { job, attempt: *attempt, chunk, late: true }],
            None => vec![Effect::Foreign { job, kind: "log.chunk" }],
        }
    }

    fn about(
        &mut self,
        job: &str,
        kind: &'static str,
        then: impl FnOnce(&mut Link, Uuid, Held) -> Vec<Effect>,
    ) -> Vec<Effect> {
        let Ok(job) = job.parse::<Uuid>() else {
            return vec![Effect::Note(format!("{kind} names a job that is no id"))];
        };
        match self.held.get(&job).copied() {
            Some(held) => then(self, job, held),
            // Old news about a job that was this connection's.
            None if self.past.iter().any(|(past, _)| *past == job) => Vec::new(),
            None => vec![Effect::Foreign { job, kind }],
        }
    }

    fn remember(&mut self, job: Uuid, attempt: i32) {
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((job, attempt));
    }
}

fn close(code: CloseCode, reason: &str) -> Effect {
    Effect::Close(Close::new(code, reason))
}

fn bad_first_message() -> Vec<Effect> {
    fail_auth("First message must be auth.request", CloseCode::Refused, Close::INVALID_AUTH_MESSAGE)
}

fn fail_auth(reason: &str, code: CloseCode, close_reason: &str) -> Vec<Effect> {
    vec![
        Effect::Send(ToAgent::AuthFailure(AuthFailure { reason: reason.into() })),
        close(code, close_reason),
    ]
}

#[cfg(test)]
mod tests;
