//! A program under test, with its output at hand.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kici_devdb::Companion;
use nix::sys::signal::Signal;

/// A running program. Dropping it ends the program and its process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    companion: Companion,
    output: Arc<Output>,
}

/// Lines of both streams in the order in which they came.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    more: Condvar,
    streams_at_end: AtomicUsize,
}

impl Process {
    /// Starts a program and collects what it prints.
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut companion = Companion::spawn(command)
            .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
        let output = Arc::new(Output::default());
        for stream in [
            companion.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>),
            companion.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>),
        ] {
            output.clone().collect(stream.expect("both streams are piped"));
        }
        Self { name, companion, output }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.companion.pid()
    }

    /// Sends a signal to the program.
    pub fn signal(&mut self, signal: Signal) {
        self.companion.signal(signal);
    }

    /// Kills the program at once, as a crash would.
    pub fn kill(&mut self) {
        self.companion.signal(Signal::SIGKILL);
        self.wait(Duration::from_secs(10));
    }

    /// Waits for its end; panics with its output when it has not ended within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.companion.wait(limit).unwrap_or_else(|| {
            panic!("{} still runs after {limit:?}; it printed:\n{}", self.name, self.printed())
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.companion.wait(Duration::ZERO).is_none()
    }

    /// Waits for a line that contains `text` and gives it; panics with the output so far when none
    /// comes within `limit` or the program ends without it.
    pub fn wait_for_line(&mut self, text: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            // Look at the end before the lines: what it printed last must be seen.
            let ended =
                !self.is_running() && self.output.streams_at_end.load(Ordering::Acquire) == 2;
            let lines = self.output.lines();
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let printed = lines.join("\n");
            assert!(
                !ended,
                "{} ended without printing {text:?}; it printed:\n{printed}",
                self.name
            );
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} did not print {text:?} within {limit:?}; it printed:\n{printed}",
                self.name
            );
            let nap = left.min(Duration::from_millis(50));
            drop(self.output.more.wait_timeout(lines, nap));
        }
    }

    /// Everything that it has printed so far.
    pub fn printed(&self) -> String {
        self.output.lines().join("\n")
    }
}

impl Output {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(self: Arc<Self>, stream: Box<dyn Read + Send>) {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                self.lines().push(String::from_utf8_lossy(&line).trim_end().to_owned());
                self.more.notify_all();
                line.clear();
            }
            self.streams_at_end.fetch_add(1, Ordering::Release);
            self.more.notify_all();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn shows_lines_and_the_exit_code() {
        let mut process = Process::spawn(shell("echo out; echo err >&2; exit 3"));
        assert_eq!(process.wait(Duration::from_secs(10)).code(), Some(3));
        process.wait_for_line("out", Duration::from_secs(5));
        process.wait_for_line("err", Duration::from_secs(5));
    }

    #[test]
    fn takes_its_children_along() {
        let mut process = Process::spawn(shell("sleep 300 & echo child $!; wait"));
        let line = process.wait_for_line("child", Duration::from_secs(10));
        let child: i32 = line.trim_start_matches("child ").parse().expect("a process id");
        drop(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        // A zombie, until somebody reaps it, is dead enough.
        while std::fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
        {
            assert!(Instant::now() < deadline, "the child outlived the guard");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    #[test]
    #[should_panic(expected = "ended without printing \"never\"; it printed:\nonly this")]
    fn tells_what_was_printed_instead() {
        Process::spawn(shell("echo only this")).wait_for_line("never", Duration::from_secs(10));
    }
}
