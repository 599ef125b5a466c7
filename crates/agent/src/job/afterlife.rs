//! Ends what is left of a job whose agent was killed.
//!
//! A job process notices that its agent is gone and ends its steps itself; this is for one that was
//! killed as well, or is still busy doing so. A process is the job's if it is the job process (by number
//! and start time, on the same boot), leads or is in its group, or carries the job's folder in `KICI_ENV`.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc;
use crate::outbox::ProcessRecord;

/// A fork bomb must not keep the agent from starting.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to look for later, about a job process that was just started.
pub(crate) fn record(pid: i32, folders: &[&Path]) -> ProcessRecord {
    ProcessRecord {
        pid,
        started: proc::stat(pid).map(|stat| stat.started),
        boot: proc::boot_id(),
        folders: folders.iter().map(|&folder| folder.to_owned()).collect(),
    }
}

/// Ends the processes of a job and removes its folders. Gives how many processes there were.
pub(crate) fn clean_up(record: &ProcessRecord) -> usize {
    let mut ended = std::collections::HashSet::new();
    if record.boot == proc::boot_id() {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = left_of(record);
            if left.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                tracing::warn!("a job of the last agent process keeps starting processes");
                break;
            }
            for pid in left {
                ended.insert(pid);
                // Gone already is as good.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::yield_now();
        }
    }
    for folder in &record.folders {
        // Only what has the name of a job's folder, whatever the file says.
        let ours = folder
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("kici-"));
        if ours && let Err(error) = super::workdir::remove(folder) {
            tracing::warn!(%error, "cannot remove the job's folder {}", folder.display());
        }
    }
    ended.len()
}

fn left_of(record: &ProcessRecord) -> Vec<i32> {
    let leader_is_ours = match proc::stat(record.pid) {
        // Its number belongs to somebody else by now, and then no group can have it.
        Some(stat) => record.started == Some(stat.started),
        None => true,
    };
    let marks: Vec<String> =
        record.folders.iter().map(|folder| format!("KICI_ENV={}/", folder.display())).collect();
    proc::all()
        .filter(|(pid, stat)| {
            // A group outlives its leader, but starts no earlier than it.
            let in_group = leader_is_ours
                && stat.group == record.pid
                && record.started.is_some_and(|started| stat.started >= started);
            !stat.is_dead && (in_group || proc::environment_has(*pid, &marks))
        })
        .map(|(pid, _)| pid)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper(mark: Option<&Path>) -> std::process::Child {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("sleep");
        command.arg("600").stdin(Stdio::null()).process_group(0);
        if let Some(mark) = mark {
            command.env("KICI_ENV", mark.join("step/env"));
        }
        command.spawn().unwrap()
    }

    #[test]
    fn processes_of_the_job_end_and_others_stay() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("kici-abcdef");
        std::fs::create_dir(&folder).unwrap();
        let mut leader = sleeper(None);
        let mut daemon = sleeper(Some(&folder));
        let mut stranger = sleeper(Some(temp.path()));
        let pid = |child: &std::process::Child| i32::try_from(child.id()).unwrap();
        let mut known = record(pid(&leader), &[&folder]);

        // The number was used again: not ours.
        known.started = known.started.map(|started| started - 1);
        assert_eq!(clean_up(&known), 1, "only the daemon");
        assert!(leader.try_wait().unwrap().is_none());
        daemon.wait().unwrap();
        assert!(!folder.exists());

        known = record(pid(&leader), &[]);
        known.boot = Some("another".to_owned());
        assert_eq!(clean_up(&known), 0, "another boot");
        known.boot = proc::boot_id();
        assert_eq!(clean_up(&known), 1);
        leader.wait().unwrap();
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
