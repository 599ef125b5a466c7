//! The world: agents, orchestrators, connections and the database, moved on tick by tick.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kici_agent::simulation::SimulatedAgent;
use kici_protocol::agent::{JobDispatch, ToAgent};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::network::Connection;
use super::process::{Consequence, Process, UNACKED, cancel};
use super::tables::{Overdue, State, Tables};
use crate::jobs::Ending;

const AGENTS: usize = 3;
const ORCHESTRATORS: usize = 2;
/// Virtual milliseconds of a tick.
const TICK: u64 = 50;
/// How long everything goes wrong.
const STORM: u64 = 1200;
/// Within this time everything has to be at peace again.
const CALM: u64 = 2500;
/// A silent connection is given up, as by pings.
const SILENCE: u64 = 60;
/// The greeting of an agent has to be answered.
const GREETING: u64 = 30;

/// One execution of one attempt.
#[derive(Debug)]
struct Execution {
    agent: usize,
    lines: Vec<(i64, String)>,
    ends_at: u64,
    /// How it ended, if it did; killed with its agent otherwise.
    ended: Option<Ending>,
    killed: bool,
}

struct AgentSlot {
    process: Option<SimulatedAgent>,
    folder: TempDir,
    connection: Option<usize>,
    /// When it comes back, or connects again.
    next: u64,
    greeted: u64,
}

/// How jobs ended.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) told: u64,
    pub(super) lost: u64,
    pub(super) cancelled: u64,
}

/// See the module.
pub(super) struct World {
    random: StdRng,
    start: Instant,
    tick: u64,
    tables: Tables,
    orchestrators: Vec<Option<Process>>,
    returns: Vec<u64>,
    agents: Vec<AgentSlot>,
    connections: Vec<Connection>,
    /// By job and attempt, as dispatched.
    executions: BTreeMap<(Uuid, i32), Execution>,
    jobs: u64,
    starts: i32,
    /// Orchestrators that died, whose jobs are taken over a moment later.
    orphans: Vec<(u64, i32)>,
    problems: Vec<String>,
    story: Vec<String>,
}

impl World {
    pub(super) fn new(random: StdRng) -> Self {
        let agents = (0..AGENTS)
            .map(|number| {
                let folder = TempDir::new().expect("the temporary folder is writable");
                let process = Some(SimulatedAgent::start(&name(number), folder.path()));
                AgentSlot { process, folder, connection: None, next: 0, greeted: 0 }
            })
            .collect();
        let mut world = Self {
            random,
            start: Instant::now(),
            tick: 0,
            tables: Tables::default(),
            orchestrators: (0..ORCHESTRATORS).map(|_| None).collect(),
            returns: vec![0; ORCHESTRATORS],
            agents,
            connections: Vec::new(),
            executions: BTreeMap::new(),
            jobs: 0,
            starts: 0,
            orphans: Vec::new(),
            problems: Vec::new(),
            story: Vec::new(),
        };
        for _ in 0..4 {
            world.add_job();
        }
        world
    }

