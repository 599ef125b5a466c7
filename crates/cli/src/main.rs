//! `kici`, the workflow author's command line: start, compile, run.

mod compile;
mod dev;
mod init;
mod project;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Write, check and run KiCI workflows.
#[derive(Debug, Parser)]
#[command(name = "kici", version, arg_required_else_help = true, subcommand_required = true)]
struct Cli {
    /// Work in this folder instead of the current one.
    #[arg(
        short = 'C',
        long = "directory",
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    directory: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a repository: a sample workflow, editor types, settings.
    Init,
    /// Check the workflows and write `.kici/kici.lock.json`.
    Compile(compile::Args),
    /// Run workflows.
    #[command(subcommand)]
    Run(RunCommand),
    /// Run an orchestrator and an agent here: every commit runs its workflows.
    Dev(dev::Args),
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    /// Run a workflow on this machine, without a server.
    Local(run::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Init => init::init(&cli.directory).map(|()| ExitCode::SUCCESS),
            Command::Compile(args) => compile::compile(&cli.directory, args).await,
            Command::Run(RunCommand::Local(args)) => run::local(&cli.directory, args).await,
            Command::Dev(args) => dev::dev(&cli.directory, args).await,
        }
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
