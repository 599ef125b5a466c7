//! Jobs that take longer than they may, on agents that do not mind.

use std::time::Duration;

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, LIMIT, job};

const GRACE: (&str, &str) = ("KICI_JOB_TIMEOUT_GRACE_MS", "300");
const OVER: &str = "failed (job_timeout: job exceeded its timeout of 700ms)";
const SKIPPED: &str = "b skipped (upstream_unmet: a (failed))";

/// A job with a limit runs; another needs it.
async fn limited(env: &Env) -> (FakeAgent, Dispatched) {
    let jobs = [job("a", json!({"timeout": 700})), job("b", json!({"needs": ["a"]}))];
    let sha = env.commit_jobs(json!(jobs));
    let mut agent = env.agent("x", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    (agent, job)
}

async fn over(env: &Env) -> Value {
    env.jobs_are(&[&format!("a {OVER}"), SKIPPED]).await;
    let run = env.run_is("failed").await;
    let jobs = env.jobs(&run).await;
    let reason = json!({"kind": "timed_out", "limit": "job_timeout", "afterMs": 700});
    assert_eq!(jobs[0]["endReason"], reason);
    run
}

#[tokio::test]
async fn a_job_whose_agent_knows_no_limit_is_killed_and_fails_once() {
    let env = Env::start_with(&[GRACE]).await;
    let (mut agent, job) = limited(&env).await;
    let heard = agent.next().await;
    let told = (&heard["type"], &heard["jobId"], &heard["force"], &heard["reason"]);
    let why = json!("job_timeout: job exceeded its timeout of 700ms");
    assert_eq!(told, (&json!("job.cancel"), &json!(job.job), &json!(true), &why));
    let run = over(&env).await;
    assert_eq!(run["failureReason"], "Failed jobs: a");
    let lasted = env.jobs(&run).await[0]["durationMs"].as_i64().unwrap();
    assert!((1000..LIMIT.as_millis() as i64).contains(&lasted), "{lasted}");
    // Its place is taken until it says that it has stopped, and what it says comes too late.
    let sha = env.commit_jobs(json!([job_of("next")]));
    env.push("d2", &sha).await;
    agent.hears_nothing(Duration::from_millis(1500)).await;
    agent.end(&job, "success", json!({})).await;
    agent.run("next", "success", json!({})).await;
    wait_until(LIMIT, "the second run to end", async || {
        let runs = env.runs().await;
        let states: Vec<&Value> = runs.iter().map(|run| &run["status"]).collect();
        if states == ["failed", "success"] { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
    over_still(&env).await;
}

fn job_of(name: &str) -> Value {
    job(name, json!({}))
}

async fn over_still(env: &Env) {
    let shown = env.shown().await;
    assert_eq!(shown, [format!("a {OVER}"), SKIPPED.to_owned()]);
}

#[tokio::test]
async fn a_limit_survives_a_restart_of_the_orchestrator() {
    let mut env = Env::start_with(&[GRACE]).await;
    let (agent, job) = limited(&env).await;
    env.jobs_are(&["a running", "b pending"]).await;
    env.stop().await;
    drop(agent);
    env.boot().await;
    let mut agent = FakeAgent::back(env.port(), "x", &["linux"], &[&job]).await;
    over(&env).await;
    assert_eq!(agent.next().await["type"], "job.cancel");
}

#[tokio::test]
async fn a_job_whose_agent_is_away_gets_its_window_and_ends_when_it_is_back() {
    let env = Env::start_with(&[GRACE]).await;
    let (agent, job) = limited(&env).await;
    env.jobs_are(&["a running", "b pending"]).await;
    agent.vanish();
    env.jobs_are(&["a recovering", "b pending"]).await;
    let run = env.runs().await.remove(0);
    wait_until(LIMIT, "the limit to pass", async || {
        let started = env.jobs(&run).await[0]["startedAt"].clone();
        let started: jiff::Timestamp = started.as_str().unwrap().parse().unwrap();
        let lasted = jiff::Timestamp::now().duration_since(started);
        if lasted.as_millis() > 2500 { Ok(()) } else { Err(lasted) }
    })
    .await;
    env.jobs_are(&["a recovering", "b pending"]).await;
    let mut agent = FakeAgent::back(env.port(), "x", &["linux"], &[&job]).await;
    assert_eq!(agent.next().await["force"], true);
    over(&env).await;
}

#[tokio::test]
async fn a_limit_that_the_agent_keeps_is_its_own_to_report() {
    let env = Env::start_with(&[("KICI_JOB_TIMEOUT_GRACE_MS", "60000")]).await;
    let (mut agent, job) = limited(&env).await;
    let error = "job_timeout: job exceeded its timeout of 700ms";
    agent.end(&job, "failed", json!({"error": error})).await;
    over(&env).await;
}
