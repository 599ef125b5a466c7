//! `cargo xtask sim-agents`: many simulated agents in one process, over real sockets.
//!
//! Each one authenticates, registers, sends its heartbeats, and answers a job: acknowledged, running, succeeded, at
//! once or after `--job-ms`. Nothing is executed. The process tells on standard output, one JSON object a line, how many are
//! registered and how many jobs have ended; it ends with its standard input.

mod agent;

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::sync::Semaphore;

/// Agents that connect and register at the same time.
const AT_ONCE: usize = 64;

/// How often the process tells how far it is.
const TELL: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The orchestrators' agent addresses (`ws://host:port/ws`); the agents take turns.
    #[arg(long, required = true)]
    url: Vec<String>,
    /// The token that all of them show; none where none is asked for.
    #[arg(long)]
    token: Option<String>,
    /// How many.
    #[arg(long)]
    count: usize,
    /// Labels that each offers, separated by commas.
    #[arg(long, default_value = "sim")]
    labels: String,
    /// What their ids begin with.
    #[arg(long, default_value = "sim")]
    prefix: String,
    /// How long each job takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    job_ms: u64,
}

/// What all agents have counted.
#[derive(Debug, Default)]
struct Counts {
    registered: AtomicUsize,
    /// Connections that ended and were made again.
    lost: AtomicU64,
    jobs: AtomicU64,
}

/// `cargo xtask sim-agents`.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    raise_open_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(simulate(arguments))?;
    // The agents are not worth a goodbye each.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn simulate(arguments: Arguments) -> Result<()> {
    let counts = Arc::new(Counts::default());
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let labels: Arc<[String]> = arguments.labels.split(',').map(str::to_owned).collect();
    let started = Instant::now();
    for number in 0..arguments.count {
        let agent = agent::Agent {
            url: arguments.url[number % arguments.url.len()].clone(),
            token: arguments.token.clone(),
            id: format!("{}-{number:05}", arguments.prefix),
            labels: Arc::clone(&labels),
            gate: Arc::clone(&gate),
            counts: Arc::clone(&counts),
            length: Duration::from_millis(arguments.job_ms),
        };
        tokio::spawn(agent.run());
    }
    let end = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
    });
    tokio::pin!(end);
    let mut tell = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            _ = &mut end => return Ok(()),
            _ = tell.tick() => println!("{}", json!({
                "registered": counts.registered.load(Ordering::Relaxed),
                "jobs": counts.jobs.load(Ordering::Relaxed),
                "lost": counts.lost.load(Ordering::Relaxed),
                "elapsedMs": started.elapsed().as_millis() as u64,
            })),
        }
    }
}

/// Lets this process and those that it starts have as many open files as the system allows.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("could not read the file limit")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("could not raise the file limit")
}
