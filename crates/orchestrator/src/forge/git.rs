//! Asks a repository on this machine, through the system's git.
//!
//! Plumbing commands only: they read no user settings and run no programs that a repository's
//! configuration names. Every call has a deadline and a limit of output.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::ForgeError;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much of an error text is kept.
const ERROR_TEXT: u64 = 4096;

/// What a call gave.
pub(super) struct Output {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    /// There was more output than asked for; it was left out.
    pub(super) cut: bool,
    pub(super) stderr: String,
}

impl Output {
    /// The output of a successful call as one trimmed line.
    pub(super) fn line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.stdout).trim().to_owned();
        (self.success && !text.is_empty()).then_some(text)
    }
}

/// Runs git in `repository`. An exit code other than 0 is an answer, not an error.
pub(super) async fn run(
    repository: &Path,
    args: &[&str],
    stdin: &[u8],
    most: usize,
) -> Result<Output, ForgeError> {
    let call = call(repository, args, stdin, most);
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ForgeError::Retry(format!(
                "could not run git in {}: install git on the orchestrator's machine",
                repository.display()
            )))
        }
        Ok(Err(error)) => Err(ForgeError::Retry(format!(
            "could not run git {} in {}: {error}",
            args.join(" "),
            repository.display()
        ))),
        Err(_) => Err(ForgeError::Retry(format!(
            "git {} in {} took longer than {} s",
            args.join(" "),
            repository.display(),
            DEADLINE.as_secs()
        ))),
    }
}

async fn call(
    repository: &Path,
    args: &[&str],
    stdin: &[u8],
    most: usize,
) -> std::io::Result<Output> {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(args);
    // A hook's environment would point git at another repository.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        // The operator named this path; the repository may belong to another user.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().expect("stdin is piped");
    let mut output = child.stdout.take().expect("stdout is piped");
    let mut errors = child.stderr.take().expect("stderr is piped");
    let mut stdout = Vec::new();
    let mut stderr = Vec::new();
    let write = async {
        // git may end before it has read everything; its exit code tells more than a broken pipe.
        let _ = input.write_all(stdin).await;
        drop(input);
    };
    let read = async {
        (&mut output).take(most as u64 + 1).read_to_end(&mut stdout).await?;
        // Closing the pipe ends a git that still writes.
        drop(output);
        Ok::<_, std::io::Error>(())
    };
    let read_errors = async {
        (&mut errors).take(ERROR_TEXT).read_to_end(&mut stderr).await?;
        tokio::io::copy(&mut errors, &mut tokio::io::sink()).await
    };
    let ((), read, read_errors) = tokio::join!(write, read, read_errors);
    read?;
    read_errors?;
    let status = child.wait().await?;
    let cut = stdout.len() > most;
    stdout.truncate(most);
    Ok(Output {
        success: status.success(),
        stdout,
        cut,
        stderr: String::from_utf8_lossy(&stderr).trim().to_owned(),
    })
}
