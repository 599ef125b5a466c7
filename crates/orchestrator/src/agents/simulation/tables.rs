//! The database as a model: the moves that the real statements make, with the same conditions.

use std::collections::{BTreeMap, HashMap};

use kici_protocol::agent::{Fate, InFlightJob};
use uuid::Uuid;

use crate::agents::link::Held;
use crate::jobs::{Ending, Fact, Finish};

/// How long an agent may take to acknowledge, ticks.
pub(super) const ACK: u64 = 40;
/// How long a lost agent may stay away.
pub(super) const RECOVERY: u64 = 300;
/// How long a stopped job may take.
const STOP: u64 = 300;

/// A job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    Running,
    Recovering,
    Cancelling,
    /// Told by its agent.
    Told(Ending),
    /// Given up by the orchestrators.
    GivenUp,
}

impl State {
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Told(_) | Self::GivenUp)
    }
}

/// One job, which is also its run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) state: State,
    pub(super) attempt: i32,
    pub(super) agent: Option<usize>,
    owner: i32,
    acked: bool,
    pub(super) deadline: Option<u64>,
    pub(super) stop: bool,
    /// Durable lines of the present attempt.
    pub(super) log: Vec<(i64, String)>,
    pub(super) seq: u64,
    /// The attempt is the execution of an earlier one, which went on.
    pub(super) adopted: bool,
    /// The only orchestrator that may add to the log.
    writer: i32,
}

/// What registering gave.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    pub(super) held: HashMap<Uuid, Held>,
    pub(super) past: Vec<(Uuid, Option<i32>)>,
    pub(super) stop: Vec<Uuid>,
}

/// A job whose deadline has passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Not acknowledged: the agent is sent away.
    Unacked {
        agent: usize,
        attempt: i32,
    },
    Ended {
        agent: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) jobs: BTreeMap<Uuid, Job>,
}

impl Tables {
    pub(super) fn add(&mut self, id: Uuid) {
        let job = Job {
            state: State::Queued,
            attempt: 0,
            agent: None,
            owner: 0,
            acked: false,
            deadline: None,
            stop: false,
            log: Vec::new(),
            seq: 0,
            adopted: false,
            writer: 0,
        };
        self.jobs.insert(id, job);
    }

    /// Gives a waiting job to an agent.
    pub(super) fn claim(&mut self, agent: usize, owner: i32, now: u64) -> Option<(Uuid, i32)> {
        let (id, job) = self
            .jobs
            .iter_mut()
            .find(|(_, job)| job.state == State::Queued && job.agent.is_none())?;
        job.begin(agent, owner);
        job.deadline = Some(now + ACK);
        Some((*id, job.attempt))
    }

    /// Writes what an agent has reported; old attempts change nothing.
    pub(super) fn write(&mut self, fact: &Fact) {
        match fact {
            Fact::Acked { job, attempt, .. } => {
                if let Some(job) = self.current(*job, *attempt)
                    && job.state == State::Queued
                {
                    job.acked = true;
                    job.deadline = None;
                }
            }
            Fact::Started { job, attempt, .. } => {
                if let Some(job) = self.current(*job, *attempt)
                    && matches!(job.state, State::Queued | State::Recovering)
                {
                    job.state = State::Running;
                    job.acked = true;
                    job.deadline = None;
                }
            }
            Fact::Refused { job, attempt, .. } => {
                if let Some(job) = self.current(*job, *attempt)
                    && job.state == State::Queued
                {
                    job.give_back();
                }
            }
            Fact::Ended(end) => self.end(end),
            Fact::Heartbeat { .. } | Fact::Step(_) | Fact::Logged(_) => {}
        }
    }

    fn end(&mut self, end: &Finish) {
        if let Some(job) = self.current(end.job, end.attempt.expect("agents name it")) {
            job.state = State::Told(end.ending);
            job.deadline = None;
        }
    }

