//! The real orchestrator, real agents, real git and a workflow in TypeScript: what happens to a job when one of them
//! is stopped, killed or frozen, and what a cancel leaves.

mod agents_die;
mod cancels;
mod groups;
mod restarts;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kici_testkit::{Process, free_port, wait_until};
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::crash;
use crate::env::{Env, job, lock};

/// How long anything with real programs may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

const WORKFLOW: &str = include_str!("ci.ts");
const DAEMONS: &str = include_str!("daemons.sh");

/// Ticks of the counting step in the suite: eight seconds.
const TICKS: usize = 160;

/// An orchestrator that can be killed and comes back on the same port, a repository, and folders for agents.
struct Fleet {
    env: Env,
    orchestrator: Process,
    folder: TempDir,
    ticks: usize,
    /// Among the arguments of every daemon.
    mark: String,
}

impl Fleet {
    async fn start(ticks: usize, extra: &[(&str, &str)]) -> Fleet {
        let port = free_port().to_string();
        let mut env = Env::start_with(&[extra, &[("KICI_PORT", port.as_str())]].concat()).await;
        env.stop().await;
        let orchestrator = crash::start(&mut env);
        let mark = format!("mark-of-{}", uuid::Uuid::new_v4());
        Fleet { env, orchestrator, folder: TempDir::new().unwrap(), ticks, mark }
    }

    /// Ends the orchestrator; its agents go on.
    fn stop(&mut self, signal: Signal) {
        self.orchestrator.signal(signal);
        self.orchestrator.wait(LONG);
    }

    /// Starts it again, where the agents look for it.
    fn boot(&mut self) {
        let port = self.env.port();
        self.orchestrator = crash::start(&mut self.env);
        assert_eq!(self.env.port(), port);
        // The old one keeps connections that died with the last process.
        self.env.client = Client::new();
    }

    /// What steps and hooks have written, line by line.
    fn journal(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.journal_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn journal_file(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// The first words of the journal: what happened, without process ids.
    fn story(&self) -> Vec<String> {
        let first = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
        self.journal().iter().map(first).collect()
    }

    /// Commits the workflow with one of its jobs, and pushes it.
    async fn push(&self, name: &str, step: &str) {
        self.push_as("d1", name, step, Value::Null).await;
    }

    /// The same as a delivery of its own, with a concurrency policy.
    async fn push_as(&self, delivery: &str, name: &str, step: &str, policy: Value) {
        let workflow = WORKFLOW
            .replace("@JOURNAL@", self.journal_file().to_str().unwrap())
            .replace("@TICKS@", &self.ticks.to_string())
            .replace("@MARK@", &self.mark);
        self.env.repo.write(".kici/workflows/ci.ts", workflow).write(".kici/daemons.sh", DAEMONS);
        let steps = json!({"steps": [{"name": step, "hasOutputs": false}]});
        let mut lock = lock(json!([job(name, steps)]));
        // Not compiled: there is nothing to compare with.
        lock["workflows"][0]["contentHash"] = json!("");
        if !policy.is_null() {
            lock["workflows"][0]["concurrency"] = policy;
        }
        let sha = self.env.commit_lock(&lock.to_string());
        assert!(self.env.push(delivery, &sha).await.status().is_success());
    }

    /// Pushes the counting job and waits until it has come some way.
    async fn count(&self) {
        self.push("counting", "count").await;
        self.ticked(20).await;
    }

    /// Waits for a line of the counting step.
    async fn ticked(&self, tick: usize) {
        let wanted = format!("tick {tick}");
        wait_until(LONG, &wanted, async || {
            let lines = self.lines().await;
            if lines.contains(&wanted) { Ok(()) } else { Err(self.what_is(&lines).await) }
        })
        .await;
    }

    /// The log of the first step of the only job; empty before there is one.
    async fn lines(&self) -> Vec<String> {
        let Some(run) = self.env.runs().await.into_iter().next() else { return Vec::new() };
        let jobs = self.env.jobs(&run).await;
        self.env.log(&run, &jobs[0], 0).await
    }

    async fn what_is(&self, lines: &[String]) -> String {
        format!("{:?}, {:?}, log {lines:?}", self.env.shown().await, self.journal())
    }

    /// Waits for the only run to end so; gives its only job.
    async fn ends(&self, state: &str) -> Value {
        wait_until(LONG, &format!("the run to be {state}"), async || {
            let runs = self.env.runs().await;
            match runs.as_slice() {
                [run] if run["status"] == state => Ok(self.env.jobs(run).await.remove(0)),
                _ => Err(self.what_is(&[]).await),
            }
        })
        .await
    }

    /// Every line of the last attempt is there once and in order, and no gap is marked.
    async fn log_is_whole(&self) {
        let wanted: Vec<String> = (1..=self.ticks).map(|tick| format!("tick {tick}")).collect();
        assert_eq!(of_last_attempt(self.lines().await), wanted);
        let run = self.env.runs().await.remove(0);
        let jobs = self.env.jobs(&run).await;
        let around = of_last_attempt(self.env.log(&run, &jobs[0], -1).await);
        assert!(!around.iter().any(|line| line.contains("missing")), "{around:?}");
    }

    /// Waits for a word in the journal.
    async fn journal_has(&self, word: &str, times: usize) {
        wait_until(LONG, word, async || {
            let journal = self.journal();
            let found = journal.iter().filter(|line| line.starts_with(word)).count();
            if found >= times { Ok(()) } else { Err(format!("{journal:?}")) }
        })
        .await;
    }

    fn agent(&self, id: &str) -> Process {
        let folder = self.folder.path().join(id);
        std::fs::create_dir_all(folder.join("tmp")).unwrap();
        let mut command = Command::new(beside("kici-agent"));
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", &folder)
            .env("TMPDIR", folder.join("tmp"))
            .env("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", self.env.port()))
            .env("KICI_AGENT_ID", id)
            .env("KICI_LABELS", "linux")
            .env("KICI_PORT", "0")
            .env("KICI_DATA_DIR", folder.join("data"));
        Process::spawn(command)
    }

    /// Starts an agent and waits until it is registered.
    fn ready_agent(&self, id: &str) -> Process {
        let mut agent = self.agent(id);
        agent.wait_for_line("registered with", LONG);
        agent
    }
}

/// A program of ours beside the one under test.
fn beside(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_kici-orchestrator")).with_file_name(name);
    let path = program.display();
    assert!(program.is_file(), "{path} is missing; `cargo build --workspace` makes it");
    program
}

/// `attempt agent reason` of each recorded attempt of a job.
fn attempts(job: &Value) -> Vec<String> {
    let shown = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", one["attempt"], text("agentId"), text("message"))
    };
    job["attempts"].as_array().map(|all| all.iter().map(shown).collect()).unwrap_or_default()
}

/// What follows the heading of the last attempt; a log of one attempt has none.
fn of_last_attempt(mut lines: Vec<String>) -> Vec<String> {
    let heading = lines.iter().rposition(|line| line.starts_with("--- attempt "));
    match heading {
        Some(at) => lines.split_off(at + 1),
        None => lines,
    }
}
