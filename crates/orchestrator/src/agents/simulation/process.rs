//! What an orchestrator's process has in memory, and what it does with what its links decide. All of it is gone when
//! the process dies.

use std::collections::HashMap;
use std::sync::Arc;

use kici_model::ids::TokenId;
use kici_protocol::agent::{Close, JobCancel, LogChunk, Register, RegisterAck, ToAgent};
use uuid::Uuid;

use super::network::Connection;
use super::tables::Tables;
use crate::access::AgentIdentity;
use crate::agents::acks::{Acks, Receipt};
use crate::agents::link::Effect;
use crate::jobs::Fact;
use crate::logs::Place;

/// What is in memory about the log of a job.
#[derive(Debug)]
struct Buffer {
    attempt: i32,
    /// Durable up to here, as far as this process knows.
    stored: u64,
    seq: u64,
    lines: Vec<(i64, String)>,
    acks: Arc<Acks>,
}

/// One start of an orchestrator.
#[derive(Debug)]
pub(super) struct Process {
    /// Which start it is.
    pub(super) number: i32,
    /// Facts that are not committed, in order.
    facts: Vec<(Fact, Receipt)>,
    logs: HashMap<Uuid, Buffer>,
    /// What must never happen.
    pub(super) problems: Vec<String>,
}

/// What the world has to do about a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    Nothing,
    /// The connection is closed from this end.
    Hangup,
    /// A new connection of the agent: older ones at this process are replaced.
    Registered,
}

impl Process {
    pub(super) fn new(number: i32) -> Self {
        Self { number, facts: Vec::new(), logs: HashMap::new(), problems: Vec::new() }
    }

