//! One Node.js process: started in its own process group, fed with frames, watched, killed at the end.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::find::Node;
use super::loader;
use crate::bundles;
use crate::engine::LoadRequest;
use crate::frames::ToGuest;
use crate::session::{End, Session};
use crate::source::Sources;

/// How often the child is asked whether its JavaScript still pauses now and then.
const PING_EVERY: Duration = Duration::from_millis(500);
/// How long what the child has written is read on after it has gone.
const DRAIN: Duration = Duration::from_secs(2);
/// How long `stop` waits for the child to be reaped.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How much of its error output is kept to explain a crash.
const LAST_WORDS: usize = 20;

/// A running child. Dropping it kills the process group.
pub(crate) struct Child {
    session: Arc<Session>,
    gone: oneshot::Receiver<()>,
}

type LastWords = Arc<Mutex<VecDeque<String>>>;

impl Child {
    /// Starts Node with the guest; frames flow at once.
    pub(crate) fn spawn(
        node: &Node,
        request: &LoadRequest,
        session: &Arc<Session>,
        outbox: mpsc::UnboundedReceiver<String>,
        sources: Arc<Sources>,
    ) -> io::Result<Self> {
        let (frames_in_child, frames_in) = io::pipe()?;
        let (frames_out, frames_out_child) = io::pipe()?;
        let (answers_child, answers) = io::pipe()?;
        let (questions, questions_child) = io::pipe()?;
        let descriptors: [(OwnedFd, i32); 4] = [
            (frames_in_child.into(), 3),
            (frames_out_child.into(), 4),
            (answers_child.into(), 5),
            (questions_child.into(), 6),
        ];

        let mut command = std::process::Command::new(&node.path);
        command
            .arg("--enable-source-maps")
            .arg("--disable-warning=ExperimentalWarning")
            .arg(format!(
                "--max-old-space-size={}",
                (request.limits.memory / (1024 * 1024)).max(16)
            ))
            .args(["--input-type=module", "--eval", bundles::NODE_MAIN])
            .env_clear()
            .envs(request.env.iter().map(|(key, value)| (key, value)))
            .current_dir(&request.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .fd_mappings(
                descriptors.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).into(),
            )
            .expect("the four descriptors are different");
        let mut command = tokio::process::Command::from(command);
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        drop(command); // it holds the child's ends of the pipes
        loader::serve(sources, Arc::clone(session), questions, answers)?;

        let group = child.id().map(|id| Pid::from_raw(id.cast_signed()));
        let last_words = LastWords::default();
        let stdout = child.stdout.take().expect("piped above");
        let stderr = child.stderr.take().expect("piped above");
        tokio::spawn(feed(outbox, pipe::Sender::from_owned_fd(frames_in.into())?));
        let reader = tokio::spawn(take(
            Arc::clone(session),
            pipe::Receiver::from_owned_fd(frames_out.into())?,
        ));
        tokio::spawn(forward(Arc::clone(session), "stdout", stdout, None));
        let errors = tokio::spawn(forward(
            Arc::clone(session),
            "stderr",
            stderr,
            Some(Arc::clone(&last_words)),
        ));
        tokio::spawn(watch(Arc::clone(session)));

        let (gone_tx, gone) = oneshot::channel();
        let memory = request.limits.memory;
        let supervised = Arc::clone(session);
        tokio::spawn(async move {
            let status = tokio::select! {
                status = child.wait() => status,
                () = supervised.wait_for_end() => {
                    kill(group);
                    child.wait().await
                }
            };
            // What it said before it went counts; and it may have left children in its group.
            kill(group);
            drain(reader).await;
            drain(errors).await;
            supervised.end(explain(status, &last_words, memory));
            let _ = gone_tx.send(()); // nobody may be waiting
        });
        Ok(Self { session: Arc::clone(session), gone })
    }

    /// Waits until the process is reaped, for a bounded time. The session must have been ended.
    pub(crate) async fn stop(mut self) {
        if tokio::time::timeout(STOP_PATIENCE, &mut self.gone).await.is_err() {
            tracing::warn!("the Node process was killed but is not gone after {STOP_PATIENCE:?}");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.session.end(End::Lost("it was dropped".to_owned()));
    }
}

fn kill(group: Option<Pid>) {
    if let Some(group) = group {
        // ESRCH is the normal case: everything in the group has gone already.
        let _ = killpg(group, Signal::SIGKILL);
    }
}

async fn drain(reader: JoinHandle<()>) {
    let abort = reader.abort_handle();
    if tokio::time::timeout(DRAIN, reader).await.is_err() {
        abort.abort(); // a process outside the group holds the pipe
    }
}

/// Host → guest.
async fn feed(mut outbox: mpsc::UnboundedReceiver<String>, mut pipe: pipe::Sender) {
    while let Some(mut line) = outbox.recv().await {
        line.push('\n');
        if pipe.write_all(line.as_bytes()).await.is_err() {
            return; // the child is gone; its supervisor says why
        }
    }
}

/// Guest → host.
async fn take(session: Arc<Session>, pipe: pipe::Receiver) {
    let mut lines = BufReader::with_capacity(64 * 1024, pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        session.on_frame(&line);
    }
}

/// What the process itself prints, outside of the guest's console.
async fn forward(
    session: Arc<Session>,
    level: &'static str,
    mut output: impl AsyncRead + Unpin,
    last_words: Option<LastWords>,
) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = output.read(&mut chunk).await {
        let text = String::from_utf8_lossy(&chunk[..read]);
        session.log(level, &text);
        if let Some(last_words) = &last_words {
            let mut kept = last_words.lock().expect("no code that holds this lock panics");
            kept.extend(text.lines().map(str::to_owned));
            let surplus = kept.len().saturating_sub(LAST_WORDS * 4);
            kept.drain(..surplus);
        }
    }
}

/// Ends the session when JavaScript does not pause for longer than it may.
async fn watch(session: Arc<Session>) {
    let mut pongs = session.pongs();
    for id in 1.. {
        tokio::time::sleep(PING_EVERY).await;
        if session.has_ended() {
            return;
        }
        session.send(&ToGuest::Ping { id });
        let asked = tokio::time::Instant::now();
        loop {
            let allowance = session.allowance();
            let patience = allowance.saturating_sub(asked.elapsed());
            tokio::select! {
                _ = pongs.wait_for(|answered| *answered >= id) => break,
                () = session.wait_for_end() => return,
                () = tokio::time::sleep(patience) => {}
            }
            // A call that has begun meanwhile may have a longer budget.
            if asked.elapsed() >= session.allowance() {
                session.end_runaway(allowance);
                return;
            }
        }
    }
}

fn explain(status: io::Result<ExitStatus>, last_words: &LastWords, memory: usize) -> End {
    let words = last_words.lock().expect("no code that holds this lock panics");
    if words.iter().any(|line| line.contains("heap out of memory")) {
        return End::over_memory(memory);
    }
    let status = match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("an unknown status ({error})"),
    };
    let tail: Vec<&str> = words.iter().rev().take(LAST_WORDS).rev().map(String::as_str).collect();
    let tail = if tail.is_empty() {
        String::new()
    } else {
        format!("; its last words:\n{}", tail.join("\n"))
    };
    End::Lost(format!("the Node process ended with {status}{tail}"))
}
