//! Why something ended that nobody told to: out of memory, or out of disk.
//!
//! The kernel does not say to whom it is that a process was killed for memory; it counts. So a count is
//! taken before ([`Circumstances::now`]) and compared afterwards.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// A file system with less room than this is full.
const FULL: u64 = 64 * 1024;
/// `128 + SIGKILL`, which a shell exits with when its child was killed.
const SHELL_SAYS_KILLED: i32 = 137;

/// What the kernel had counted at a moment.
#[derive(Debug, Clone)]
pub struct Circumstances {
    counter: Option<Counter>,
    kills: u64,
}

/// Where kills for want of memory are counted.
#[derive(Debug, Clone)]
struct Counter {
    file: PathBuf,
    /// The limit that was hit, if it is not the machine's.
    limit: Option<PathBuf>,
}

/// Why something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The kernel killed it.
    OutOfMemory {
        /// The limit of the control group, if it has one.
        limit_bytes: Option<u64>,
    },
    /// Nothing more can be written.
    DiskFull {
        /// Where.
        path: PathBuf,
        /// What is left there.
        free_bytes: u64,
    },
}

/// What is known about an end.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Exit code, if it has one.
    pub exit_code: Option<i32>,
    /// Name of the signal, if it was one.
    pub signal: Option<&'a str>,
    /// What was said about it.
    pub text: &'a str,
}

impl Circumstances {
    /// Reads the counter that counts for this process.
    pub fn now() -> Self {
        let counter = counter();
        let kills = counter.as_ref().and_then(Counter::read).unwrap_or(0);
        Self { counter, kills }
    }

    /// What happened since; `folders` are those that were written to.
    pub fn cause(&self, ending: Ending<'_>, folders: &[&Path]) -> Option<Cause> {
        let killed =
            ending.signal == Some("SIGKILL") || ending.exit_code == Some(SHELL_SAYS_KILLED);
        if killed
            && let Some(counter) = &self.counter
            && counter.read().is_some_and(|kills| kills > self.kills)
        {
            return Some(Cause::OutOfMemory { limit_bytes: counter.limit() });
        }
        let said = ["No space left on device", "ENOSPC", "no space left"]
            .iter()
            .any(|words| ending.text.contains(words));
        let mut places = folders.iter().filter_map(|&folder| Some((folder, free(folder)?)));
        let tightest = places.by_ref().min_by_key(|(_, free)| *free);
        let (path, free_bytes) = tightest.filter(|(_, free)| said || *free < FULL)?;
        Some(Cause::DiskFull { path: path.to_owned(), free_bytes })
    }
}

impl Cause {
    /// The machine's word for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::DiskFull { .. } => "disk-full",
        }
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { limit_bytes: Some(limit) } => write!(
                f,
                "out of memory: the kernel killed it, {} MiB are allowed here",
                limit / (1024 * 1024)
            ),
            Self::OutOfMemory { limit_bytes: None } => {
                write!(f, "out of memory: the kernel killed it")
            }
            Self::DiskFull { path, free_bytes } => {
                write!(f, "the disk is full: {free_bytes} bytes are left at {}", path.display())
            }
        }
    }
}

impl Counter {
    /// `oom_kill N` is a line of all three files.
    fn read(&self) -> Option<u64> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    fn limit(&self) -> Option<u64> {
        // `max`, or a number beyond all memory, means none.
        let text = std::fs::read_to_string(self.limit.as_ref()?).ok()?;
        text.trim().parse().ok().filter(|limit| *limit < 1 << 50)
    }
}

/// That of the own control group (version 2, then 1), else that of the machine.
fn counter() -> Option<Counter> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path_of = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|name| name == controller).then(|| path.to_owned())
        })
    };
    let kinds = [
        ("/sys/fs/cgroup", path_of(""), "memory.events", "memory.max"),
        ("/sys/fs/cgroup/memory", path_of("memory"), "memory.oom_control", "memory.limit_in_bytes"),
    ];
    for (mount, path, file, limit) in kinds {
        let Some(path) = path else { continue };
        // Inside a container the own group may be the root of what is mounted.
        for folder in [format!("{mount}{path}"), mount.to_owned()] {
            let counter = Counter {
                file: Path::new(&folder).join(file),
                limit: Some(Path::new(&folder).join(limit)),
            };
            if counter.read().is_some() {
                return Some(counter);
            }
        }
    }
    let machine = Counter { file: "/proc/vmstat".into(), limit: None };
    machine.read().is_some().then_some(machine)
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "they are smaller on other systems")
)]
fn free(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(u64::from(stat.blocks_available()) * u64::from(stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(before: u64, now: u64, limit: &str) -> (tempfile::TempDir, Circumstances) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        std::fs::write(&file, format!("oom 9\noom_kill {now}\n")).unwrap();
        let limit_file = folder.path().join("memory.max");
        std::fs::write(&limit_file, limit).unwrap();
        let counter = Some(Counter { file, limit: Some(limit_file) });
        (folder, Circumstances { counter, kills: before })
    }

    fn ending(exit_code: Option<i32>, signal: Option<&'static str>) -> Ending<'static> {
        Ending { exit_code, signal, text: "" }
    }

    #[test]
    fn a_kill_counts_as_out_of_memory_only_if_the_kernel_counted_one() {
        for (before, now, end, found) in [
            (3, 4, ending(None, Some("SIGKILL")), true),
            (3, 4, ending(Some(137), None), true),
            (3, 3, ending(None, Some("SIGKILL")), false),
            (3, 4, ending(None, Some("SIGTERM")), false),
            (3, 4, ending(Some(1), None), false),
        ] {
            let (_folder, circumstances) = circumstances(before, now, "67108864\n");
            let cause = circumstances.cause(end, &[]);
            let expected = Cause::OutOfMemory { limit_bytes: Some(67_108_864) };
            assert_eq!(cause, found.then_some(expected), "{end:?}");
        }
        let (_folder, circumstances) = circumstances(0, 1, "max\n");
        let cause = circumstances.cause(ending(None, Some("SIGKILL")), &[]).unwrap();
        assert_eq!(cause.to_string(), "out of memory: the kernel killed it");
    }

    #[test]
    fn a_full_disk_is_named_when_it_was_met() {
        let folder = tempfile::tempdir().unwrap();
        let circumstances = Circumstances { counter: None, kills: 0 };
        let said = Ending {
            exit_code: Some(1),
            signal: None,
            text: "dd: error writing 'x': No space left on device",
        };
        let cause = circumstances.cause(said, &[folder.path()]).unwrap();
        assert_eq!(cause.kind(), "disk-full");
        assert!(cause.to_string().contains(&folder.path().display().to_string()));
        assert_eq!(circumstances.cause(ending(Some(1), None), &[folder.path()]), None);
    }

    #[test]
    fn this_machine_counts_somewhere() {
        assert!(Circumstances::now().counter.is_some());
    }
}
