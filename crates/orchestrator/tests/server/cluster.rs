//! Two orchestrators on one database.

use std::collections::HashMap;
use std::time::Duration;

use kici_testkit::wait_until;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::agent::{Dispatched, FakeAgent};
use crate::crash::{spawn, start};
use crate::env::{ADMIN, Env, LIMIT, job};

/// One push whose job runs on an agent of the second orchestrator, asked about at the first.
async fn running_elsewhere(env: &Env, port: u16) -> (FakeAgent, Dispatched, Value) {
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = FakeAgent::ready(port, "a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let run = env.run_is("running").await;
    (agent, job, run)
}

#[tokio::test]
async fn a_cancel_reaches_an_agent_of_another_orchestrator_and_a_second_one_kills() {
    let env = Env::start().await;
    let other = env.another().await;
    let (mut agent, job, run) = running_elsewhere(&env, other.address.port()).await;
    let (status, answer) = env.cancel(&run, &json!({})).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"status": "cancelling", "cancelledJobs": 1}))
    );
    let heard = agent.next().await;
    assert_eq!(
        (&heard["type"], &heard["jobId"], &heard["reason"]),
        (&json!("job.cancel"), &json!(job.job), &json!("run cancelled via API"))
    );
    assert!(heard["force"].is_null() || heard["force"] == false, "{heard}");
    assert_eq!(env.cancel(&run, &json!({})).await.0, StatusCode::OK);
    assert_eq!(agent.next().await["force"], true, "a second cancel kills");
    agent.end(&job, "cancelled", json!({})).await;
    let run = env.run_is("cancelled").await;
    assert_eq!(run["failureReason"], "run cancelled via API");
    let (status, answer) = env.cancel(&run, &json!({})).await;
    assert_eq!(
        (status, answer),
        (
            StatusCode::CONFLICT,
            json!({"error": "Run already in terminal state", "status": "cancelled"})
        )
    );
    other.stop().await;
}

