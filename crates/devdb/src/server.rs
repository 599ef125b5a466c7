//! Runs the `postgres` process: starts it, sees it become ready, ends it.
//!
//! The kernel is asked to stop the server when the *thread* that started it ends, so a thread of
//! its own starts the server and waits for it. `cluster` decides on folders and settings.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::DevDbError;

/// How often the server's status file is read while it starts.
const POLL: Duration = Duration::from_millis(5);

/// A running `postgres`.
#[derive(Debug)]
pub(crate) struct Server {
    pid: Pid,
    ended: Receiver<ExitStatus>,
}

impl Server {
    /// Starts `command`, which must be a complete `postgres` command line.
    pub(crate) fn spawn(mut command: Command) -> Result<Self, DevDbError> {
        let program = PathBuf::from(command.get_program());
        // A Ctrl-C in the terminal goes to the foreground group: the database must outlive those
        // who use it, so it is not in that group.
        command.process_group(0);
        end_with_this_thread(&mut command);
        let (started_tx, started) = channel();
        let (ended_tx, ended) = channel();
        std::thread::Builder::new()
            .name("devdb".into())
            .spawn(move || match command.spawn() {
                Err(error) => drop(started_tx.send(Err(error))),
                Ok(mut child) => {
                    drop(started_tx.send(Ok(child.id())));
                    if let Ok(status) = child.wait() {
                        // Nobody listens any more when the owner gave up waiting.
                        let _unheard = ended_tx.send(status);
                    }
                }
            })
            .map_err(|source| DevDbError::Spawn { program: program.clone(), source })?;
        let id = started
            .recv()
            .expect("the thread always reports its spawn")
            .map_err(|source| DevDbError::Spawn { program, source })?;
        let pid = Pid::from_raw(i32::try_from(id).expect("process ids are positive i32"));
        Ok(Self { pid, ended })
    }

    /// Waits until the server accepts connections; the error says how it ended instead.
    pub(crate) fn wait_ready(&self, data: &Path, limit: Duration) -> Result<(), String> {
        let pid_file = data.join("postmaster.pid");
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if pid_file_says_ready(&pid_file, self.pid) {
                return Ok(());
            }
            match self.ended.recv_timeout(POLL) {
                Ok(status) => return Err(format!("it ended with {status}")),
                Err(RecvTimeoutError::Disconnected) => return Err("it ended".into()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Err(format!("it was not ready within {limit:?}"))
    }

    /// Ends the server: politely, then firmly, then at once.
    pub(crate) fn stop(&self) {
        // SIGINT is PostgreSQL's "fast", SIGQUIT its "immediate" shutdown.
        let signals = [
            (Signal::SIGINT, Duration::from_secs(20)),
            (Signal::SIGQUIT, Duration::from_secs(5)),
            (Signal::SIGKILL, Duration::from_secs(5)),
        ];
        for (signal, patience) in signals {
            // An error means that the process is gone, which the wait below finds out as well.
            let _gone = kill(self.pid, signal);
            match self.ended.recv_timeout(patience) {
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// The eighth line of `postmaster.pid` is the server's status; the first is its process id.
fn pid_file_says_ready(pid_file: &Path, pid: Pid) -> bool {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return false };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse::<i32>().ok()) == Some(pid.as_raw())
        && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "pre_exec is the only way to set a parent-death signal")]
fn end_with_this_thread(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only two system calls are made, nothing is allocated. The
    // signal is set after the change of user, which would have cleared it.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGINT)?;
            // The parent may have died before the line above.
            if nix::unistd::getppid().as_raw().unsigned_abs() != parent {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
    }
}

/// Elsewhere the cluster ends with [`Server::stop`] only; the next start finds a left-over one.
#[cfg(not(target_os = "linux"))]
fn end_with_this_thread(_command: &mut Command) {}
