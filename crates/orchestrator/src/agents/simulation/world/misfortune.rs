//! What goes wrong: agents and orchestrators are killed, connections cut or silent, runs cancelled.

use rand::RngExt as _;
use uuid::Uuid;

use super::super::process::cancel;
use super::{AGENTS, ORCHESTRATORS, World, attempt_of};

impl World {
    /// What may go wrong in this tick.
    pub(super) fn misfortune(&mut self) {
        if self.chance(15) {
            self.add_job();
        }
        if self.chance(4) {
            let job = Uuid::from_u128(u128::from(self.random.random_range(1..=self.jobs)));
            self.cancel(job);
        }
        if self.chance(8) {
            let number = self.random.random_range(0..AGENTS);
            self.kill_agent(number);
        }
        if self.chance(6) {
            let number = self.random.random_range(0..ORCHESTRATORS);
            self.kill_orchestrator(number);
        }
        for at in 0..self.connections.len() {
            if self.connections[at].is_over() {
                continue;
            }
            if self.chance(6) {
                self.cut(at);
            } else if self.chance(3) {
                self.note(format!("connection {at} swallows what goes up"));
                self.connections[at].up.go_silent();
            } else if self.chance(3) {
                self.note(format!("connection {at} swallows what comes down"));
                self.connections[at].down.go_silent();
            }
        }
    }

    /// Both ends find out, each in its own time.
    fn cut(&mut self, at: usize) {
        self.note(format!("connection {at} is cut"));
        let later = self.tick + self.random.random_range(0..60);
        let agent_first = self.chance(500);
        let connection = &mut self.connections[at];
        // What is under way may still arrive, or not.
        if later.is_multiple_of(2) {
            connection.up.go_silent();
        }
        connection.down.go_silent();
        connection.noticed.get_or_insert(later);
        if agent_first { self.agent_notices(at) } else { self.orchestrator_notices(at) }
    }

    fn kill_agent(&mut self, number: usize) {
        let back = self.tick + self.random.random_range(2..200);
        let Some(process) = self.agents[number].process.take() else { return };
        self.note(format!("agent {number} is killed"));
        if let Some((request, _)) = process.job()
            && let Some(execution) = self.executions.get_mut(&attempt_of(request))
        {
            execution.killed = true;
        }
        drop(process);
        self.agents[number].next = back;
        if let Some(at) = self.agents[number].connection.take() {
            self.connections[at].agent_open = false;
            let later = self.tick + self.random.random_range(1..40);
            self.connections[at].noticed.get_or_insert(later);
        }
    }

    fn kill_orchestrator(&mut self, number: usize) {
        let back = self.tick + self.random.random_range(2..80);
        let Some(process) = self.orchestrators[number].take() else { return };
        self.note(format!("orchestrator {number} (start {}) is killed", process.number));
        self.problems.extend(process.problems);
        self.returns[number] = back;
        self.orphans.push((self.tick + 20, process.number));
        for at in 0..self.connections.len() {
            let connection = &mut self.connections[at];
            if connection.orchestrator == number && connection.orchestrator_open {
                connection.orchestrator_open = false;
                connection.down.go_silent();
                let later = self.tick + self.random.random_range(1..40);
                self.connections[at].noticed.get_or_insert(later);
            }
        }
    }

    fn cancel(&mut self, job: Uuid) {
        if let Some(agent) = self.tables.cancel(job, self.tick) {
            self.note(format!("job {job} is cancelled"));
            self.order_cancel(job, agent);
        }
    }

    /// Tells the agent, through whichever connection it has: the orchestrators tell each other.
    fn order_cancel(&mut self, job: Uuid, agent: usize) {
        let now = self.tick;
        let open = self.connections.iter_mut().rfind(|connection| {
            connection.agent == agent && connection.orchestrator_open && connection.registered
        });
        if let Some(connection) = open {
            cancel(connection, job, "run cancelled via API", now);
        }
    }
}
