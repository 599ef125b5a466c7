//! `kici-admin source`: where deliveries may come from.

mod add;
mod install_hook;
pub(crate) mod local_git;
mod show;
mod trigger;
mod update;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use kici_model::ids::SourceId;

use crate::context::Context;
use crate::hook;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add a source.
    #[command(subcommand)]
    Add(add::Add),
    /// List the sources of an organisation.
    List {
        /// The organisation.
        #[arg(long, value_name = "ORG")]
        org: Option<String>,
        /// Also removed ones.
        #[arg(long)]
        include_deleted: bool,
    },
    /// Show one source.
    Get {
        /// Its id.
        id: SourceId,
    },
    /// Change a local source.
    UpdateLocal(update::Local),
    /// Change a generic source.
    UpdateGeneric(update::Generic),
    /// Take deliveries of a source again.
    Enable {
        /// Its id.
        id: SourceId,
    },
    /// Take no more deliveries of a source.
    Disable {
        /// Its id.
        id: SourceId,
    },
    /// Remove a source.
    Remove(Remove),
    /// Send an event of a local source, as its hook does.
    TriggerLocal(trigger::TriggerLocal),
    /// Let a repository of a local source tell the orchestrator of every push, and of every commit made in it.
    InstallHook(install_hook::InstallHook),
    /// What installed hooks call.
    #[command(hide = true)]
    Hook(hook::Hook),
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Its id.
    id: SourceId,
    /// It is a generic source.
    #[arg(long, conflicts_with = "local")]
    generic: bool,
    /// It is a local source.
    #[arg(long)]
    local: bool,
    /// Keep nothing of it.
    #[arg(long)]
    hard: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::Add(add) => add.run(context).await,
        Command::List { org, include_deleted } => show::list(context, org, include_deleted).await,
        Command::Get { id } => show::get(context, id).await,
        Command::UpdateLocal(update) => update.run(context).await,
        Command::UpdateGeneric(update) => update.run(context).await,
        Command::Enable { id } => enable(context, id, true).await,
        Command::Disable { id } => enable(context, id, false).await,
        Command::Remove(remove) => remove.run(context).await,
        Command::TriggerLocal(trigger) => trigger.run(context).await,
        Command::InstallHook(install) => install.run(context).await,
        Command::Hook(hook) => Ok(hook.run(context).await),
    }
}

async fn enable(context: &mut Context, id: SourceId, enabled: bool) -> Result<ExitCode> {
    let done = context.client()?.source_enable(id, enabled).await?;
    if !context.out.json(&done)? {
        let word = if done.enabled { "enabled" } else { "disabled" };
        context.out.line(&format!("Source {word}: {id}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Remove {
    async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let source = client.source_get(self.id).await?.source;
        for (said, kind) in [(self.generic, "generic"), (self.local, "local")] {
            if said && source.provider_type != kind {
                bail!("source {} is a {} source, not a {kind} one", self.id, source.provider_type);
            }
        }
        let question = format!("Remove source {} of {}?", source.name, source.customer_id);
        if !self.yes && !confirmed(&question)? {
            eprintln!("Aborted.");
            return Ok(ExitCode::FAILURE);
        }
        let done = client.source_delete(self.id, self.hard).await?;
        if !context.out.json(&done)? {
            context.out.line(&format!("Source removed: {}", source.routing_key))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks on a terminal; without one the answer is no.
fn confirmed(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
