//! Child processes that author code waits for (`execSync` and its like) on the embedded engine.
//!
//! The engine's thread waits here, so an ended session has to be noticed: it kills the child.

use std::io::{self, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What to run.
pub(crate) struct Order {
    pub(crate) file: String,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) input: Option<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
}

/// How it went.
pub(crate) struct Finished {
    pub(crate) pid: u32,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<&'static str>,
    pub(crate) timed_out: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs it to its end. `stop` is asked every few milliseconds.
pub(crate) fn run(order: Order, stop: impl Fn() -> bool) -> io::Result<Finished> {
    let mut command = Command::new(&order.file);
    command.args(&order.args).env_clear().envs(order.env);
    command.stdin(if order.input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &order.cwd {
        command.current_dir(cwd);
    }
    let mut child = command.spawn()?;
    let stdout = collect(child.stdout.take().expect("piped above"));
    let stderr = collect(child.stderr.take().expect("piped above"));
    if let Some(input) = order.input {
        let mut stdin = child.stdin.take().expect("piped above");
        // A child that does not read its input closes the pipe; that is its business.
        std::thread::spawn(move || stdin.write_all(&input));
    }

    let (status, timed_out) = wait(&mut child, order.timeout, &stop)?;
    let take = |collected: mpsc::Receiver<Vec<u8>>| loop {
        match collected.recv_timeout(Duration::from_millis(20)) {
            Ok(bytes) => return bytes,
            Err(mpsc::RecvTimeoutError::Timeout) if !stop() => {}
            Err(_) => return Vec::new(),
        }
    };
    Ok(Finished {
        pid: child.id(),
        code: status.code(),
        signal: status
            .signal()
            .and_then(|signal| Signal::try_from(signal).ok())
            .map(Signal::as_str),
        timed_out,
        stdout: take(stdout),
        stderr: take(stderr),
    })
}

fn wait(
    child: &mut Child,
    timeout: Option<Duration>,
    stop: &impl Fn() -> bool,
) -> io::Result<(ExitStatus, bool)> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    let mut timed_out = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, timed_out));
        }
        if stop() {
            child.kill()?;
            return Ok((child.wait()?, timed_out));
        }
        if !timed_out && timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
            timed_out = true;
            kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM)?;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn collect(mut output: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (done, collected) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still output.
        let _ = output.read_to_end(&mut bytes);
        let _ = done.send(bytes);
    });
    collected
}
