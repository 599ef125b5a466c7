//! Runs one command of a job and knows how it ended.
//!
//! Each command leads its own process group (`group`), its output is read as bytes (`pipe`), and what
//! outlives it is found and ended by `leftovers`.

mod capture;
mod group;
mod leftovers;
mod pipe;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use crate::control::Stop;

pub(crate) use capture::{Capture, Captured};
pub(crate) use group::{Group, parse_signal};
pub(crate) use leftovers::{Groups, Leftovers, become_reaper, named};
pub(crate) use pipe::{Outlet, PushText};

/// A command to run.
#[derive(Debug)]
pub(crate) struct Command {
    /// Found on the `PATH` of `env`, unless it is a path.
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: PathBuf,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// What it reads; nothing if absent.
    pub(crate) input: Option<Vec<u8>>,
}

/// When and how a command is stopped.
#[derive(Debug)]
pub(crate) struct Bounds {
    pub(crate) stop: Stop,
    pub(crate) timeout: Option<Duration>,
    /// Sent first when the time is over.
    pub(crate) timeout_signal: Signal,
    /// From the first signal to KILL.
    pub(crate) grace: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    /// By a signal, e.g. `SIGTERM`.
    Killed(String),
}

/// A command that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ended: Ended,
    pub(crate) timed_out: bool,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
    pub(crate) all: Captured,
    /// A background process still holds the output open; what it writes is no longer waited for.
    pub(crate) output_left_open: bool,
    pub(crate) duration: Duration,
}

/// A command that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start {program} in {}", cwd.display())]
pub(crate) struct StartError {
    program: String,
    cwd: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: tokio::process::Child,
    group: Group,
    readers: [pipe::Reader; 2],
    all: Arc<Capture>,
    exited: CancellationToken,
    started: Instant,
}

/// Starts a command. `stdout` and `stderr` say where its output goes besides the result.
pub(crate) fn start(
    command: Command,
    stdout: Outlet,
    stderr: Outlet,
) -> Result<Running, StartError> {
    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(&command.args)
        .current_dir(&command.cwd)
        .env_clear()
        .envs(&command.env)
        .stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let started = Instant::now();
    let mut child = process.spawn().map_err(|source| StartError {
        program: command.program,
        cwd: command.cwd,
        source,
    })?;
    let group = Group::led_by(child.id().expect("a child that nobody waited for has an id"));
    if let (Some(input), Some(mut stdin)) = (command.input, child.stdin.take()) {
        tokio::spawn(async move {
            // A command need not read its input.
            let _closed_early = stdin.write_all(&input).await;
        });
    }
    let exited = CancellationToken::new();
    let all = Arc::new(Capture::default());
    let out = child.stdout.take().expect("stdout is piped");
    let err = child.stderr.take().expect("stderr is piped");
    let readers = [
        pipe::read(out, stdout, Arc::clone(&all), exited.clone()),
        pipe::read(err, stderr, Arc::clone(&all), exited.clone()),
    ];
    Ok(Running { child, group, readers, all, exited, started })
}

impl Running {
    /// The command's process group.
    pub(crate) fn group(&self) -> Group {
        self.group
    }

    /// Waits for the end, or brings it about when `bounds` say so.
    pub(crate) async fn finish(mut self, bounds: Bounds) -> std::io::Result<Finished> {
        let mut timed_out = false;
        let mut kill_at = None;
        let timeout = wait_for(bounds.timeout);
        tokio::pin!(timeout);
        let status = loop {
            let stopping = kill_at.is_some();
            tokio::select! {
                status = self.child.wait() => break status?,
                () = bounds.stop.kill.cancelled() => {
                    self.group.signal(Signal::SIGKILL);
                    break self.child.wait().await?;
                }
                () = bounds.stop.term.cancelled(), if !stopping => {
                    self.group.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + bounds.grace);
                }
                () = &mut timeout, if !stopping => {
                    timed_out = true;
                    self.group.signal(bounds.timeout_signal);
                    kill_at = Some(Instant::now() + bounds.grace);
                }
                () = until(kill_at), if stopping => {
                    self.group.signal(Signal::SIGKILL);
                    break self.child.wait().await?;
                }
            }
        };
        if let Some(kill_at) = kill_at {
            // A shell dies of TERM at once; its children may still be putting things in order.
            self.group.await_end(kill_at, &bounds.stop.kill).await;
        }
        let duration = self.started.elapsed();
        self.exited.cancel();
        let [stdout, stderr] = self.readers;
        let (stdout, stderr) = tokio::join!(stdout.captured(), stderr.captured());
        Ok(Finished {
            ended: ended(status),
            timed_out,
            output_left_open: stdout.left_open || stderr.left_open,
            stdout: stdout.captured,
            stderr: stderr.captured,
            all: self.all.take(),
            duration,
        })
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(number)) => Ended::Killed(group::signal_name(number)),
        (None, None) => Ended::Exited(-1),
    }
}

async fn wait_for(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
