//! Finds new runs and shows each one while it happens.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use kici_client::live::LiveView;
use kici_client::{Client, RunsQuery};
use kici_model::ids::RunId;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;

/// How often new runs are looked for.
const LOOK: Duration = Duration::from_millis(250);

/// How many of the newest runs are looked at.
const PAGE: i64 = 100;

/// Shows runs until it is dropped.
pub(super) struct Follower {
    task: Mutex<JoinHandle<Error>>,
}

impl Follower {
    /// Starts; runs that exist already are not shown.
    pub(super) async fn start(client: Client) -> Result<Self> {
        let seen = newest(&client).await?.into_iter().collect();
        Ok(Self { task: Mutex::new(tokio::spawn(async move { show_new(client, seen).await })) })
    }

    /// Waits until runs can no longer be looked for, and says why.
    pub(super) async fn failed(&self) -> Error {
        match (&mut *self.task.lock().await).await {
            Ok(error) => error,
            Err(panic) => anyhow!(panic).context("showing runs failed"),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.get_mut().abort();
    }
}

async fn show_new(client: Client, mut seen: HashSet<RunId>) -> Error {
    let mut shown = JoinSet::new();
    let mut look = interval(LOOK);
    loop {
        look.tick().await;
        while shown.try_join_next().is_some() {}
        let runs = match newest(&client).await {
            Ok(runs) => runs,
            Err(error) => return error.context("could not look for runs"),
        };
        for run in runs.into_iter().rev().filter(|run| seen.insert(*run)) {
            shown.spawn(show(client.clone(), run));
        }
    }
}

async fn newest(client: &Client) -> Result<Vec<RunId>> {
    let query = RunsQuery { limit: Some(PAGE), ..RunsQuery::default() };
    Ok(client.run_list(&query).await?.runs.into_iter().map(|run| run.run_id).collect())
}

async fn show(client: Client, run: RunId) {
    let mut view = LiveView::new(std::io::stdout().is_terminal());
    let mut events = client.run_follow(run);
    loop {
        match events.next().await {
            Ok(Some(event)) => print(&view.lines(&event)),
            Ok(None) => return,
            Err(error) => {
                print(&[format!("! run {run} can no longer be shown: {:#}", Error::new(error))]);
                return;
            }
        }
    }
}

/// Prints lines that belong together.
fn print(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A terminal that is gone ends us through its own signal.
        let _closed = writeln!(out, "{line}");
    }
}
