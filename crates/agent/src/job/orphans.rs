//! Processes of a job whose job process died: they come to the agent, because it is their *subreaper*.
//!
//! A healthy job process ends its own tree (`kici_exec`); this is for the one that was killed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Only then do orphans come here, and only then may unknown children be ended.
static IS_SUBREAPER: AtomicBool = AtomicBool::new(false);
/// Job processes. For the whole process, as children are.
static KNOWN: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

/// Makes orphaned descendants children of this process, so that they can be found and ended. The process
/// must have no other children than job processes.
pub fn become_subreaper() {
    #[cfg(target_os = "linux")]
    match nix::sys::prctl::set_child_subreaper(true) {
        Ok(()) => IS_SUBREAPER.store(true, Ordering::Relaxed),
        Err(error) => tracing::warn!(%error, "orphans of a killed job will not be found"),
    }
}

/// A job process was started.
pub(super) fn know(pid: i32) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(pid);
}

/// It is gone.
pub(super) fn forget(pid: i32) {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().remove(&pid);
}

/// Ends what a killed job process left behind.
pub(super) fn kill_all() {
    if IS_SUBREAPER.load(Ordering::Relaxed) {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kill_except(&known.unwrap_or_default());
    }
}

/// Kills every child of this process that is not in `known`, and their children as they follow.
#[cfg(target_os = "linux")]
fn kill_except(known: &HashSet<i32>) {
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::{Pid, getpid};

    // Children of a killed orphan become ours in turn; a fork bomb must not keep us here.
    for _ in 0..100 {
        let orphans: Vec<i32> =
            children(getpid().as_raw()).into_iter().filter(|pid| !known.contains(pid)).collect();
        if orphans.is_empty() {
            return;
        }
        for pid in orphans.into_iter().map(Pid::from_raw) {
            // Both fail for a process that is gone, which is what we want.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        std::thread::yield_now();
    }
    tracing::warn!("a killed job keeps starting processes");
}

#[cfg(not(target_os = "linux"))]
fn kill_except(_known: &HashSet<i32>) {}

#[cfg(target_os = "linux")]
fn children(parent: i32) -> Vec<i32> {
    super::proc::all().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| pid).collect()
}