    /// Stores log lines that follow the `seq` up to which there are some; false when they do not fit any more.
    pub(super) fn store_log(
        &mut self,
        id: Uuid,
        (attempt, writer): (i32, i32),
        (from, to): (u64, u64),
        lines: Vec<(i64, String)>,
    ) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if job.attempt > attempt {
            // The log of an earlier attempt; everybody may add to it, and nobody compares it.
            return true;
        }
        if job.attempt != attempt || job.writer != writer || job.seq != from {
            return false;
        }
        job.log.extend(lines);
        job.seq = to;
        true
    }

    /// Makes this orchestrator the one that writes the log; answers how far it goes, and whether another wrote it.
    pub(super) fn take_over(&mut self, id: Uuid, attempt: i32, writer: i32) -> (u64, bool) {
        let job = self.jobs.get_mut(&id).expect("jobs are never removed");
        if job.attempt != attempt {
            return (0, true);
        }
        let other = std::mem::replace(&mut job.writer, writer) != writer;
        (job.seq, other)
    }

    /// An agent's connection to this orchestrator is gone.
    pub(super) fn agent_lost(&mut self, agent: usize, owner: i32, now: u64) {
        for job in self.jobs.values_mut() {
            if job.agent == Some(agent) && job.owner == owner && !job.state.is_final() {
                job.away(now);
            }
        }
    }

    /// An orchestrator has died.
    pub(super) fn orphaned(&mut self, owner: i32, now: u64) {
        for job in self.jobs.values_mut() {
            if job.agent.is_some() && job.owner == owner && !job.state.is_final() {
                job.away(now);
            }
        }
    }

    /// Compares what an agent holds with what it should.
    pub(super) fn reconcile(
        &mut self,
        agent: usize,
        owner: i32,
        listed: &[InFlightJob],
        now: u64,
    ) -> Reconciled {
        let mut done = Reconciled::default();
        let mut kept = Vec::new();
        for held in listed {
            let id: Uuid = held.job_id.parse().expect("ours");
            let job = self.jobs.get_mut(&id).expect("jobs are never removed");
            let own = job.agent == Some(agent);
            let of_use = match held.fate {
                Some(Fate::Lost) => false,
                Some(Fate::Stopping) => job.agent.is_some() && (job.acked || job.stop),
                Some(Fate::Other) | None => true,
            };
            if !of_use {
                done.past.push((id, own.then_some(job.attempt)));
                continue;
            }
            kept.push(id);
            if job.state.is_final()
                || (job.agent.is_some() && !own)
                || (job.agent.is_none() && job.stop)
            {
                done.past.push((id, own.then_some(job.attempt)));
                done.stop.push(id);
                continue;
            }
            let started = job.state != State::Queued;
            if own {
                // Given out again to the same agent, which never heard of it: it goes on with the old attempt.
                job.adopted |= !job.acked;
                job.owner = owner;
                job.deadline = None;
                job.acked = true;
            } else {
                job.begin(agent, owner);
                job.adopted = true;
                job.acked = true;
            }
            job.state = if job.stop { State::Cancelling } else { State::Running };
            if job.stop {
                job.deadline = Some(now + STOP);
                done.stop.push(id);
            }
            let held = Held { run: id, attempt: job.attempt, started, unlogged: false };
            done.held.insert(id, held);
        }
        for (id, job) in &mut self.jobs {
            if job.agent == Some(agent) && !kept.contains(id) && !job.state.is_final() {
                match job.state {
                    State::Queued => job.give_back(),
                    _ => job.give_up(),
                }
            }
        }
        done
    }

    /// Somebody cancels: what waits ends at once, what runs is told.
    pub(super) fn cancel(&mut self, id: Uuid, now: u64) -> Option<usize> {
        let job = self.jobs.get_mut(&id)?;
        if job.state.is_final() || job.stop {
            return None;
        }
        job.stop = true;
        match job.agent {
            None => {
                job.give_up();
                None
            }
            Some(agent) => {
                job.state = State::Cancelling;
                job.deadline = Some(now + STOP);
                Some(agent)
            }
        }
    }

    /// Ends waits that are over.
    pub(super) fn overdue(&mut self, now: u64) -> Vec<(Uuid, Overdue)> {
        let mut overdue = Vec::new();
        for (id, job) in &mut self.jobs {
            let (Some(agent), true) = (job.agent, job.deadline.is_some_and(|at| at <= now)) else {
                continue;
            };
            if job.state.is_final() {
                continue;
            }
            if job.state == State::Queued && !job.acked {
                overdue.push((*id, Overdue::Unacked { agent, attempt: job.attempt }));
                job.give_back();
            } else {
                overdue.push((*id, Overdue::Ended { agent }));
                job.give_up();
            }
        }
        overdue
    }

    fn current(&mut self, id: Uuid, attempt: i32) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&id)?;
        (job.attempt == attempt && job.agent.is_some() && !job.state.is_final()).then_some(job)
    }
}

impl Job {
    fn begin(&mut self, agent: usize, owner: i32) {
        self.attempt += 1;
        self.agent = Some(agent);
        self.owner = owner;
        self.acked = false;
        self.log.clear();
        self.seq = 0;
        self.writer = owner;
        self.adopted = false;
    }

    fn away(&mut self, now: u64) {
        match self.state {
            State::Running => {
                self.state = State::Recovering;
                self.deadline = Some(now + RECOVERY);
            }
            State::Queued if self.acked => self.deadline = Some(now + RECOVERY),
            _ => {}
        }
    }

    fn give_back(&mut self) {
        self.state = State::Queued;
        self.agent = None;
        self.owner = 0;
        self.deadline = None;
    }

    fn give_up(&mut self) {
        self.state = State::GivenUp;
        self.deadline = None;
    }
}
