//! `kici dev`: a whole installation for one repository, in one command.
//!
//! PostgreSQL, an orchestrator and an agent run as children of this process (`services`); the
//! repository is registered as local source (`setup`). Commits are seen by watching branches
//! (`watch`, `commits`), delivered like a push, and their runs shown as they happen (`follow`).
//! Nothing is installed into the repository: all data lives in `.git/kici-dev` (`folder`).

mod commits;
mod compile;
mod drive;
mod folder;
mod follow;
mod ready;
mod services;
mod setup;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::project::Project;
use folder::Folder;

/// How long the programs may take to end before `kici dev` gives up on them.
const STOP_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port of the orchestrator; another one is taken when it is in use.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Run the workflows of the commit that is checked out, without waiting for a new one.
    #[arg(long)]
    now: bool,
}

/// Runs until Ctrl-C.
pub(crate) async fn dev(directory: &Path, args: Args) -> Result<ExitCode> {
    let project = Project::find(directory)?;
    let folder = Folder::of_repository(&project.root)?;
    let _lock = folder.lock()?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;

    let mut running = setup::Running::default();
    let outcome = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        outcome = drive::run(&project.root, &folder, &args, &mut running) => outcome,
    };
    eprintln!("Stopping …");
    running.say_goodbye().await;
    // Ending the programs blocks; a second Ctrl-C ends us, and the kernel then ends them.
    let stopped = tokio::task::spawn_blocking(move || drop(running));
    tokio::select! {
        _ = interrupt.recv() => {}
        stopped = tokio::time::timeout(STOP_LIMIT, stopped) => {
            stopped.context("the programs did not end")??;
        }
    }
    outcome.map(|()| ExitCode::SUCCESS)
}
