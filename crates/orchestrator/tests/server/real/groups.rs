//! Two runs of one concurrency group on agents that are both free: what one of them does while the other has the place.

use kici_testkit::wait_until;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Fleet, LONG};

fn policy(cancel: bool) -> Value {
    json!({"hasGroup": true, "cancelInProgress": cancel, "group": "prod"})
}

/// Waits until the runs, oldest first, are in these states.
async fn runs_are(fleet: &Fleet, wanted: &[&str]) -> Vec<Value> {
    wait_until(LONG, &format!("{wanted:?}"), async || {
        let runs = fleet.env.runs().await;
        let states: Vec<&str> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        let what = || format!("{states:?}, {:?}", fleet.journal());
        if states == wanted { Ok(runs.clone()) } else { Err(what()) }
    })
    .await
}

#[tokio::test]
async fn a_run_waits_for_the_other_through_a_kill_and_a_stop_of_the_orchestrator() {
    let mut fleet = Fleet::start(100, &[]).await;
    let _agents = [fleet.ready_agent("a"), fleet.ready_agent("b")];
    fleet.push_as("d1", "counting", "count", policy(false)).await;
    fleet.journal_has("start", 1).await;
    fleet.push_as("d2", "counting", "count", policy(false)).await;
    runs_are(&fleet, &["running", "pending"]).await;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        fleet.stop(signal);
        fleet.boot();
    }
    runs_are(&fleet, &["success", "success"]).await;
    assert_eq!(fleet.story(), ["start", "end", "start", "end"]);
}

#[tokio::test]
async fn a_newer_run_begins_after_the_hooks_of_the_one_that_it_supersedes() {
    let fleet = Fleet::start(2, &[]).await;
    let _agents = [fleet.ready_agent("a"), fleet.ready_agent("b")];
    fleet.push_as("d1", "daemons", "spawn", policy(true)).await;
    wait_until(LONG, "the first run to work", async || {
        let lines = fleet.lines().await;
        if lines.contains(&"ready".to_owned()) { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await;
    fleet.push_as("d2", "counting", "count", policy(true)).await;
    let runs = runs_are(&fleet, &["cancelled", "success"]).await;
    assert_eq!(runs[0]["failureReason"], "Superseded by run in concurrency group 'prod'");
    assert_eq!(fleet.story(), ["onCancel", "cleanup", "start", "end"]);
}
