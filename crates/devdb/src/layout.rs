//! Decides where a cluster keeps its files and prepares those folders.
//!
//! Two limits of the world are handled here: a socket path has at most 107 bytes, and the user that
//! runs the server for a root caller may be unable to enter the caller's folder (`/root/…`).

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::error::DevDbError;
use crate::identity::Identity;

/// The number in the name of the socket; nothing listens on a TCP port.
pub(crate) const SOCKET_NUMBER: u16 = 5432;

/// The longest socket folder: 107 bytes less `/.s.PGSQL.5432` and the `.lock` beside it.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432.lock".len();

/// Where the clusters of closed folders live.
const STAND_INS: &str = "/var/tmp/kici-devdb";

/// The places of one cluster.
#[derive(Debug)]
pub(crate) struct Layout {
    /// What the caller named, or its stand-in.
    pub(crate) folder: PathBuf,
    /// The cluster itself.
    pub(crate) data: PathBuf,
    /// What the server prints.
    pub(crate) log: PathBuf,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    InFolder(PathBuf),
    Temporary(TempDir),
}

impl Layout {
    /// Creates what is missing, owned by the user that will run the server.
    pub(crate) fn prepare(folder: &Path, identity: Identity) -> Result<Self, DevDbError> {
        let folder = reachable(folder, identity)?;

        let data = folder.join("data");
        private_dir(&data, identity)?;
        let socket_dir = folder.join("socket");
        let socket = if socket_dir.as_os_str().len() <= LONGEST_SOCKET_DIR {
            private_dir(&socket_dir, identity)?;
            Socket::InFolder(socket_dir)
        } else {
            let dir = tempfile::Builder::new()
                .prefix("kici-pg-")
                .tempdir()
                .map_err(DevDbError::files("create a socket folder in", std::env::temp_dir()))?;
            private_dir(dir.path(), identity)?;
            Socket::Temporary(dir)
        };
        Ok(Self { data, log: folder.join("postgres.log"), folder, socket })
    }

    pub(crate) fn socket_dir(&self) -> &Path {
        match &self.socket {
            Socket::InFolder(dir) => dir,
            Socket::Temporary(dir) => dir.path(),
        }
    }

    /// Opens the log, emptied.
    pub(crate) fn open_log(&self) -> Result<File, DevDbError> {
        File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(DevDbError::files("open", &self.log))
    }

    /// Removes everything that [`Layout::prepare`] made.
    ///
    /// What cannot be removed is left to whoever uses the place next.
    pub(crate) fn remove(&self) {
        let _left = std::fs::remove_dir_all(&self.folder);
        if let Some(parent) = self.folder.parent().filter(|parent| *parent == Path::new(STAND_INS))
        {
            let _used_by_others = std::fs::remove_dir(parent);
        }
    }

    /// The last lines of the log, for error messages.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_else(|e| format!("(no log: {e})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// Creates `folder`, or its stand-in if the server's user could not get there.
pub(crate) fn reachable(folder: &Path, identity: Identity) -> Result<PathBuf, DevDbError> {
    let folder =
        std::path::absolute(folder).map_err(DevDbError::files("resolve the folder", folder))?;
    let folder = if identity.reaches(&folder) { folder } else { stand_in(&folder)? };
    open_dirs(&folder)?;
    Ok(folder)
}

/// A folder below /var/tmp for a root caller whose own folder is closed to other users.
///
/// Its name is made from the caller's folder, so that a kept cluster is found again.
fn stand_in(folder: &Path) -> Result<PathBuf, DevDbError> {
    let name = hex::encode(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8]);
    let parent = PathBuf::from(STAND_INS);
    open_dirs(&parent)?;
    // Anybody may create entries in /var/tmp: a folder that is not ours could be a trap.
    let meta = parent.symlink_metadata().map_err(DevDbError::files("look at", &parent))?;
    if !meta.is_dir() || meta.uid() != geteuid().as_raw() {
        let refused = std::io::Error::other("it belongs to another user");
        return Err(DevDbError::files("use", &parent)(refused));
    }
    Ok(parent.join(name))
}

/// Creates a folder and its parents so that the server's user can pass through them.
fn open_dirs(folder: &Path) -> Result<(), DevDbError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(DevDbError::files("create", folder))
}

fn private_dir(dir: &Path, identity: Identity) -> Result<(), DevDbError> {
    open_dirs(dir)?;
    identity.own(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
        .map_err(DevDbError::files("restrict", dir))
}
