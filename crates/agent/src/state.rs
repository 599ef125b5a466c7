//! The folder in which an agent keeps what has to survive it: its id, and what it has not told yet.
//!
//! One agent uses it at a time, which a lock on a file in it makes sure of. It is
//! `<data folder>/agents/<agent id>`, or `…/default` for an agent that was given no id.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::facts;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct State {
    /// `None` if nothing can be kept there.
    folder: Option<PathBuf>,
    agent_id: String,
    /// Held for as long as this process lives.
    _lock: Option<File>,
}

/// The folder belongs to somebody else.
#[derive(Debug, thiserror::Error)]
#[error(
    "another kici-agent{owner} uses {}; give this one its own KICI_AGENT_ID, or its own KICI_DATA_DIR",
    folder.display()
)]
pub struct StateTaken {
    /// The folder.
    pub folder: PathBuf,
    owner: String,
}

impl State {
    /// Takes the folder. What cannot be written only costs what it is for, and is said in the log.
    pub(crate) fn open(data: &Path, configured: Option<&str>) -> Result<Self, StateTaken> {
        let folder = data.join("agents").join(configured.map_or("default".to_owned(), file_name));
        let opened = std::fs::create_dir_all(&folder).and_then(|()| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(folder.join("lock"))
        });
        let made_up = || configured.map_or_else(made_up_id, str::to_owned);
        let lock = match opened {
            Ok(lock) => lock,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "nothing can be kept in {} (KICI_DATA_DIR): what a crash of this agent interrupts \
                     cannot be told afterwards",
                    folder.display()
                );
                return Ok(Self { folder: None, agent_id: made_up(), _lock: None });
            }
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(folder, lock)),
            // A file system without locks.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "cannot lock {}", folder.display());
            }
        }
        // Only for the message of the next one.
        let _ = lock
            .set_len(0)
            .and_then(|()| (&lock).write_all(std::process::id().to_string().as_bytes()));
        let agent_id = match configured {
            Some(id) => id.to_owned(),
            None => kept_id(&folder.join("agent-id")),
        };
        Ok(Self { folder: Some(folder), agent_id, _lock: Some(lock) })
    }

    /// The agent's id.
    pub(crate) fn agent_id(&self) -> &str {
        &self.agent_id
    }

    /// Where the outbox goes, if anywhere.
    pub(crate) fn outbox(&self) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?.join("outbox");
        match std::fs::create_dir_all(&folder) {
            Ok(()) => Some(folder),
            Err(error) => {
                tracing::warn!(%error, "cannot make {}", folder.display());
                None
            }
        }
    }
}

fn taken(folder: PathBuf, mut lock: File) -> StateTaken {
    let mut pid = String::new();
    // Without the number the message is still right.
    let _ = lock.read_to_string(&mut pid);
    let owner = if pid.is_empty() { String::new() } else { format!(" (process {pid})") };
    StateTaken { folder, owner }
}

/// The id that was made up at the first start; another one on another host, because folders get cloned.
fn kept_id(path: &Path) -> String {
    let host = format!("{}-", facts::hostname());
    match std::fs::read_to_string(path) {
        Ok(id) if id.starts_with(&host) && id.len() > host.len() => return id.trim().to_owned(),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "cannot read {}", path.display()),
    }
    let id = made_up_id();
    if let Err(error) = std::fs::write(path, &id) {
        tracing::warn!(%error, "cannot keep this agent's id in {}", path.display());
    }
    id
}

fn made_up_id() -> String {
    format!("{}-{:08x}", facts::hostname(), rand::random::<u32>())
}

/// An id as the name of a folder; different ids give different names.
fn file_name(id: &str) -> String {
    let mut name = String::from("id-");
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => name.push(byte.into()),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_up_once() {
        let data = tempfile::tempdir().unwrap();
        let first = State::open(data.path(), None).unwrap().agent_id().to_owned();
        assert!(first.starts_with(&facts::hostname()));
        assert_eq!(State::open(data.path(), None).unwrap().agent_id(), first);
        let path = data.path().join("agents/default/agent-id");
        std::fs::write(path, "another-host-12345678").unwrap();
        let moved = State::open(data.path(), None).unwrap().agent_id().to_owned();
        assert!(moved.starts_with(&facts::hostname()) && moved != first);
    }

    #[test]
    fn two_agents_do_not_share_a_folder() {
        let data = tempfile::tempdir().unwrap();
        let _one = State::open(data.path(), Some("a/1")).unwrap();
        let other = State::open(data.path(), Some("a_2f1")).unwrap();
        assert_eq!(other.agent_id(), "a_2f1");
        let error = State::open(data.path(), Some("a/1")).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        assert!(error.contains("KICI_AGENT_ID"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_done_without() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("file");
        std::fs::write(&file, "").unwrap();
        let state = State::open(&file, Some("a")).unwrap();
        assert_eq!((state.agent_id(), state.outbox()), ("a", None));
    }
}
