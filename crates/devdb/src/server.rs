//! Sees the `postgres` process become ready. `companion` runs it, `cluster` decides its settings.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::companion::Companion;
use crate::error::DevDbError;

/// How often the server's status file is read while it starts.
const POLL: Duration = Duration::from_millis(5);

/// SIGINT is PostgreSQL's "fast", SIGQUIT its "immediate" shutdown.
const GOODBYE: &[(Signal, Duration)] = &[
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// Starts `command`, which must be a complete `postgres` command line.
pub(crate) fn spawn(command: Command, ends_with_us: bool) -> Result<Companion, DevDbError> {
    let program = PathBuf::from(command.get_program());
    let goodbye = if ends_with_us { GOODBYE } else { &[] };
    Companion::spawn_with(command, goodbye).map_err(|source| DevDbError::Spawn { program, source })
}

/// Waits until the server accepts connections; the error says how it ended instead.
pub(crate) fn wait_ready(
    server: &mut Companion,
    data: &Path,
    limit: Duration,
) -> Result<(), String> {
    let pid_file = data.join("postmaster.pid");
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if says_ready(&pid_file, server.pid()) {
            return Ok(());
        }
        if let Some(status) = server.wait(POLL) {
            return Err(format!("it ended with {status}"));
        }
    }
    Err(format!("it was not ready within {limit:?}"))
}

/// The eighth line of `postmaster.pid` is the server's status; the first is its process id.
fn says_ready(pid_file: &Path, pid: i32) -> bool {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return false };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == Some(pid)
        && lines.nth(6).is_some_and(|status| status.trim() == "ready")
}