#[tokio::test]
async fn an_agent_takes_its_job_along_to_another_orchestrator() {
    let env = Env::start_with(&[("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "1000")]).await;
    let other = env.another().await;
    let (first, job, _) = running_elsewhere(&env, env.port()).await;
    // The first connection stays open, as one does whose other end has lost its network.
    let mut agent = FakeAgent::back(other.address.port(), "a", &["linux"], &[&job]).await;
    agent.log(&job, &["from the other one"]).await;
    first.vanish();
    // Longer than the window that the first orchestrator would give a lost agent.
    agent.hears_nothing(Duration::from_millis(3500)).await;
    env.jobs_are(&["a running"]).await;
    agent.end(&job, "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["from the other one"]);
    other.stop().await;
}

#[tokio::test]
async fn an_orchestrator_that_stops_hands_its_jobs_to_the_other() {
    let env = Env::start().await;
    let other = env.another().await;
    let (mut agent, job, _) = running_elsewhere(&env, other.address.port()).await;
    let stop = tokio::spawn(other.stop());
    assert_eq!(agent.closed().await, (1001, "Server shutting down".into()));
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    stop.await.unwrap();
    env.jobs_are(&["a running"]).await;
    agent.end(&job, "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn what_a_killed_orchestrator_held_is_taken_over() {
    let env = Env::start_with(&[("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "2000")]).await;
    let (mut other, port) = spawn(&env);
    let (_agent, _job, _) = running_elsewhere(&env, port).await;
    other.kill();
    env.jobs_are(&["a recovering"]).await;
    let run = env.runs().await.remove(0);
    let waits = env.jobs(&run).await[0]["waitReason"].clone();
    assert_eq!(waits, json!({"kind": "agent_away", "agent": "a"}));
    env.run_is("failed").await;
}

#[tokio::test]
async fn a_restart_of_the_database_takes_no_job_from_a_living_orchestrator() {
    let env = Env::start_with(&[("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500")]).await;
    let other = env.another().await;
    let (mut agent, job, _) = running_elsewhere(&env, other.address.port()).await;
    for _ in 0..3 {
        env.db.cut_connections().await;
        agent.hears_nothing(Duration::from_millis(1500)).await;
    }
    env.settle_down().await;
    env.jobs_are(&["a running"]).await;
    agent.end(&job, "success", json!({})).await;
    env.run_is("success").await;
    other.stop().await;
}

/// Reads a run's events until the end, or until `enough` says so.
async fn followed(env: &Env, run: &Value, enough: fn(&[Value]) -> bool) -> Vec<Value> {
    let url = env.url(&format!("/api/v1/admin/runs/{}/follow", run["runId"].as_str().unwrap()));
    let mut answer = env.client.get(url).bearer_auth(ADMIN).send().await.unwrap();
    let (mut text, mut events) = (String::new(), Vec::new());
    while !enough(&events) {
        let chunk = timeout(LIMIT, answer.chunk()).await.expect("an event in time").unwrap();
        let Some(chunk) = chunk else { break };
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            if let Some(data) = event.strip_prefix("data: ") {
                events.push(serde_json::from_str(data).unwrap());
            }
            text = rest.to_owned();
        }
    }
    events
}

fn lines(events: &[Value]) -> Vec<String> {
    let text = |line: &Value| line["msg"].as_str().map(str::to_owned);
    events.iter().filter_map(|event| event["lines"].as_array()).flatten().filter_map(text).collect()
}

#[tokio::test]
async fn a_run_is_followed_at_either_orchestrator() {
    let env = Env::start().await;
    let other = env.another().await;
    let (mut agent, job, run) = running_elsewhere(&env, other.address.port()).await;
    agent.step(&job, "running", json!({})).await;
    agent.log(&job, &["while it runs"]).await;
    // Sealed by the other one, read by this one, while the job runs.
    let seen = followed(&env, &run, |events| !lines(events).is_empty()).await;
    assert_eq!(lines(&seen), ["while it runs"], "{seen:?}");
    agent.step(&job, "success", json!({})).await;
    agent.log(&job, &["after its step ended"]).await;
    agent.end(&job, "success", json!({})).await;
    let all = followed(&env, &run, |_| false).await;
    assert_eq!(lines(&all), ["while it runs", "after its step ended"], "{all:?}");
    let last = all.last().unwrap();
    assert_eq!(last["status"], "success", "{last}");
    other.stop().await;
}

/// Takes jobs as they come, and ends them at once.
async fn work(port: u16, id: String, wanted: usize) -> Vec<Dispatched> {
    let mut agent = FakeAgent::ready(port, &id, &["linux"]).await;
    let mut taken = Vec::new();
    while taken.len() < wanted {
        let Ok(message) = timeout(Duration::from_secs(3), agent.next()).await else {
            break;
        };
        if message["type"] != "job.dispatch" {
            continue;
        }
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        let job = Dispatched { run: text("runId"), job: text("jobId"), message: message.clone() };
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
        taken.push(job);
    }
    taken
}

#[tokio::test]
async fn two_orchestrators_give_no_job_away_twice() {
    const JOBS: usize = 120;
    let mut env = Env::start().await;
    env.stop().await;
    let _first = start(&mut env);
    let (_second, port) = spawn(&env);
    let names: Vec<Value> = (0..JOBS).map(|n| job(&format!("j{n}"), json!({}))).collect();
    let sha = env.commit_jobs(Value::from(names));
    env.push("d1", &sha).await;
    let mut agents = JoinSet::new();
    for n in 0..8 {
        let port = if n % 2 == 0 { env.port() } else { port };
        agents.spawn(work(port, format!("agent-{n}"), JOBS));
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    while let Some(done) = agents.join_next().await {
        for job in done.unwrap() {
            *taken.entry(job.job).or_default() += 1;
        }
    }
    assert_eq!(taken.len(), JOBS);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    env.run_is("success").await;
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_follows_after_a_kill() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut first = start(&mut env);
    first.wait_for_line("this orchestrator leads now", LIMIT);
    let (mut second, port) = spawn(&env);
    env.use_port(port);
    wait_until(LIMIT, "the second to work", async || {
        if env.runs().await.is_empty() { Ok(()) } else { Err("there are runs") }
    })
    .await;
    assert!(!second.printed().contains("leads now"), "{}", second.printed());
    first.kill();
    second.wait_for_line("this orchestrator leads now", LIMIT);
}