    /// Everything goes wrong now and then.
    pub(super) fn storm(&mut self) {
        for _ in 0..STORM {
            self.misfortune();
            self.step();
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn calm(&mut self) {
        for connection in &mut self.connections {
            connection.noticed.get_or_insert(self.tick);
        }
        for _ in 0..CALM {
            self.step();
            if self.is_at_peace() {
                return;
            }
        }
    }

    fn is_at_peace(&self) -> bool {
        self.tables.jobs.values().all(|job| job.state.is_final())
            && self.agents.iter().all(|slot| {
                slot.process
                    .as_ref()
                    .is_some_and(|agent| agent.has_told_everything() && agent.job().is_none())
            })
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.tick * TICK)
    }

    fn chance(&mut self, per_thousand: u32) -> bool {
        self.random.random_range(0..1000) < per_thousand
    }

    fn note(&mut self, text: String) {
        self.story.push(format!("{:>5}  {text}", self.tick));
    }

    fn add_job(&mut self) {
        self.jobs += 1;
        self.tables.add(Uuid::from_u128(u128::from(self.jobs)));
    }

    /// What may go wrong in this tick.
    fn misfortune(&mut self) {
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

    /// One tick of work.
    fn step(&mut self) {
        self.tick += 1;
        self.start_orchestrators();
        self.look_at_deadlines();
        self.agents_work();
        self.deliver();
        self.orchestrators_work();
        self.connections_end();
    }

    fn start_orchestrators(&mut self) {
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

    fn look_at_deadlines(&mut self) {
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

    fn agents_work(&mut self) {
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

    fn deliver(&mut self) {
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

    fn orchestrators_work(&mut self) {
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

    fn connections_end(&mut self) {
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

    fn agent_notices(&mut self, at: usize) {
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

    fn orchestrator_notices(&mut self, at: usize) {
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

    /// What must not be.
    pub(super) fn problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        for process in self.orchestrators.iter_mut().flatten() {
            problems.append(&mut process.problems);
        }
        for (id, job) in &self.tables.jobs {
            // An adopted attempt is the execution of an earlier one, which went on.
            let execution = self
                .executions
                .range((*id, 0)..=(*id, job.attempt))
                .rev()
                .map(|(_, execution)| execution)
                .find(|execution| Some(execution.agent) == job.agent);
            match job.state {
                State::Told(ending) => {
                    let Some(execution) = execution else {
                        problems.push(format!("job {id} ended {ending:?} without having run"));
                        continue;
                    };
                    if execution.killed {
                        continue;
                    }
                    if execution.ended != Some(ending) {
                        problems.push(format!(
                            "job {id} ended {ending:?}, its execution {:?}",
                            execution.ended
                        ));
                    }
                    if ending == Ending::Cancelled && !job.stop {
                        problems.push(format!("job {id} ended cancelled, and nobody asked for it"));
                    }
                    for step in 0..2 {
                        let of_step = |lines: &[(i64, String)]| -> Vec<String> {
                            lines
                                .iter()
                                .filter(|(of, _)| *of == step)
                                .map(|(_, line)| line.clone())
                                .collect()
                        };
                        let (stored, written) = (of_step(&job.log), of_step(&execution.lines));
                        // What an earlier attempt has stored stays with it.
                        let whole = if job.adopted {
                            written.ends_with(&stored)
                        } else {
                            stored == written
                        };
                        if !whole {
                            problems.push(format!(
                                "job {id} step {step}: {stored:?} instead of {written:?}"
                            ));
                        }
                    }
                }
                State::GivenUp => {}
                open => problems.push(format!("job {id} is {open:?} for ever")),
            }
        }
        for (number, slot) in self.agents.iter().enumerate() {
            match &slot.process {
                None => problems.push(format!("agent {number} is down for ever")),
                Some(agent) if agent.job().is_some() => {
                    problems.push(format!("agent {number} runs {:?} for ever", agent.job()));
                }
                Some(agent) if !agent.has_told_everything() => {
                    problems.push(format!("agent {number} has something to tell for ever"));
                }
                Some(_) => {}
            }
        }
        problems
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for job in self.tables.jobs.values() {
            match job.state {
                State::Told(_) => counts.told += 1,
                _ if job.stop => counts.cancelled += 1,
                _ => counts.lost += 1,
            }
        }
        counts
    }

    /// The last things that happened.
    pub(super) fn story(&self) -> String {
        self.story[self.story.len().saturating_sub(400)..].join("\n")
    }
}

fn name(number: usize) -> String {
    format!("agent-{number}")
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

fn attempt_of(request: &str) -> (Uuid, i32) {
    let (job, attempt) = request.split_once(' ').expect("made by `dispatch`");
    (job.parse().expect("an id"), attempt.parse().expect("a number"))
}
