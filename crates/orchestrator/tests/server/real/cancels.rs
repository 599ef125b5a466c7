//! A cancel ends every process of the job, also those that hide; so does the death of the agent.

use std::process::Command;

use kici_testkit::{Process, wait_until};
use serde_json::json;

use super::{Fleet, LONG, beside};
use crate::env::ADMIN;

/// Daemons that a job starts.
const DAEMONS: usize = 4;

/// Command lines of processes that have the mark among their arguments.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let line = |entry: std::fs::DirEntry| {
        // A zombie has no arguments any more.
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(mark).then(|| format!("{}: {line}", entry.file_name().display()))
    };
    processes.filter_map(line).collect()
}

/// An agent whose job has started all daemons.
async fn haunted() -> (Fleet, Process) {
    let fleet = Fleet::start(1, &[]).await;
    let agent = fleet.ready_agent("a");
    fleet.push("daemons", "spawn").await;
    wait_until(LONG, "all daemons", async || {
        let ready = fleet.lines().await.contains(&"ready".to_owned());
        let daemons: Vec<String> = marked(&fleet.mark);
        let looping = daemons.iter().filter(|line| line.contains("while :")).count();
        if ready && looping >= DAEMONS { Ok(()) } else { Err(format!("{daemons:?}")) }
    })
    .await;
    (fleet, agent)
}

async fn cancel(options: &[&str]) -> Fleet {
    let (fleet, mut agent) = haunted().await;
    let run = fleet.env.runs().await.remove(0);
    let output = Command::new(beside("kici-admin"))
        .env_clear()
        .env("KICI_ADMIN_URL", fleet.env.url(""))
        .env("KICI_ADMIN_TOKEN", ADMIN)
        .args(["runs", "cancel", run["runId"].as_str().unwrap(), "--json"])
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let job = fleet.ends("cancelled").await;
    // The state says that all is over, so it is.
    assert_eq!(marked(&fleet.mark), Vec::<String>::new());
    assert_eq!(job["status"], json!("cancelled"));
    assert!(agent.is_running());
    fleet
}

#[tokio::test]
async fn a_cancel_runs_the_hooks_and_leaves_no_process() {
    let fleet = cancel(&[]).await;
    assert_eq!(fleet.story(), ["onCancel", "cleanup"]);
}

#[tokio::test]
async fn a_forced_cancel_leaves_no_process() {
    let fleet = cancel(&["--force"]).await;
    assert_eq!(fleet.story(), Vec::<String>::new());
}

#[tokio::test]
async fn a_killed_agent_leaves_no_process() {
    let (fleet, mut agent) = haunted().await;
    agent.kill();
    wait_until(LONG, "all daemons to end", async || {
        let left = marked(&fleet.mark);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
