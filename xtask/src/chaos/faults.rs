//! Makes the scheduled faults happen and undoes them, on a thread of its own.
//!
//! Between faults it is the service manager: whatever ended without a fault that keeps it down is started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::fleet::Fleet;
use super::proxy::Proxy;
use super::schedule::{Event, Fault, Line, Who};
use crate::processes::{children, has_argument};

const TICK: Duration = Duration::from_millis(10);

/// The argument that makes an agent's program a job process.
const JOB_PROCESS: &str = "job-process";

/// After PostgreSQL was down, orchestrators that ended because of it are no surprise.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A running schedule.
pub(super) struct Faults {
    calm: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<Result<Done>>,
}

/// What was done in the end.
pub(super) struct Done {
    pub(super) fleet: Fleet,
    /// Faults that happened, by kind.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// One side of a fault that is still to come.
struct Due {
    at: Instant,
    fault: Fault,
    begins: bool,
}

impl Faults {
    /// Begins with a schedule; the fleet comes back from [`Faults::end`].
    pub(super) fn start(fleet: Fleet, events: &[Event], verbose: bool) -> Result<Self> {
        let begin = Instant::now();
        let mut due: Vec<Due> = events
            .iter()
            .flat_map(|event| {
                let at = begin + event.at;
                let until = at + event.lasts;
                [
                    Due { at, fault: event.fault, begins: true },
                    Due { at: until, fault: event.fault, begins: false },
                ]
            })
            .collect();
        due.sort_by_key(|due| due.at);
        let (calm, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let driver =
            Driver { fleet, begin, verbose, counts: BTreeMap::new(), postgres_was_down: None };
        let (calm_too, end_too) = (calm.clone(), end.clone());
        let thread = std::thread::Builder::new()
            .name("faults".into())
            .spawn(move || driver.run(due, &calm_too, &end_too))?;
        Ok(Self { calm, end, thread })
    }

    /// No more faults: everything is undone and kept running.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::Release);
    }

    /// Whether it has failed.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops looking after the fleet and hands it back.
    pub(super) fn end(self) -> Result<Done> {
        self.calm();
        self.end.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that makes faults panicked"))?
    }
}

struct Driver {
    fleet: Fleet,
    begin: Instant,
    verbose: bool,
    counts: BTreeMap<&'static str, u64>,
    postgres_was_down: Option<Instant>,
}

impl Driver {
    fn run(mut self, due: Vec<Due>, calm: &AtomicBool, end: &AtomicBool) -> Result<Done> {
        let mut due = due.into_iter().peekable();
        let mut calmed = false;
        while !end.load(Ordering::Acquire) {
            if calm.load(Ordering::Acquire) {
                if !calmed {
                    self.undo_all()?;
                    calmed = true;
                }
            } else if let Some(next) = due.next_if(|next| next.at <= Instant::now()) {
                self.turn(next.fault, next.begins)?;
                continue;
            }
            self.look_after()?;
            std::thread::park_timeout(TICK);
        }
        if !calmed {
            self.undo_all()?;
        }
        Ok(Done { fleet: self.fleet, counts: self.counts })
    }

    fn turn(&mut self, fault: Fault, begins: bool) -> Result<()> {
        if self.verbose {
            let what = if begins { "begins" } else { "ends" };
            eprintln!("chaos: {:>7.2} s  {fault:?} {what}", self.begin.elapsed().as_secs_f64());
        }
        if begins {
            *self.counts.entry(fault.kind()).or_default() += 1;
            self.begin_fault(fault)
        } else {
            self.end_fault(fault)
        }
    }

