//! Runs as operators see them. No agent is connected, so jobs wait until they are stopped.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use kici_testkit::Repo;

use crate::setup::World;

fn world_with_a_run() -> (World, Repo, String) {
    let world = World::start();
    let repo = Repo::init();
    repo.write(".kici/kici.lock.json", include_str!("../fixtures/one-job.lock.json"))
        .commit("one job");
    let id = world.local_source(repo.path());
    world.ok(&["source", "trigger-local", &id]);
    let run = world.runs(1)[0]["runId"].as_str().unwrap().to_owned();
    (world, repo, run)
}

#[test]
fn without_runs_the_list_says_so() {
    let world = World::start();
    assert_eq!(world.ok(&["runs", "list"]), "No runs found.\n");
    assert_eq!(world.ok(&["runs", "list", "--count"]), "0\n");
    assert_eq!(world.ok(&["event-log", "list"]), "No deliveries found.\n");
    let unknown = "01939e7c-0000-7000-8000-000000000001";
    let said = world.fails(&["runs", "show", unknown]);
    assert_eq!(said, format!("Error: HTTP 404: Run {unknown} not found\n"));
    let said = world.fails(&["runs", "list", "--status", "done"]);
    assert!(said.contains(r#"Invalid status "done". Allowed: pending"#), "{said}");
}

#[test]
fn a_run_is_shown_with_why_it_waits() {
    let (world, _repo, run) = world_with_a_run();
    let list = world.ok(&["runs", "list", "--workflow-name", "ci"]);
    let header = list.lines().next().unwrap();
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(
        columns,
        ["run_id", "workflow", "status", "repo", "ref", "sha", "started_at", "duration"]
    );
    assert!(list.contains(&run) && list.contains("Showing 1 of 1"), "{list}");

    let waits = "no agent is connected; asks for [linux]";
    let shown = world.wait("the reason", || {
        let shown = world.ok(&["runs", "show", &run]);
        if shown.contains(waits) { Ok(shown) } else { Err(shown) }
    });
    assert!(shown.contains("Workflow:") && shown.contains("build"), "{shown}");
    let jobs = world.json(&["runs", "jobs", &run]);
    assert_eq!(jobs["jobs"][0]["waitReason"]["kind"], "no_matching_agent");
    let summary = world.json(&["runs", "structured", &run]);
    assert_eq!(
        (&summary["runId"], &summary["failureCategory"]),
        (&run.as_str().into(), &serde_json::Value::Null)
    );
    assert_eq!(world.ok(&["runs", "logs", &run]), "No log lines found.\n");
    let waiting = world.command(&["runs", "logs", &run, "--exit-status"]).output().unwrap();
    assert_eq!(waiting.status.code(), Some(3));
    let said = world.fails(&["runs", "logs", &run, "--job", "nope"]);
    assert!(said.contains(r#"has no job "nope""#), "{said}");
}

#[test]
fn following_ends_with_the_run_and_can_tell_its_result() {
    let (world, _repo, run) = world_with_a_run();
    let mut child = world
        .command(&["runs", "logs", &run, "--follow", "--exit-status"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with(&format!("run {run} · ci")), "{first}");
    let said = world.ok(&["runs", "cancel", &run]);
    assert_eq!(said, format!("Run {run} is cancelled, 1 job(s) stopped.\n"));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(rest.last().unwrap(), "■ run cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(2));

    let again = world.fails(&["runs", "cancel", &run]);
    assert_eq!(again, "Error: HTTP 409: Run already in terminal state\n");
    // What has ended is followed from its beginning to its end, and shown is shown.
    let output = world.command(&["runs", "logs", &run, "--follow", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let events = String::from_utf8(output.stdout).unwrap();
    assert!(events.lines().last().unwrap().contains(r#""type":"ended""#), "{events}");
}
