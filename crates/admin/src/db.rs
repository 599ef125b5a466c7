//! `kici-admin db`: the schema, through the orchestrator or directly.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use kici_protocol::http::db::{Migrated, MigrationList, MigrationState, MigrationView};
use kici_protocol::http::time::Timestamp;
use kici_store::{Connect, Store};
use secrecy::{ExposeSecret as _, SecretString};

use crate::context::Context;
use crate::output::moment;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Apply what is missing in the schema.
    ///
    /// With a database address this needs no running orchestrator and no token: run it before the first
    /// start when KICI_AUTO_MIGRATE=false.
    Migrate(Migrate),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only show what is applied and what is missing.
    #[arg(long)]
    status: bool,
    /// The database itself, instead of asking the orchestrator.
    #[arg(long, value_name = "URL", env = "KICI_DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    let Command::Migrate(wanted) = command;
    match (&wanted.database_url, wanted.status) {
        (Some(url), status) => {
            if std::env::args_os().all(|arg| !arg.to_string_lossy().starts_with("--database-url")) {
                eprintln!("Using the database in KICI_DATABASE_URL directly.");
            }
            let how = Connect {
                max_connections: 2,
                application: "kici-admin".into(),
                ..Connect::default()
            };
            let store = Store::connect(url.expose_secret(), how).await?;
            let done = direct(context, &store, status).await;
            store.close().await;
            done
        }
        (None, true) => {
            let list = context.client()?.db_migrate_status().await?;
            show_status(context, &list)
        }
        (None, false) => {
            let done = context.client()?.db_migrate().await?;
            show_migrated(context, &done)
        }
    }
}

async fn direct(context: &mut Context, store: &Store, status: bool) -> Result<ExitCode> {
    let state = store.migrations().await?;
    let name = |number: i64, name: &str| format!("{number:04}_{name}");
    if status {
        let applied = state.applied.iter().map(|(number, title, at)| MigrationView {
            name: name(*number, title),
            status: MigrationState::Applied,
            applied_at: Some(Timestamp::from_unix_micros(at.micros())),
        });
        let pending = state.pending.iter().map(|(number, title)| MigrationView {
            name: name(*number, title),
            status: MigrationState::Pending,
            applied_at: None,
        });
        return show_status(
            context,
            &MigrationList { migrations: applied.chain(pending).collect() },
        );
    }
    store.migrate().await?;
    let migrations: Vec<String> =
        state.pending.iter().map(|(number, title)| name(*number, title)).collect();
    show_migrated(context, &Migrated { applied: migrations.len(), migrations })
}

fn show_status(context: &mut Context, list: &MigrationList) -> Result<ExitCode> {
    let out = &mut context.out;
    if out.json(list)? {
        return Ok(ExitCode::SUCCESS);
    }
    for migration in &list.migrations {
        let (mark, at) = match (migration.status, migration.applied_at) {
            (MigrationState::Applied, Some(at)) => ("OK     ", moment(at)),
            (MigrationState::Applied, None) => ("OK     ", String::new()),
            (MigrationState::Pending, _) => ("PENDING", String::new()),
        };
        out.line(format!("  {mark}  {}  {at}", migration.name).trim_end())?;
    }
    if list.migrations.iter().all(|migration| migration.status == MigrationState::Applied) {
        out.line("Database schema is up to date.")?;
    } else {
        out.line("Run: kici-admin db migrate")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show_migrated(context: &mut Context, done: &Migrated) -> Result<ExitCode> {
    let out = &mut context.out;
    if out.json(done)? {
        return Ok(ExitCode::SUCCESS);
    }
    for name in &done.migrations {
        out.line(&format!("  applied  {name}"))?;
    }
    match done.applied {
        0 => out.line("Database schema is up to date.")?,
        count => out.line(&format!("Applied {count} migration(s)."))?,
    }
    Ok(ExitCode::SUCCESS)
}
