//! The job process: this program once more, in its own process group, with a clean environment.
//!
//! The agent writes one spec line and then orders; the process writes one event per line. Its standard
//! error is kept as a tail for the case that it dies without a result.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use kici_exec::spec::{JobEvent, JobOrder, JobSpec};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::orphans;

/// Host variables that a job process gets; `exec` makes the environment of steps from them.
const ALLOWED: [&str; 10] =
    ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "NODE_PATH", "TZ"];
/// One event; outputs of a step are the largest.
const LONGEST_LINE: usize = 64 * 1024 * 1024;
const TAIL: usize = 8 * 1024;
/// For the last of it, once the process is gone.
const TAIL_PATIENCE: Duration = Duration::from_millis(500);
/// An order is small; a process that does not take it is stuck.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);

/// How to start job processes.
#[derive(Debug, Clone)]
pub struct Launcher {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

/// Something is wrong with a job process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("cannot start the job process {program:?}")]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It does not take its input.
    #[error("cannot write to the job process")]
    Write(#[source] io::Error),
    /// It does not take its input.
    #[error("the job process took no input for {ORDER_TIMEOUT:?}")]
    Stuck,
    /// It says something that is no event.
    #[error("the job process wrote a line that is no event")]
    Garbled(#[source] serde_json::Error),
    /// It says too much at once, or its output broke.
    #[error("cannot read from the job process")]
    Read(#[source] LinesCodecError),
}

impl Launcher {
    /// Starts this program with the hidden subcommand `job-process`.
    ///
    /// # Errors
    /// The path of this program cannot be found out.
    pub fn own(node: Option<&str>) -> io::Result<Self> {
        // On Linux the running file itself, also when an upgrade has replaced it on disk.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self::new(program, [OsString::from("job-process")], node))
    }

    /// Starts another program that speaks the same lines.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = OsString>,
        node: Option<&str>,
    ) -> Self {
        let host =
            ALLOWED.iter().filter_map(|&name| Some((name.to_owned(), std::env::var(name).ok()?)));
        let node = node.map(|path| ("KICI_NODE".to_owned(), path.to_owned()));
        Self {
            program: program.into(),
            args: args.into_iter().collect(),
            env: host.chain(node).collect(),
        }
    }

    /// What a job process gets from the host.
    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// Starts one. Does not wait for it to be ready.
    pub(crate) fn start(&self) -> Result<JobProcess, ProcessError> {
        let failed = |source| ProcessError::Start { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command
            .arg0("kici-agent")
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .expect("a child that was not waited for has an id");
        orphans::know(pid);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = child.stderr.take().expect("standard error is piped");
        let tail_task = tokio::spawn(keep_tail(stderr, Arc::clone(&tail)));
        let codec = LinesCodec::new_with_max_length(LONGEST_LINE);
        Ok(JobProcess {
            orders: child.stdin.take().expect("standard input is piped"),
            events: FramedRead::new(child.stdout.take().expect("standard output is piped"), codec),
            child,
            group: Pid::from_raw(pid),
            tail,
            tail_task,
        })
    }
}

/// A running job process. Dropping it kills its process group.
#[derive(Debug)]
pub(crate) struct JobProcess {
    child: Child,
    group: Pid,
    orders: ChildStdin,
    events: FramedRead<ChildStdout, LinesCodec>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    tail_task: JoinHandle<()>,
}

impl JobProcess {
    /// Tells it which job to run.
    pub(crate) async fn begin(&mut self, spec: &JobSpec) -> Result<(), ProcessError> {
        let line = serde_json::to_vec(spec).expect("a spec has string keys");
        self.write(line).await
    }

    /// Gives it an order.
    pub(crate) async fn order(&mut self, order: &JobOrder) -> Result<(), ProcessError> {
        let line = serde_json::to_vec(order).expect("an order has string keys");
        self.write(line).await
    }

    async fn write(&mut self, mut line: Vec<u8>) -> Result<(), ProcessError> {
        line.push(b'\n');
        match timeout(ORDER_TIMEOUT, self.orders.write_all(&line)).await {
            Ok(written) => written.map_err(ProcessError::Write),
            Err(_) => Err(ProcessError::Stuck),
        }
    }

    /// The next event; `None` when it will say no more.
    pub(crate) async fn event(&mut self) -> Option<Result<JobEvent, ProcessError>> {
        let line = match self.events.next().await? {
            Ok(line) => line,
            Err(error) => return Some(Err(ProcessError::Read(error))),
        };
        Some(serde_json::from_str(&line).map_err(ProcessError::Garbled))
    }

    /// Kills it and everything in its process group.
    pub(crate) fn kill(&self) {
        // Gone already is as good.
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    /// Waits until it is gone, kills it after `patience`.
    pub(crate) async fn finish(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        if let Ok(status) = timeout(patience, self.child.wait()).await {
            // Whatever it started in its own group must not outlive it.
            self.kill();
            return status;
        }
        self.kill();
        self.child.wait().await
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.group.as_raw()
    }

    /// The last lines of its standard error.
    pub(crate) async fn stderr_tail(&mut self) -> String {
        // A process that got away may keep the pipe open.
        let _ = timeout(TAIL_PATIENCE, &mut self.tail_task).await;
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(tail.make_contiguous()).trim().to_owned()
    }
}

impl Drop for JobProcess {
    fn drop(&mut self) {
        // Once waited for, the number may belong to somebody else.
        if self.child.id().is_some() {
            self.kill();
        }
        self.tail_task.abort();
        orphans::forget(self.group.as_raw());
    }
}

async fn keep_tail(mut stderr: ChildStderr, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = [0; 2048];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&buffer[..count]);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
    }
}
