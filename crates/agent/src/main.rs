//! `kici-agent`: runs jobs for a KiCI orchestrator. Everything is configured by environment variables.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use kici_agent::{Config, Exit, Launcher, logging};

/// Runs jobs for a KiCI orchestrator. Configured by KICI_* environment variables.
#[derive(Parser)]
#[command(name = "kici-agent", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one job for the agent that started this process.
    #[command(hide = true)]
    JobProcess,
}

fn main() -> ExitCode {
    match Args::parse().command {
        Some(Command::JobProcess) => kici_agent::job_process(),
        None => agent(),
    }
}

fn agent() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    logging::start(config.log_level, config.log_format);
    match run(config) {
        Ok(Exit::Clean) => ExitCode::SUCCESS,
        Ok(Exit::CutOff) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the agent waits for sockets and pipes and computes next to nothing.
fn run(config: Config) -> anyhow::Result<Exit> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("the TLS provider is set already"))?;
    kici_agent::become_subreaper();
    let launcher = Launcher::own(config.jobs.node.as_deref())
        .context("cannot find this program's own file")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let signals = kici_agent::listen_for_signals().context("cannot listen for signals")?;
        let prepared = kici_agent::prepare(config, launcher).await?;
        Ok(prepared.run(signals).await)
    })
}
