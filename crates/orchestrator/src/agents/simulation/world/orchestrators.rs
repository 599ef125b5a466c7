//! What orchestrators do: start, take what comes, give jobs away, see to deadlines and to connections that end.

use kici_protocol::agent::{JobDispatch, ToAgent};
use rand::RngExt as _;
use serde_json::json;
use uuid::Uuid;

use super::super::process::{Consequence, Process, UNACKED, cancel};
use super::super::tables::Overdue;
use super::{ORCHESTRATORS, World};

/// A silent connection is given up, as by pings.
const SILENCE: u64 = 60;

impl World {
    pub(super) fn start_orchestrators(&mut self) {
        for number in 0..ORCHESTRATORS {
            if self.orchestrators[number].is_none() && self.returns[number] <= self.tick {
                self.starts += 1;
                self.orchestrators[number] = Some(Process::new(self.starts));
            }
        }
        let tick = self.tick;
        for (_, number) in self.orphans.extract_if(.., |(at, _)| *at <= tick) {
            self.tables.orphaned(number, tick);
        }
    }

    pub(super) fn look_at_deadlines(&mut self) {
        for (job, overdue) in self.tables.overdue(self.tick) {
            self.note(format!("job {job}: {overdue:?}"));
            let (agent, unacked) = match overdue {
                Overdue::Unacked { agent, attempt } => (agent, Some(attempt)),
                Overdue::Ended { agent } => (agent, None),
            };
            for at in 0..self.connections.len() {
                let connection = &mut self.connections[at];
                if connection.agent != agent || !connection.orchestrator_open {
                    continue;
                }
                let waits = unacked.is_some_and(|attempt| {
                    connection
                        .link
                        .holds(job)
                        .is_some_and(|held| held.attempt == attempt && !held.started)
                });
                connection.link.withdraw(job);
                if waits {
                    cancel(connection, job, UNACKED, self.tick);
                    self.hang_up(at);
                }
            }
        }
    }

    pub(super) fn deliver(&mut self) {
        for at in 0..self.connections.len() {
            let now = self.now();
            let connection = &mut self.connections[at];
            if connection.agent_open {
                while let Some(text) = connection.down.receive(self.tick) {
                    let agent = self.agents[connection.agent]
                        .process
                        .as_mut()
                        .expect("it has a connection");
                    agent.frame(&text, now);
                }
            }
            while self.connections[at].orchestrator_open {
                let connection = &mut self.connections[at];
                let Some(text) = connection.up.receive(self.tick) else { break };
                let Some(process) = self.orchestrators[connection.orchestrator].as_mut() else {
                    break;
                };
                match process.take(connection, &mut self.tables, &text, self.tick) {
                    Consequence::Nothing => {}
                    Consequence::Hangup => self.hang_up(at),
                    Consequence::Registered => self.replace_older(at),
                }
            }
        }
    }

    /// A second connection of an agent at the same process takes the place of the first.
    fn replace_older(&mut self, at: usize) {
        let (agent, orchestrator) = (self.connections[at].agent, self.connections[at].orchestrator);
        for older in 0..at {
            let connection = &mut self.connections[older];
            if connection.agent == agent
                && connection.orchestrator == orchestrator
                && connection.orchestrator_open
            {
                connection.orchestrator_open = false;
                connection.down.go_silent();
            }
        }
    }

    pub(super) fn orchestrators_work(&mut self) {
        for number in 0..ORCHESTRATORS {
            let (commits, stores) = (self.chance(400), self.chance(50));
            let Some(process) = self.orchestrators[number].as_mut() else { continue };
            if commits {
                process.commit(&mut self.tables);
            }
            if stores {
                process.store_all(&mut self.tables);
            }
            let owner = process.number;
            for at in 0..self.connections.len() {
                let connection = &mut self.connections[at];
                if connection.orchestrator != number
                    || !connection.orchestrator_open
                    || !connection.registered
                {
                    continue;
                }
                if let Some(ack) = connection.acks.take() {
                    connection.tell(&ToAgent::Ack(ack), self.tick + 1);
                }
                if connection.link.load() == 0
                    && let Some((job, attempt)) =
                        self.tables.claim(connection.agent, owner, self.tick)
                {
                    connection.link.offer(job, job, attempt);
                    connection.tell(&dispatch(job, attempt), self.tick + 1);
                }
            }
        }
    }

    pub(super) fn connections_end(&mut self) {
        for at in 0..self.connections.len() {
            let connection = &self.connections[at];
            let noticed = connection.noticed.is_some_and(|noticed| noticed <= self.tick);
            // Pings find out about silence in either direction.
            let silent = (connection.up.silent || connection.down.silent)
                && connection.heard + SILENCE < self.tick;
            if (noticed || silent) && !connection.is_over() {
                self.agent_notices(at);
                self.orchestrator_notices(at);
            }
        }
    }

    /// The orchestrator closes: what it said before arrives, what comes after is not read.
    fn hang_up(&mut self, at: usize) {
        self.orchestrator_notices(at);
        let later = self.tick + self.random.random_range(2..10);
        self.connections[at].noticed.get_or_insert(later);
    }

    pub(super) fn orchestrator_notices(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        if !std::mem::take(&mut connection.orchestrator_open) {
            return;
        }
        let Some(process) = self.orchestrators[connection.orchestrator].as_mut() else { return };
        // Reports in hand count before the jobs do as lost.
        process.commit(&mut self.tables);
        let newer = self.connections[at + 1..].iter().any(|other| {
            other.agent == self.connections[at].agent
                && other.orchestrator == self.connections[at].orchestrator
                && other.registered
                && other.orchestrator_open
        });
        if !newer {
            self.tables.agent_lost(self.connections[at].agent, process.number, self.tick);
        }
    }
}

/// The attempt travels in `requestId`, which nothing reads but this test.
fn dispatch(job: Uuid, attempt: i32) -> ToAgent {
    let message = json!({
        "messageId": format!("{job} {attempt}"), "runId": job, "jobId": job, "repoUrl": "", "ref": "", "sha": "",
        "lockFileUrl": "", "timestamp": 1, "jobConfig": {}, "requestId": format!("{job} {attempt}"),
    });
    let dispatch: JobDispatch = serde_json::from_value(message).expect("all fields are there");
    ToAgent::JobDispatch(Box::new(dispatch))
}
