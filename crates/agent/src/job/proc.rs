//! Reads `/proc`. Where there is none, nothing is found.

/// What is needed of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    pub(super) group: i32,
    /// Clock ticks from boot to its start.
    pub(super) started: u64,
    /// It has ended and nobody has asked how.
    pub(super) is_dead: bool,
}

/// One process, if it is there.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid pgrp …`; the name may hold spaces and brackets.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The start is field 22 of the whole line, the group is field 5.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Stat { parent, group, started, is_dead: matches!(state, "Z" | "X") })
}

/// Every process.
pub(super) fn all() -> impl Iterator<Item = (i32, Stat)> {
    let folder = std::fs::read_dir("/proc").into_iter().flatten();
    folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
}

/// Whether an entry of a process's environment begins with one of these.
pub(super) fn environment_has(pid: i32, beginnings: &[String]) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment
        .split(|&byte| byte == 0)
        .any(|entry| beginnings.iter().any(|begin| entry.starts_with(begin.as_bytes())))
}

/// Another one after each boot.
pub(super) fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = stat(own).unwrap();
        assert_eq!(found.parent, nix::unistd::getppid().as_raw());
        assert_eq!(found.group, nix::unistd::getpgrp().as_raw());
        assert!(found.started > 0 && !found.is_dead);
        assert!(all().any(|(pid, stat)| pid == own && stat == found));
        assert!(boot_id().is_some());
    }
}