    /// Handles one frame to its end.
    pub(super) fn take(
        &mut self,
        connection: &mut Connection,
        tables: &mut Tables,
        text: &str,
        now: u64,
    ) -> Consequence {
        connection.heard = now;
        let mut effects = connection.link.on_text(text);
        effects.reverse();
        let mut consequence = Consequence::Nothing;
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Send(message) => connection.tell(&message, now + 1),
                Effect::Close(_) => return Consequence::Hangup,
                Effect::Verify(_) => {
                    let identity = AgentIdentity {
                        token: TokenId(Uuid::nil()),
                        scope: None,
                        mandatory: Vec::new(),
                        bound_to: None,
                    };
                    effects.extend(connection.link.on_verified(Some(identity)).into_iter().rev());
                }
                Effect::Register(register) => {
                    self.register(connection, tables, &register, now);
                    consequence = Consequence::Registered;
                }
                Effect::Report { fact, message } => {
                    self.facts.push((fact, Receipt { acks: connection.acks.clone(), message }));
                }
                Effect::Log { job, attempt, chunk, place } => {
                    self.log(connection, tables, (job, attempt), &chunk, place);
                }
                Effect::End { end, message } => {
                    self.store(end.job, tables);
                    let receipt = Receipt { acks: connection.acks.clone(), message };
                    self.facts.push((Fact::Ended(end), receipt));
                }
                Effect::Done { message } | Effect::Foreign { message, .. } => {
                    connection.acks.fact(message);
                }
                Effect::LogsDone { job, seq } => connection.acks.logs(job, seq),
                Effect::Load { .. }
                | Effect::Pause { .. }
                | Effect::Clock(_)
                | Effect::Note(_)
                | Effect::Approval { .. }
                | Effect::Group { .. }
                | Effect::AgentLog(_)
                | Effect::Metrics(_)
                | Effect::Bundle(_)
                | Effect::Api(_) => {}
            }
        }
        consequence
    }

    fn register(
        &mut self,
        connection: &mut Connection,
        tables: &mut Tables,
        register: &Register,
        now: u64,
    ) {
        self.commit(tables);
        connection.acks.want(register.has(RegisterAck::ACK));
        let done = tables.reconcile(connection.agent, self.number, &register.in_flight_jobs, now);
        for (job, held) in &done.held {
            // What is durable need not be sent again.
            self.take_over((*job, held.attempt), tables, &connection.acks);
            connection.acks.logs(*job, tables.jobs[job].seq);
        }
        for (job, attempt) in &done.past {
            if let Some(attempt) = attempt {
                self.take_over((*job, *attempt), tables, &connection.acks);
                connection.acks.logs(*job, tables.jobs[job].seq);
            }
        }
        connection.link.await_ends(done.past.iter().map(|(job, _)| *job));
        connection.link.on_registered(done.held, done.past);
        connection.registered = true;
        connection.tell(
            &ToAgent::RegisterAck(RegisterAck {
                agent_id: register.agent_id.clone(),
                labels: register.labels.clone(),
                scaler_managed: false,
                pending_dispatch: false,
                features: [RegisterAck::NO_RATE_LIMIT, RegisterAck::RECONCILED, RegisterAck::ACK]
                    .map(str::to_owned)
                    .to_vec(),
            }),
            now + 1,
        );
        for job in done.stop {
            cancel(connection, job, "the job is not yours any more", now);
        }
    }

    fn take_over(&mut self, (job, attempt): (Uuid, i32), tables: &mut Tables, acks: &Arc<Acks>) {
        // What is there of another attempt is stored before its buffer changes hands.
        if self.logs.get(&job).is_some_and(|buffer| buffer.attempt != attempt) {
            self.store(job, tables);
        }
        let (seq, other) = tables.take_over(job, attempt, self.number);
        match self.logs.get_mut(&job).filter(|buffer| buffer.attempt == attempt && !other) {
            Some(buffer) => buffer.acks = acks.clone(),
            None => {
                let acks = acks.clone();
                let buffer = Buffer { attempt, stored: seq, seq, lines: Vec::new(), acks };
                self.logs.insert(job, buffer);
            }
        }
    }

    fn log(
        &mut self,
        connection: &mut Connection,
        tables: &mut Tables,
        (job, attempt): (Uuid, i32),
        chunk: &LogChunk,
        place: Place,
    ) {
        if self.logs.get(&job).is_none_or(|buffer| buffer.attempt != attempt) {
            self.take_over((job, attempt), tables, &connection.acks);
        }
        let Some(buffer) = self.logs.get_mut(&job) else { return };
        let Some(seq) = chunk.seq else {
            self.problems.push(format!("a chunk of {job} has no seq"));
            return;
        };
        buffer.acks = connection.acks.clone();
        if seq <= buffer.seq {
            buffer.acks.logs(job, buffer.stored);
            return;
        }
        // A number that leaves some out: the real buffer marks it, and the comparison in the end finds it.
        buffer.seq = seq;
        buffer.lines.extend(chunk.lines.iter().map(|line| (chunk.step_index, line.clone())));
        if matches!(place, Place::Late) {
            self.store(job, tables);
        }
    }

    /// Makes the lines of a job durable.
    fn store(&mut self, job: Uuid, tables: &mut Tables) {
        let Some(buffer) = self.logs.get_mut(&job) else { return };
        if buffer.seq == buffer.stored {
            return;
        }
        let lines = std::mem::take(&mut buffer.lines);
        if tables.store_log(job, (buffer.attempt, self.number), (buffer.stored, buffer.seq), lines)
        {
            buffer.stored = buffer.seq;
            buffer.acks.logs(job, buffer.stored);
        } else {
            // Somebody else counts on; what comes next begins with what is durable.
            self.logs.remove(&job);
        }
    }

    /// Makes the lines of all jobs durable.
    pub(super) fn store_all(&mut self, tables: &mut Tables) {
        let jobs: Vec<Uuid> = self.logs.keys().copied().collect();
        for job in jobs {
            self.store(job, tables);
        }
    }

    /// Commits what was reported.
    pub(super) fn commit(&mut self, tables: &mut Tables) {
        for (fact, receipt) in self.facts.drain(..) {
            tables.write(&fact);
            receipt.done();
        }
    }
}

/// Asks an agent to stop a job.
pub(super) fn cancel(connection: &mut Connection, job: Uuid, reason: &str, now: u64) {
    connection.tell(
        &ToAgent::JobCancel(JobCancel {
            message_id: Uuid::nil().to_string(),
            run_id: job.to_string(),
            job_id: job.to_string(),
            reason: reason.to_owned(),
            force: false,
        }),
        now + 1,
    );
}

/// What an agent is told that does not acknowledge.
pub(super) const UNACKED: &str = Close::DISPATCH_ACK_TIMEOUT;
