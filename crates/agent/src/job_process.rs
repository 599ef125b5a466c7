//! The job process: what `kici-agent job-process` does. Started and fed by `job::process`.
//!
//! Its standard input brings one spec and then orders, its standard output takes events, both as JSON
//! lines. Before anything else runs, both move to private descriptors that no child inherits: a step that
//! reads standard input or prints must not meet the agent. When the agent is gone, standard input ends,
//! and the job is stopped with everything that it started; a death signal would leave its steps behind.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use kici_exec::spec::{JobEvent, JobOrder, JobResult, JobSpec, JobStatus};
use tokio::sync::{mpsc, oneshot};

use crate::chain::Chain;
use crate::config::{LogFormat, LogLevel};
use crate::logging;

/// Events that wait to be written; more and the job waits.
const EVENTS: usize = 256;
const ORDERS: usize = 64;
/// The agent is gone: for ending the steps.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// Exit code when the agent is gone or makes no sense.
const LOST: i32 = 70;

/// Runs one job for the agent on the other end of the standard streams.
#[must_use]
pub fn job_process() -> ExitCode {
    let (orders, events) = match take_streams() {
        Ok(streams) => streams,
        Err(error) => {
            eprintln!("the job process cannot set up its streams: {error}");
            return ExitCode::FAILURE;
        }
    };
    logging::start_on_stderr(LogLevel::Warn, LogFormat::Plain);
    // Fails only if it is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("the job process cannot start its runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    let result = runtime.block_on(work(orders, events));
    // A blocking call that is stuck must not keep the process.
    runtime.shutdown_background();
    match result {
        Some(result) if result.status == JobStatus::Success => ExitCode::SUCCESS,
        Some(_) | None => ExitCode::FAILURE,
    }
}

/// Moves standard input and output away: 0 becomes `/dev/null`, 1 becomes standard error.
fn take_streams() -> io::Result<(File, File)> {
    // Clones are close-on-exec.
    let orders = io::stdin().as_fd().try_clone_to_owned()?;
    let events = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok((orders.into(), events.into()))
}

async fn work(orders: File, events: File) -> Option<JobResult> {
    let (spec_in, spec) = oneshot::channel();
    let (orders_in, orders_out) = mpsc::channel(ORDERS);
    let (events_in, events_out) = mpsc::channel(EVENTS);
    // Plain threads: they must do their work when the runtime is busy, too.
    thread::spawn(move || listen(BufReader::new(orders), spec_in, &orders_in));
    let writer = thread::spawn(move || speak(BufWriter::new(events), events_out));

    let prepared = kici_exec::prepare().await;
    let spec: JobSpec = spec.await.ok()?;
    let result = kici_exec::run_prepared(prepared, spec, orders_out, events_in).await;
    // Ends after `JobEvent::Ended`, or when the agent is gone.
    let written = tokio::task::spawn_blocking(move || writer.join()).await;
    if !matches!(written, Ok(Ok(Ok(())))) {
        eprintln!("the agent did not take the job's last events");
    }
    Some(result)
}

/// Reads the spec and then orders until the agent is gone.
fn listen(
    mut input: impl BufRead,
    spec: oneshot::Sender<JobSpec>,
    orders: &mpsc::Sender<JobOrder>,
) {
    let mut line = String::new();
    match input.read_line(&mut line) {
        // Never needed: nothing to clean up.
        Ok(0) | Err(_) => std::process::exit(0),
        Ok(_) => {}
    }
    let parsed = match serde_json::from_str(&line) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("the agent sent a job that cannot be read: {}", Chain(&error));
            std::process::exit(LOST);
        }
    };
    if spec.send(parsed).is_err() {
        return;
    }
    loop {
        line.clear();
        match input.read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => match serde_json::from_str(&line) {
                Ok(order) => {
                    if orders.blocking_send(order).is_err() {
                        return; // the job is over
                    }
                }
                Err(error) => eprintln!("ignored an order: {}", Chain(&error)),
            },
        }
    }
    let cancel = JobOrder::Cancel { force: true, reason: "the agent is gone".to_owned() };
    if orders.blocking_send(cancel).is_err() {
        return;
    }
    thread::park_timeout(LAST_BREATH);
    std::process::exit(LOST);
}

/// Writes events; flushes whenever there is nothing more to write at once.
fn speak(mut output: impl Write, mut events: mpsc::Receiver<JobEvent>) -> io::Result<()> {
    let mut waiting = None;
    while let Some(event) = waiting.take().or_else(|| events.blocking_recv()) {
        serde_json::to_writer(&mut output, &event)?;
        output.write_all(b"\n")?;
        if matches!(event, JobEvent::Ended(_)) {
            return output.flush();
        }
        waiting = events.try_recv().ok();
        if waiting.is_none() {
            output.flush()?;
        }
    }
    output.flush()
}
