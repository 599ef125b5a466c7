//! `kici-orchestrator`: reads the environment, starts the orchestrator and stops it on SIGTERM or SIGINT.

use std::process::ExitCode;

use kici_orchestrator::{Config, Start, logging};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};

fn main() -> ExitCode {
    // Two providers are in the dependency tree; without a choice the first TLS connection would panic.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kici-orchestrator: a TLS provider was installed twice");
        return ExitCode::FAILURE;
    }
    if std::env::args().skip(1).any(|arg| arg == "--version" || arg == "-V") {
        println!("kici-orchestrator {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let (config, warnings) = match Config::from_env() {
        Ok(read) => read,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    logging::start(&config.log);
    for warning in warnings {
        warn!("{warning}");
    }
    // Sockets and statements wait far more than they compute; a thread for each of many cores would only cost memory.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(64)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(config)),
        Err(error) => {
            error!(%error, "could not start the runtime");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> ExitCode {
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                error!(%error, "could not listen for signals");
                return ExitCode::FAILURE;
            }
        };
    let server = tokio::select! {
        started = Start { config }.run() => match started {
            Ok(server) => server,
            Err(error) => {
                error!("{}", logging::Chain(&error));
                return ExitCode::FAILURE;
            }
        },
        _ = terminate.recv() => return ExitCode::SUCCESS,
        _ = interrupt.recv() => return ExitCode::SUCCESS,
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    ExitCode::SUCCESS
}
