//! Keeps the lock file in step with the workflows while their author edits them.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

/// The lock file, relative to the repository.
pub(super) const LOCK_FILE: &str = ".kici/kici.lock.json";

/// Compiles, and says so if that changed the lock file; mistakes are told by the compiler itself.
///
/// It runs as a program of its own: a workflow that hangs or eats memory must not take us along.
pub(super) async fn compile(root: &Path) -> Result<()> {
    let lock = root.join(LOCK_FILE);
    let before = std::fs::read(&lock).ok();
    let us = std::env::current_exe().context("could not find out where kici is installed")?;
    let output = tokio::process::Command::new(us)
        .arg("compile")
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("could not run `kici compile`")?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{LOCK_FILE} stays as it was.");
    } else if std::fs::read(&lock).ok() != before {
        println!("Compiled: {LOCK_FILE} is new; commit it with the workflow.");
    }
    Ok(())
}
