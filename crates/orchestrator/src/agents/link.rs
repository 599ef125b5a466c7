//! What a message from an agent means: a value that owns no socket, no clock and no database.
//!
//! [`Link::on_text`] answers with effects that `socket` carries out in order before it reads the next frame. The
//! wire has no attempt numbers, so the link keeps which attempt of a job this connection holds; what is said about
//! any other attempt cannot come from here. This file has the connection itself, `jobs` what is said about jobs.

mod jobs;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use kici_protocol::agent::{
    AgentApiRequest, AuthFailure, AuthSuccess, Close, CloseCode, FromAgent, LinkError, LogChunk,
    Metric, ParseError, Parsed, Register, Secret, StepApprovalRequest, ToAgent,
};
use uuid::Uuid;

use super::bundles::Part;
use super::gates;
use crate::access::AgentIdentity;
use crate::config::AgentAuth;
use crate::jobs::{Fact, Finish};
use crate::logs::Place;

/// Foreign jobs that may be named within [`VIOLATION_WINDOW`].
const VIOLATIONS: usize = 5;
const VIOLATION_WINDOW: Duration = Duration::from_secs(60);

/// Jobs that were the agent's, and about which it may still say something.
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
    /// Its log begins on this connection: nothing of it is stored.
    pub(super) unlogged: bool,
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
    /// Report, and tell the agent once it is written.
    Report {
        fact: Fact,
        message: String,
    },
    Log {
        job: Uuid,
        attempt: i32,
        chunk: LogChunk,
        place: Place,
    },
    /// Store the job's log, then report its end, and tell the agent.
    End {
        end: Box<Finish>,
        message: String,
    },
    /// A fact that changes nothing: the agent need not keep it.
    Done {
        message: String,
    },
    /// The same about log messages of a job, up to this one.
    LogsDone {
        job: Uuid,
        seq: u64,
    },
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
    /// A job asks for a place of its run in a concurrency group.
    Group {
        run: Uuid,
        job: Uuid,
        request: String,
        group: String,
    },
    /// A job that this connection does not hold; see [`Link::on_foreign`].
    Foreign {
        job: Uuid,
        kind: &'static str,
        message: String,
    },
    /// What the agent's clock shows, epoch ms.
    Clock(i64),
    /// The agent's own log.
    AgentLog(Vec<String>),
    /// The agent's own numbers.
    Metrics(Vec<Metric>),
    /// A job asks about agents and hosts.
    Api(AgentApiRequest),
    /// A piece of the agent's log bundle.
    Bundle(Part),
    /// Something for a log of details.
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
    /// With the attempt, if its log still takes late lines.
    past: VecDeque<(Uuid, Option<i32>)>,
    /// Jobs that were told to wait for their concurrency group, and the message that is to be answered.
    parked: HashMap<Uuid, String>,
    /// Jobs whose end it still has to tell although they are its own no longer. The wire has no attempt numbers: one
    /// that was offered again before that would take the old end for its own.
    awaited: HashSet<Uuid>,
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
            parked: HashMap::new(),
            awaited: HashSet::new(),
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

    /// From here on there is traffic. These jobs came along, and those are the agent's no longer, with the attempt
    /// if it was the agent's to the end.
    pub(super) fn on_registered(
        &mut self,
        held: HashMap<Uuid, Held>,
        past: Vec<(Uuid, Option<i32>)>,
    ) {
        self.phase = Phase::Ready;
        self.held = held;
        for (job, attempt) in past {
            self.remember(job, attempt);
        }
    }

    /// A job is about to be sent on this connection.
    pub(super) fn offer(&mut self, job: Uuid, run: Uuid, attempt: i32) {
        self.held.insert(job, Held { run, attempt, started: false, unlogged: true });
    }

    /// A job that is no longer this connection's: its deadline passed or its run was stopped.
    pub(super) fn withdraw(&mut self, job: Uuid) -> Option<Held> {
        let held = self.held.remove(&job)?;
        self.parked.remove(&job);
        self.remember(job, Some(held.attempt));
        Some(held)
    }

    /// A job was told to wait for its concurrency group.
    pub(super) fn park(&mut self, job: Uuid, request: String) {
        if self.held.contains_key(&job) {
            self.parked.insert(job, request);
        }
    }

    /// The message that a waiting job is to be answered with; it waits no longer.
    pub(super) fn unpark(&mut self, job: Uuid) -> Option<String> {
        self.parked.remove(&job)
    }

    /// Jobs that wait for their concurrency group, with their runs.
    pub(super) fn parked(&self) -> Vec<(Uuid, Uuid)> {
        self.parked.keys().filter_map(|job| Some((self.held.get(job)?.run, *job))).collect()
    }

    pub(super) fn holds(&self, job: Uuid) -> Option<Held> {
        self.held.get(&job).copied()
    }

    /// Everything that it holds.
    pub(super) fn attempts(&self) -> Vec<(Uuid, i32)> {
        self.held.iter().map(|(job, held)| (*job, held.attempt)).collect()
    }

    /// All jobs about which it may still say something.
    pub(super) fn known(&self) -> Vec<Uuid> {
        self.held.keys().copied().chain(self.past.iter().map(|(job, _)| *job)).collect()
    }

    /// Places that are taken, or that nothing may be given to yet.
    pub(super) fn load(&self) -> usize {
        self.held.len() + self.awaited.len()
    }

    /// The agent keeps the ends of these jobs until they are acknowledged, so they will come.
    pub(super) fn await_ends(&mut self, jobs: impl Iterator<Item = Uuid>) {
        self.awaited.extend(jobs);
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

    fn remember(&mut self, job: Uuid, attempt: Option<i32>) {
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
