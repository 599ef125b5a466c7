//! What can go wrong with a private PostgreSQL.

use std::io;
use std::path::PathBuf;

/// Why a private PostgreSQL could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DevDbError {
    /// The machine has no usable binaries.
    #[error(
        "found no PostgreSQL 15 or newer (looked in PATH, `pg_config --bindir` and the usual \
         install folders); install it, for example with `apt-get install postgresql`"
    )]
    NoBinaries,
    /// The folder holds a cluster of a release for which there are no binaries.
    #[error(
        "the database in {folder} was made by PostgreSQL {major}, which is not installed; install \
         it or remove the folder to start afresh"
    )]
    OtherMajor {
        /// Where the cluster lives.
        folder: PathBuf,
        /// The release that made it.
        major: u32,
    },
    /// Another process serves the same folder.
    #[error("another PostgreSQL (process {pid}) already serves {folder}; stop it first")]
    AlreadyRunning {
        /// Where the cluster lives.
        folder: PathBuf,
        /// The other server.
        pid: i32,
    },
    /// Started as root on a machine without an unprivileged user.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` \
         to run it as; create one or start as another user"
    )]
    NoUnprivilegedUser,
    /// A file or folder could not be prepared.
    #[error("could not {doing} {path}")]
    Files {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A PostgreSQL program could not be started at all.
    #[error("could not run {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `initdb` said no.
    #[error("initdb could not make a cluster in {folder}:\n{output}")]
    Init {
        /// Where the cluster should have been.
        folder: PathBuf,
        /// What it printed.
        output: String,
    },
    /// The server ended or did not become ready.
    #[error("PostgreSQL in {folder} did not start ({reason}); its log ends with:\n{log}")]
    Start {
        /// Where the cluster lives.
        folder: PathBuf,
        /// Ended how, or waited how long.
        reason: String,
        /// The last lines of the log.
        log: String,
    },
    /// `createdb` said no.
    #[error("could not create the database {name}:\n{output}")]
    CreateDatabase {
        /// The database.
        name: String,
        /// What it printed.
        output: String,
    },
}

impl DevDbError {
    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn files(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { doing, path, source }
    }
}
