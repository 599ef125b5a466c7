//! One process that is started again whenever it ends, unless a fault keeps it down.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kici_devdb::Companion;
use nix::sys::signal::Signal;

use crate::installation;

/// The pause before a process that ended by itself is started again, as a service manager would.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// An orchestrator or an agent.
pub(super) struct Member {
    name: String,
    program: PathBuf,
    variables: Vec<(String, String)>,
    logs: PathBuf,
    starts: u32,
    running: Option<Companion>,
    /// A fault keeps it down.
    held: bool,
    restart_at: Option<Instant>,
    /// What its end means, while somebody ends it.
    ordered: bool,
    /// Ends that nobody ordered.
    surprises: Vec<String>,
}

impl Member {
    pub(super) fn new(
        name: &str,
        program: PathBuf,
        logs: &Path,
        variables: Vec<(String, String)>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            program,
            variables,
            logs: logs.to_owned(),
            starts: 0,
            running: None,
            held: false,
            restart_at: None,
            ordered: false,
            surprises: Vec::new(),
        }
    }

    /// Starts it.
    pub(super) fn start(&mut self) -> Result<()> {
        self.restart_at = None;
        self.ordered = false;
        self.starts += 1;
        let log = self.logs.join(format!("{}.{}.log", self.name, self.starts));
        let mut command: Command = installation::service(&self.program, &log)?;
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        self.running = Some(
            Companion::spawn(command).with_context(|| format!("could not start {}", self.name))?,
        );
        Ok(())
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(Companion::pid)
    }

    /// Sends a signal that ends it, and keeps it down until [`Member::allow`].
    pub(super) fn end(&mut self, signal: Signal) {
        self.held = true;
        self.ordered = true;
        self.signal(signal);
    }

    /// It may run again, once it has ended.
    pub(super) fn allow(&mut self) {
        self.held = false;
        self.restart_at = self.restart_at.map(|_| Instant::now());
    }

    /// Sends a signal.
    pub(super) fn signal(&mut self, signal: Signal) {
        if let Some(running) = &mut self.running {
            running.signal(signal);
        }
    }

    /// Notices an end, and starts it again when it is time. `quiet` says that an end would be no surprise.
    pub(super) fn look_after(&mut self, quiet: bool) -> Result<()> {
        if let Some(status) = self.running.as_mut().and_then(|one| one.wait(Duration::ZERO)) {
            self.running = None;
            if !self.ordered && !quiet {
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, signal) => format!("signal {}", signal.unwrap_or_default()),
                };
                self.surprises
                    .push(format!("{} ended by itself ({how}), start {}", self.name, self.starts));
            }
            self.restart_at = Some(Instant::now() + RESTART_AFTER);
        }
        let due = self.restart_at.is_some_and(|at| at <= Instant::now());
        if due && !self.held { self.start() } else { Ok(()) }
    }

    /// Ends that nobody ordered.
    pub(super) fn surprises(&self) -> &[String] {
        &self.surprises
    }
}
