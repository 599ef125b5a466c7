//! The world: agents, orchestrators, connections and the database, moved on tick by tick.
//!
//! `misfortune` is what goes wrong, `agents` and `orchestrators` what the two sides do, `verdict` what must not be.

mod agents;
mod misfortune;
mod orchestrators;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::network::Connection;
use super::process::Process;
use super::tables::Tables;
use agents::{AgentSlot, Execution};

const AGENTS: usize = 3;
const ORCHESTRATORS: usize = 2;
/// Virtual milliseconds of a tick.
const TICK: u64 = 50;
/// How long everything goes wrong.
const STORM: u64 = 1200;
/// Within this time everything has to be at peace again.
const CALM: u64 = 2500;

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
        let agents = (0..AGENTS).map(AgentSlot::start).collect();
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
}

/// The job and attempt that a dispatch named.
fn attempt_of(request: &str) -> (Uuid, i32) {
    let (job, attempt) = request.split_once(' ').expect("made by `dispatch`");
    (job.parse().expect("an id"), attempt.parse().expect("a number"))
}
