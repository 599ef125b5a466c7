//! What agents do: start, connect, run jobs and send what they have to say.

use std::time::Instant;

use kici_agent::simulation::SimulatedAgent;
use rand::RngExt as _;
use tempfile::TempDir;

use super::super::network::Connection;
use super::{AGENTS, ORCHESTRATORS, World, attempt_of};
use crate::jobs::Ending;

/// The greeting of an agent has to be answered.
const GREETING: u64 = 30;

/// One execution of one attempt.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) agent: usize,
    pub(super) lines: Vec<(i64, String)>,
    pub(super) ends_at: u64,
    /// How it ended, if it did; killed with its agent otherwise.
    pub(super) ended: Option<Ending>,
    pub(super) killed: bool,
}

/// An agent's place: its process comes and goes, its folder stays.
pub(super) struct AgentSlot {
    pub(super) process: Option<SimulatedAgent>,
    pub(super) folder: TempDir,
    pub(super) connection: Option<usize>,
    /// When it comes back, or connects again.
    pub(super) next: u64,
    pub(super) greeted: u64,
}

impl AgentSlot {
    pub(super) fn start(number: usize) -> AgentSlot {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let process = Some(SimulatedAgent::start(&name(number), folder.path()));
        AgentSlot { process, folder, connection: None, next: 0, greeted: 0 }
    }
}

impl World {
    pub(super) fn agents_work(&mut self) {
        for number in 0..AGENTS {
            let now = self.now();
            if self.agents[number].process.is_none() {
                if self.agents[number].next > self.tick {
                    continue;
                }
                let slot = &mut self.agents[number];
                slot.process = Some(SimulatedAgent::start(&name(number), slot.folder.path()));
            }
            self.job_works(number, now);
            match self.agents[number].connection {
                None if self.agents[number].next <= self.tick => self.connect(number),
                None => {}
                Some(at) => self.agent_sends(number, at, now),
            }
        }
    }

    /// The running job writes lines and ends, sooner if it is asked to.
    fn job_works(&mut self, number: usize, now: Instant) {
        let Some(agent) = self.agents[number].process.as_mut() else { return };
        let Some((request, cancelled)) = agent.job() else { return };
        let key = attempt_of(request);
        let first = !self.executions.contains_key(&key);
        let ends_at = self.tick + self.random.random_range(1..150);
        let execution = self.executions.entry(key).or_insert_with(|| Execution {
            agent: number,
            lines: Vec::new(),
            ends_at,
            ended: None,
            killed: false,
        });
        if !first && (execution.agent != number || execution.killed || execution.ended.is_some()) {
            self.problems.push(format!("job {} attempt {} was executed twice", key.0, key.1));
            execution.agent = number;
            execution.killed = false;
        }
        if self.random.random_range(0..3) == 0 {
            let step = self.random.random_range(0..2);
            let line = format!("{} {}", key.1, execution.lines.len());
            execution.lines.push((step, line.clone()));
            agent.print(step, vec![line], now);
        }
        if cancelled || execution.ends_at <= self.tick {
            let success = !execution.ends_at.is_multiple_of(4);
            execution.ended = Some(match (cancelled, success) {
                (true, _) => Ending::Cancelled,
                (false, true) => Ending::Success,
                (false, false) => Ending::Failed,
            });
            agent.end(success, now);
            self.story.push(format!(
                "{:>5}  agent {number} ends job {} attempt {}",
                self.tick, key.0, key.1
            ));
        }
    }

    fn connect(&mut self, number: usize) {
        let to = self.random.random_range(0..ORCHESTRATORS);
        let now = self.now();
        let slot = &mut self.agents[number];
        if self.orchestrators[to].is_none() {
            slot.next = self.tick + 10;
            return;
        }
        slot.connection = Some(self.connections.len());
        slot.greeted = self.tick;
        slot.process.as_mut().expect("it lives").opened(now);
        self.connections.push(Connection::new(number, to, self.tick));
    }

    fn agent_sends(&mut self, number: usize, at: usize, now: Instant) {
        let slot = &mut self.agents[number];
        let agent = slot.process.as_mut().expect("it lives");
        if !agent.is_ready() && slot.greeted + GREETING < self.tick {
            agent.gave_no_answer(now);
        }
        for sent in agent.pump(now) {
            let arrives = self.tick + self.random.random_range(0..8);
            self.connections[at].up.send(sent.text, arrives);
            if sent.ticket > 0 {
                // It left the machine, which says nothing about where it arrived.
                agent.written(sent.ticket, now);
            }
        }
        if agent.wants_to_close() {
            self.agent_notices(at);
            let later = self.tick + 5;
            self.connections[at].noticed.get_or_insert(later);
        }
    }

    pub(super) fn agent_notices(&mut self, at: usize) {
        if !std::mem::take(&mut self.connections[at].agent_open) {
            return;
        }
        let number = self.connections[at].agent;
        let now = self.now();
        let slot = &mut self.agents[number];
        slot.connection = None;
        slot.next = self.tick + self.random.random_range(5..40);
        if let Some(agent) = &mut slot.process {
            agent.closed(None, now);
        }
    }
}

fn name(number: usize) -> String {
    format!("agent-{number}")
}
