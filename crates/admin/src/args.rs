//! What can be asked of `kici-admin`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use secrecy::SecretString;

use crate::{
    access_log, agent, db, debug_bundle, event_log, org_settings, queue, retention, runs, source,
    token,
};

/// Operate a KiCI orchestrator: sources, agents, tokens, runs and the database.
#[derive(Debug, Parser)]
#[command(
    name = "kici-admin",
    version,
    disable_version_flag = true,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Start with: kici-admin source add local --org <org> --path <folder of a git repository>"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the orchestrator is, with its base path if it has one.
    #[arg(
        short,
        long,
        global = true,
        env = "KICI_ADMIN_URL",
        default_value = "http://localhost:4000",
        value_name = "URL"
    )]
    pub(crate) url: String,
    /// An admin token; better given in the environment, where other users do not see it.
    #[arg(
        short,
        long,
        global = true,
        env = "KICI_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<SecretString>,
    /// Print the answer of the orchestrator as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print the version of this program.
    #[arg(short = 'V', long = "cli-version", alias = "version", action = ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Where deliveries may come from.
    #[command(subcommand)]
    Source(source::Command),
    /// Agents, and the tokens that let them in.
    #[command(subcommand)]
    Agent(agent::Command),
    /// Runs of workflows, their jobs and logs.
    #[command(subcommand)]
    Runs(runs::Command),
    /// Jobs that wait for an agent.
    #[command(subcommand)]
    Queue(queue::Command),
    /// The tokens of operators and their scripts.
    #[command(subcommand)]
    Token(token::Command),
    /// What organisations have set.
    #[command(subcommand)]
    OrgSettings(org_settings::Command),
    /// Who did, or was refused, what.
    #[command(subcommand)]
    AccessLog(access_log::Command),
    /// What is kept for how long, and what is removed.
    #[command(subcommand)]
    Retention(retention::Command),
    /// The database schema.
    #[command(subcommand)]
    Db(db::Command),
    /// Deliveries as they came, and what became of them.
    #[command(subcommand)]
    EventLog(event_log::Command),
    /// Look whether the orchestrator is well. Exit code: 0 healthy, 1 degraded, 2 unhealthy or out of reach.
    Diagnose,
    /// Get the logs, redacted configuration and state of agents as one ZIP.
    DebugBundle(debug_bundle::DebugBundle),
    /// Show what a bundle has in it.
    InspectBundle {
        /// The ZIP.
        path: PathBuf,
    },
}
