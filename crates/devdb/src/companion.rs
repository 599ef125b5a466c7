//! A program that runs beside this process and ends with it.
//!
//! `server` runs PostgreSQL this way; `kici dev`, the demo, the benches and the tests run
//! orchestrators and agents this way. A companion has a process group of its own: a Ctrl-C in the
//! terminal reaches the starter only, which then ends its companions in the right order.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A running program. Dropping it ends the program.
#[derive(Debug)]
pub struct Companion {
    pid: Pid,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    goodbye: &'static [(Signal, Duration)],
    /// The program's output, where the command pipes it.
    pub stdout: Option<ChildStdout>,
    /// The program's error output, where the command pipes it.
    pub stderr: Option<ChildStderr>,
}

/// How services are ended: asked, given the time they need to stop their own children, killed.
const SERVICE_GOODBYE: &[(Signal, Duration)] =
    &[(Signal::SIGTERM, Duration::from_secs(20)), (Signal::SIGKILL, Duration::from_secs(5))];

impl Companion {
    /// Starts `command`; it is ended with SIGTERM, then killed.
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::spawn_with(command, SERVICE_GOODBYE)
    }

    /// Starts `command`; `goodbye` says with which signals it is ended, and how long each may take.
    /// Without any, the program outlives us.
    ///
    /// The kernel sends the first of them when the *thread* that started the program ends, so a
    /// thread of its own starts it and waits for it.
    pub(crate) fn spawn_with(
        mut command: Command,
        goodbye: &'static [(Signal, Duration)],
    ) -> io::Result<Self> {
        command.process_group(0);
        if let Some((first, _)) = goodbye.first() {
            end_with_this_thread(&mut command, *first);
        }
        let (started_tx, started) = channel();
        let (ended_tx, ended) = channel();
        std::thread::Builder::new().name("companion".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _unheard = started_tx.send(Err(error));
                    return;
                }
            };
            let _unheard =
                started_tx.send(Ok((child.id(), child.stdout.take(), child.stderr.take())));
            if let Ok(status) = child.wait() {
                // Nobody listens any more when the owner gave up waiting.
                let _unheard = ended_tx.send(status);
            }
        })?;
        let (id, stdout, stderr) = started.recv().expect("the thread always reports its spawn")?;
        let pid = Pid::from_raw(i32::try_from(id).expect("process ids are positive i32"));
        Ok(Self { pid, ended, status: None, goodbye, stdout, stderr })
    }

    /// Its process id, which is also the id of its process group.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for its end for at most `limit`; `None` when it still runs.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = match self.ended.recv_timeout(limit) {
                Ok(status) => Some(status),
                Err(RecvTimeoutError::Timeout) => None,
                // The wait itself failed; the process is gone, how is unknown.
                Err(RecvTimeoutError::Disconnected) => Some(ExitStatus::default()),
            };
        }
        self.status
    }

    /// Sends a signal to the program alone, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.wait(Duration::ZERO).is_none() {
            // An error means that it has just ended, which the next wait tells.
            let _gone = kill(self.pid, signal);
        }
    }

    /// Ends the program and whatever is left of its process group.
    pub fn stop(&mut self) {
        for (signal, patience) in self.goodbye {
            self.signal(*signal);
            if self.wait(*patience).is_some() {
                break;
            }
        }
        if !self.goodbye.is_empty() {
            let _none_left = killpg(self.pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "pre_exec is the only way to set a parent-death signal")]
fn end_with_this_thread(command: &mut Command, signal: Signal) {
    let parent = std::process::id();
    // SAFETY: between fork and exec only two system calls are made, nothing is allocated. The
    // signal is set after the change of user, which would have cleared it.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // The parent may have died before the line above.
            if nix::unistd::getppid().as_raw().unsigned_abs() != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
    }
}

/// Elsewhere a companion ends with [`Companion::stop`] only.
#[cfg(not(target_os = "linux"))]
fn end_with_this_thread(_command: &mut Command, _signal: Signal) {}
