//! The working directory of an embedded engine, which must not be that of the whole process.
//!
//! On Linux a thread can have its own; file operations and child processes that it starts follow it. On other
//! systems the engine keeps the process's directory, and whoever runs jobs enters the workspace before.

use std::io;
use std::path::Path;

/// Gives the calling thread, and threads that it starts from now on, a working directory of their own.
#[cfg(target_os = "linux")]
pub(crate) fn separate() {
    if let Err(error) = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS) {
        tracing::warn!(
            "the embedded engine shares the process's working directory: unshare failed ({error})"
        );
    } else {
        SEPARATE.set(true);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn separate() {}

thread_local! {
    /// Whether this thread may change its directory without changing it for others.
    static SEPARATE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Changes the directory of the calling thread, where it has one of its own.
pub(crate) fn enter(dir: &Path) -> io::Result<()> {
    if SEPARATE.get() {
        std::env::set_current_dir(dir)
    } else if std::env::current_dir().is_ok_and(|current| current == dir) {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the embedded engine cannot change directory on this system",
        ))
    }
}
