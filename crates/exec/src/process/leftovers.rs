//! Finds and ends processes that outlive the command that started them.
//!
//! A process belongs to a job when it is in the process group of one of its commands, carries the job's
//! `KICI_ENV` in its environment, or descends from one that does. Orphans come to this process, because
//! it is a *subreaper* (`become_reaper`); so nothing gets away by daemonising.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::Group;

/// From TERM to KILL for what a job left behind.
const GRACE: Duration = Duration::from_secs(1);
/// After KILL only the kernel can delay the end.
const AFTER_KILL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// The process groups that a step, or a job, has started.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<HashSet<i32>>);

impl Groups {
    /// Remembers a group.
    pub(crate) fn add(&self, group: Group) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(group.id());
    }

    fn contains(&self, group: i32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&group)
    }

    /// Whether any command was ever started.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Which processes are looked for.
#[derive(Debug)]
pub(crate) struct Leftovers<'a> {
    pub(crate) groups: &'a Groups,
    /// Beginning of the path in their `KICI_ENV`.
    pub(crate) mark: &'a Path,
    /// Every descendant of this process counts, because it runs one job and nothing else.
    pub(crate) everything: bool,
}

/// A process that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) pid: i32,
    pub(crate) name: String,
}

/// Names processes for the log: how many, and the first few.
pub(crate) fn named(left: &[Leftover]) -> String {
    let names: Vec<_> =
        left.iter().take(5).map(|left| format!("{} ({})", left.name, left.pid)).collect();
    let more = if left.len() > 5 { ", …" } else { "" };
    let noun = if left.len() == 1 { "process" } else { "processes" };
    format!("{} {noun}: {}{more}", left.len(), names.join(", "))
}

#[derive(Debug, Clone)]
struct Entry {
    parent: i32,
    group: i32,
    name: String,
    zombie: bool,
}

impl Leftovers<'_> {
    /// What is still there.
    pub(crate) fn find(&self) -> Vec<Leftover> {
        let descendants = descendants();
        let mut ours: HashSet<i32> = descendants
            .iter()
            .filter(|(pid, entry)| {
                self.everything || self.groups.contains(entry.group) || self.is_marked(**pid)
            })
            .map(|(&pid, _)| pid)
            .collect();
        // Whatever they started is theirs. Depth is bounded by the number of processes.
        loop {
            let more: Vec<i32> = descendants
                .iter()
                .filter(|(pid, entry)| !ours.contains(pid) && ours.contains(&entry.parent))
                .map(|(&pid, _)| pid)
                .collect();
            if more.is_empty() {
                break;
            }
            ours.extend(more);
        }
        let mut found: Vec<Leftover> = descendants
            .into_iter()
            .filter(|(pid, entry)| ours.contains(pid) && !entry.zombie)
            .map(|(pid, entry)| Leftover { pid, name: entry.name })
            .collect();
        found.sort_by_key(|leftover| leftover.pid);
        found
    }

    /// Ends everything that is left, kindly first, and says what that was.
    pub(crate) async fn end(&self) -> Vec<Leftover> {
        let found = self.find();
        let mut left = found.clone();
        let start = Instant::now();
        let mut signalled = HashSet::new();
        while !left.is_empty() && start.elapsed() < GRACE + AFTER_KILL {
            let late = start.elapsed() >= GRACE;
            for leftover in &left {
                if late || signalled.insert(leftover.pid) {
                    send(leftover.pid, if late { Signal::SIGKILL } else { Signal::SIGTERM });
                }
            }
            tokio::time::sleep(LOOK).await;
            self.collect(&left);
            left = self.find();
        }
        found
    }

    /// Adopted children have to be waited for, or they stay as zombies.
    fn collect(&self, ended: &[Leftover]) {
        for leftover in ended {
            let pid = Pid::from_raw(leftover.pid);
            // A child that a `tokio` handle still waits for leads one of our groups; leave it alone.
            if !self.groups.contains(leftover.pid) {
                let _not_a_child = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
    }

    fn is_marked(&self, pid: i32) -> bool {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
        let mark = format!("KICI_ENV={}", self.mark.display());
        environment.split(|&byte| byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
    }
}

fn send(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!("could not send {signal} to process {pid}: {error}"),
    }
}

/// Makes orphans of this process's children its own children. Without effect outside Linux.
pub(crate) fn become_reaper() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        tracing::warn!("daemonised processes of jobs will not be found: {error}");
    }
}

/// Every process below this one.
fn descendants() -> HashMap<i32, Entry> {
    let me = i32::try_from(std::process::id()).expect("process ids fit into an i32");
    let mut found = HashMap::new();
    let mut open = vec![me];
    while let Some(parent) = open.pop() {
        for pid in children(parent) {
            if let Some(entry) = entry(pid).filter(|entry| entry.parent == parent)
                && found.insert(pid, entry).is_none()
            {
                open.push(pid);
            }
        }
    }
    found
}

/// The children of a process, by the lists that the kernel keeps for each of its threads.
fn children(pid: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.map(|thread| thread.path().join("children"));
    lists
        .filter_map(|path: PathBuf| std::fs::read_to_string(path).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// Reads `/proc/<pid>/stat`: `pid (name) state ppid pgrp …`; the name may hold anything.
fn entry(pid: i32) -> Option<Entry> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    Some(Entry {
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        name: name.to_owned(),
        zombie: matches!(state, "Z" | "X"),
    })
}