    fn begin_fault(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill(Who::Postgres) => {
                self.postgres_was_down = Some(Instant::now());
                self.fleet.cluster.crash();
            }
            Fault::Kill(who) => self.end_member(who, Signal::SIGKILL),
            Fault::Terminate(who) => self.end_member(who, Signal::SIGTERM),
            Fault::Freeze(Who::Postgres) => {
                self.postgres_was_down = Some(Instant::now());
                self.signal_postgres(Signal::SIGSTOP);
            }
            Fault::Freeze(who) => self.signal(who, Signal::SIGSTOP),
            Fault::KillJob { agent, pick } => self.kill_job(agent, pick),
            Fault::KillSession { pick } => {
                self.postgres_was_down = Some(Instant::now());
                let sessions = children(self.fleet.cluster.server_pid());
                if let Some(session) = sessions.get(pick % sessions.len().max(1)) {
                    let _gone = kill(Pid::from_raw(*session), Signal::SIGKILL);
                }
            }
            Fault::Line(line, trouble) => self.line(line).trouble(trouble),
        }
        Ok(())
    }

    fn end_fault(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Kill(Who::Postgres) => {
                self.postgres_was_down = Some(Instant::now());
                self.fleet.cluster.restart().context("PostgreSQL did not come back")?;
            }
            Fault::Kill(who) | Fault::Terminate(who) => {
                // One that takes its time to end is started when it has.
                if let Some(member) = self.member(who) {
                    member.allow();
                }
            }
            Fault::Freeze(Who::Postgres) => {
                self.postgres_was_down = Some(Instant::now());
                self.signal_postgres(Signal::SIGCONT);
            }
            Fault::Freeze(who) => self.signal(who, Signal::SIGCONT),
            Fault::KillJob { .. } | Fault::KillSession { .. } => {}
            Fault::Line(line, _) => self.line(line).recover(),
        }
        Ok(())
    }

    /// Everything runs, and every line passes bytes.
    fn undo_all(&mut self) -> Result<()> {
        for line in self.fleet.agent_lines.iter().chain(&self.fleet.delivery_lines) {
            line.renew();
        }
        self.signal_postgres(Signal::SIGCONT);
        if !self.fleet.cluster.is_running() {
            self.fleet.cluster.restart().context("PostgreSQL did not come back")?;
        }
        for member in self.fleet.orchestrators.iter_mut().chain(&mut self.fleet.agents) {
            member.signal(Signal::SIGCONT);
            member.allow();
        }
        Ok(())
    }

    fn look_after(&mut self) -> Result<()> {
        let quiet = self.postgres_was_down.is_some_and(|at| at.elapsed() < AFTERMATH)
            || !self.fleet.cluster.is_running();
        for orchestrator in &mut self.fleet.orchestrators {
            orchestrator.look_after(quiet)?;
        }
        for agent in &mut self.fleet.agents {
            agent.look_after(false)?;
        }
        Ok(())
    }

    fn end_member(&mut self, who: Who, signal: Signal) {
        if let Some(member) = self.member(who) {
            member.end(signal);
        }
    }

    fn signal(&mut self, who: Who, signal: Signal) {
        if let Some(member) = self.member(who) {
            member.signal(signal);
        }
    }

    /// To the server and all of its sessions.
    fn signal_postgres(&self, signal: Signal) {
        let server = self.fleet.cluster.server_pid();
        // The server first: it must not make sessions meanwhile.
        for pid in std::iter::once(server).chain(children(server)) {
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    }

    fn kill_job(&mut self, agent: usize, pick: usize) {
        let Some(pid) = self.fleet.agents[agent].pid() else { return };
        let mut jobs = children(pid);
        jobs.retain(|child| has_argument(*child, JOB_PROCESS));
        if let Some(job) = jobs.get(pick % jobs.len().max(1)) {
            let _gone = kill(Pid::from_raw(*job), Signal::SIGKILL);
        }
    }

    fn member(&mut self, who: Who) -> Option<&mut super::member::Member> {
        match who {
            Who::Orchestrator(number) => self.fleet.orchestrators.get_mut(number),
            Who::Agent(number) => self.fleet.agents.get_mut(number),
            Who::Postgres => None,
        }
    }

    fn line(&self, line: Line) -> &Proxy {
        match line {
            Line::Agent(number) => &self.fleet.agent_lines[number],
            Line::Deliveries(number) => &self.fleet.delivery_lines[number],
        }
    }
}
