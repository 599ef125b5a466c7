//! Where `kici dev` keeps its things: inside `.git`, which is never committed or cleaned.
//!
//! The database, logs and caches stay from one start to the next; so do the keys, without which the
//! database could not be read.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use super::commits;

/// The folder of one repository.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder of the repository at `root`, created if it is missing.
    pub(super) fn of_repository(root: &Path) -> Result<Self> {
        // The common folder, so that all work trees of a repository share one database.
        let git = commits::git(root, &["rev-parse", "--path-format=absolute", "--git-common-dir"])
            .with_context(|| {
                format!(
                    "{} is no git repository; `kici dev` runs workflows on commits, so start with \
                     `git init`",
                    root.display()
                )
            })?;
        let path = PathBuf::from(git).join("kici-dev");
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)
            .with_context(|| format!("could not create {}", path.display()))?;
        Ok(Self { path })
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Refuses a second `kici dev` of the same repository; the lock lasts as long as the file.
    pub(super) fn lock(&self) -> Result<File> {
        let path = self.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("could not open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                bail!("`kici dev` is already running in this repository")
            }
            Err(std::fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("could not lock {}", path.display()))
            }
        }
    }

    /// A random key of 32 bytes in hexadecimal digits, made once and readable for its owner only.
    pub(super) fn key(&self, name: &str) -> Result<String> {
        let path = self.join(name);
        let made = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(made.as_bytes())
                    .with_context(|| format!("could not write {}", path.display()))?;
                Ok(made)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let key = std::fs::read_to_string(&path)
                    .with_context(|| format!("could not read {}", path.display()))?;
                if key.len() != made.len() {
                    bail!(
                        "{} is damaged; remove the folder {} to start afresh",
                        path.display(),
                        self.path.display()
                    );
                }
                Ok(key)
            }
            Err(error) => {
                Err(error).with_context(|| format!("could not create {}", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_and_differ() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder { path: dir.path().to_owned() };
        let first = folder.key("a").unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(folder.key("a").unwrap(), first);
        assert_ne!(folder.key("b").unwrap(), first);
        std::fs::write(folder.join("a"), "cut off").unwrap();
        assert!(folder.key("a").unwrap_err().to_string().contains("is damaged"));
    }

    #[test]
    fn a_second_start_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder { path: dir.path().to_owned() };
        let first = folder.lock().unwrap();
        assert!(folder.lock().unwrap_err().to_string().contains("already running"));
        drop(first);
        folder.lock().unwrap();
    }
}
