//! The process of simulated agents, from outside: how far it is, and its end.

use std::io::{BufRead as _, BufReader, PipeWriter};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kici_devdb::Companion;
use serde::Deserialize;

use crate::workspace::{self, Profile};

/// How often what it said is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What the process last said.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) registered: usize,
    pub(super) jobs: u64,
    /// Connections that ended.
    pub(super) lost: u64,
    pub(super) elapsed_ms: u64,
}

/// Simulated agents; dropping this ends them.
pub(super) struct Agents {
    companion: Companion,
    told: Arc<Mutex<Told>>,
    /// The other end of its standard input.
    _open: PipeWriter,
}

impl Agents {
    /// Starts `count` agents for the orchestrator on this port, which end every job at once.
    pub(super) fn start(port: u16, token: &str, count: usize) -> Result<Agents> {
        Self::start_with_jobs_of(port, token, count, Duration::ZERO)
    }

    /// The same with a length of jobs.
    pub(super) fn start_with_jobs_of(
        port: u16,
        token: &str,
        count: usize,
        length: Duration,
    ) -> Result<Agents> {
        let mut command = workspace::command(Profile::Release.program("xtask"));
        command.args(["sim-agents", "--url", &format!("ws://127.0.0.1:{port}/ws")]);
        command.args(["--token", token, "--count", &count.to_string()]);
        command.args(["--job-ms", &length.as_millis().to_string()]);
        // A companion's own standard input is closed at once, and the agents end with theirs.
        let (stdin, open) = std::io::pipe().context("could not make a pipe")?;
        command.stdin(stdin).stdout(Stdio::piped());
        let mut companion =
            Companion::spawn(command).context("could not start the simulated agents")?;
        let lines = companion.stdout.take().context("its output is piped")?;
        let told = Arc::new(Mutex::new(Told::default()));
        let into = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if let Ok(now) = serde_json::from_str(&line) {
                    *into.lock().unwrap_or_else(PoisonError::into_inner) = now;
                }
            }
        });
        Ok(Agents { companion, told, _open: open })
    }

    /// What it last said.
    pub(super) fn told(&self) -> Told {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done` says yes.
    pub(super) fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut(&Told) -> Result<bool>,
    ) -> Result<Told> {
        let deadline = Instant::now() + limit;
        loop {
            let told = self.told();
            if done(&told)? {
                return Ok(told);
            }
            if let Some(status) = self.companion.wait(POLL) {
                bail!("the simulated agents ended with {status} before {what}");
            }
            if Instant::now() > deadline {
                bail!("{what} took longer than {limit:?}; the agents say {told:?}");
            }
        }
    }
}
