//! `kici-admin`, the operator's command line: sources, agents, tokens, runs and the database.
//!
//! `args` says what can be asked, the other files do it, one group of commands each; `output` prints.
//! Data goes to standard output, everything else to standard error. The exit code is 0 for success and
//! 1 for any failure; commands that say more with theirs document it.

mod access_log;
mod agent;
mod args;
mod context;
mod db;
mod debug_bundle;
mod diagnose;
mod event_log;
mod failure;
mod hook;
mod org_settings;
mod output;
mod queue;
mod retention;
mod runs;
mod secret_input;
mod source;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use context::Context;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("Error: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut context = Context::new(cli.global);
    match cli.command {
        Command::Source(command) => source::run(&mut context, command).await,
        Command::Agent(command) => agent::run(&mut context, command).await,
        Command::Runs(command) => runs::run(&mut context, command).await,
        Command::Queue(command) => queue::run(&mut context, command).await,
        Command::Token(command) => token::run(&mut context, command).await,
        Command::OrgSettings(command) => org_settings::run(&mut context, command).await,
        Command::AccessLog(command) => access_log::run(&mut context, command).await,
        Command::Retention(command) => retention::run(&mut context, command).await,
        Command::Db(command) => db::run(&mut context, command).await,
        Command::EventLog(command) => event_log::run(&mut context, command).await,
        Command::DebugBundle(wanted) => debug_bundle::run(&mut context, wanted).await,
        Command::InspectBundle { path } => debug_bundle::inspect(&mut context, &path),
        Command::Diagnose => diagnose::run(&mut context).await,
    }
}
