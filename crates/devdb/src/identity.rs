//! Chooses the user that the server runs as.
//!
//! PostgreSQL refuses root. A root caller's cluster therefore belongs to `postgres`, or to `nobody`
//! where that user is missing; everybody else's cluster runs as its caller.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User, chown, geteuid};

use crate::error::DevDbError;

/// The user that the server runs as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Identity {
    /// The caller itself.
    Caller,
    /// Another user, because the caller is root.
    Other { uid: Uid, gid: Gid },
}

impl Identity {
    pub(crate) fn choose() -> Result<Self, DevDbError> {
        if !geteuid().is_root() {
            return Ok(Self::Caller);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self::Other { uid: user.uid, gid: user.gid })
            .ok_or(DevDbError::NoUnprivilegedUser)
    }

    /// Hands a file or folder to this user.
    pub(crate) fn own(self, path: &Path) -> Result<(), DevDbError> {
        match self {
            Self::Caller => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid))
                .map_err(|errno| DevDbError::files("change the owner of", path)(errno.into())),
        }
    }

    /// Makes a command run as this user (without supplementary groups when it is another one).
    pub(crate) fn apply(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
    }

    /// Whether this user may pass through `folder` and everything above it.
    pub(crate) fn reaches(self, folder: &Path) -> bool {
        let Self::Other { uid, gid } = self else { return true };
        folder.ancestors().all(|dir| match dir.metadata() {
            Ok(meta) if meta.uid() == uid.as_raw() => meta.mode() & 0o100 != 0,
            Ok(meta) if meta.gid() == gid.as_raw() => meta.mode() & 0o010 != 0,
            Ok(meta) => meta.mode() & 0o001 != 0,
            // What does not exist yet will be created by us, open to pass through.
            Err(_) => true,
        })
    }
}
