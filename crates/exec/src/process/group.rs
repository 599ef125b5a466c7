//! A process group: signals to it, and waiting for its end.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

/// How often a group that was told to end is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// After KILL only the kernel can delay the end.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// The process group of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Group(i32);

impl Group {
    /// The group that this child leads.
    pub(crate) fn led_by(child: u32) -> Self {
        Self(i32::try_from(child).expect("process ids fit into an i32"))
    }

    /// The group's number.
    pub(crate) fn id(self) -> i32 {
        self.0
    }

    /// Sends a signal to every member.
    pub(crate) fn signal(self, signal: Signal) {
        // No such group: everyone has ended already, which is what signals are for.
        let _ended = killpg(Pid::from_raw(self.0), signal);
    }

    /// Whether a member is left. Call it only after the leader was waited for.
    pub(crate) fn is_alive(self) -> bool {
        // Members that this process has adopted have to be collected, or they would count for ever.
        while matches!(
            waitpid(Pid::from_raw(-self.0), Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
        ) {}
        killpg(Pid::from_raw(self.0), None) != Err(Errno::ESRCH)
    }

    /// Waits until no member is left; kills them at `kill_at`, or when told to.
    pub(crate) async fn await_end(self, kill_at: Instant, kill: &CancellationToken) {
        while self.is_alive() && Instant::now() < kill_at && !kill.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
        self.end().await;
    }

    /// Kills every member and waits until they are gone.
    pub(crate) async fn end(self) {
        let deadline = Instant::now() + AFTER_KILL;
        while self.is_alive() && Instant::now() < deadline {
            self.signal(Signal::SIGKILL);
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A signal by its name (`SIGTERM`, `TERM`) or number.
pub(crate) fn parse_signal(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse().ok()
}

/// The name of a signal, or `signal N` for one that has none.
pub(super) fn signal_name(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}
