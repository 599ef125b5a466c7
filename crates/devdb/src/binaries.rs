//! Finds the PostgreSQL programs of this machine.
//!
//! Distributions hide `postgres` and `initdb` from PATH, so the usual install folders are searched
//! too. `download` (a feature) fetches them where this module finds none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::DevDbError;

/// The oldest release that KiCI supports.
const OLDEST_MAJOR: u32 = 15;

/// Folders that hold one folder per release, with the programs at the given place below it.
const INSTALL_PARENTS: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/local/lib/postgresql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// A folder with the programs of one PostgreSQL release.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest usable release on this machine.
    pub fn find() -> Result<Self, DevDbError> {
        all().into_iter().max_by_key(|found| found.major).ok_or(DevDbError::NoBinaries)
    }

    /// The programs of exactly this release, if installed.
    pub(crate) fn of_major(major: u32) -> Option<Self> {
        all().into_iter().find(|found| found.major == major)
    }

    /// Looks at one folder; `None` when it holds no usable server.
    pub(crate) fn in_dir(dir: &Path) -> Option<Self> {
        // PATH may hold links to some of the programs: go where the real ones are.
        let server = dir.join("postgres").canonicalize().ok()?;
        let dir = server.parent()?;
        if !["initdb", "createdb"].iter().all(|program| dir.join(program).is_file()) {
            return None;
        }
        let output = Command::new(&server).arg("--version").output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST_MAJOR).then(|| Self { dir: dir.to_owned(), major })
    }

    /// The path of one program, e.g. `pgbench`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The release, e.g. 15.
    pub fn major(&self) -> u32 {
        self.major
    }
}

/// Every usable release on this machine.
fn all() -> Vec<Binaries> {
    let mut dirs: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    dirs.extend(pg_config_bindir());
    for (parent, below) in INSTALL_PARENTS {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        dirs.extend(entries.flatten().map(|entry| entry.path().join(below)));
    }
    dirs.sort();
    dirs.dedup();
    dirs.iter().filter_map(|dir| Binaries::in_dir(dir)).collect()
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (!text.trim().is_empty()).then(|| PathBuf::from(OsString::from(text.trim())))
}

/// Reads `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`, also `16beta1`.
fn major_of(version_line: &str) -> Option<u32> {
    let rest = version_line.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_release_from_what_postgres_prints() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_of("postgres: command not found"), None);
    }

    #[test]
    fn a_folder_without_a_server_has_no_binaries() {
        let empty = tempfile::tempdir().unwrap();
        assert!(Binaries::in_dir(empty.path()).is_none());
    }
}
