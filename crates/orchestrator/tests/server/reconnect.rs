//! Agents that go and come back, and an orchestrator that does.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::FakeAgent;
use crate::env::{Env, job};

#[tokio::test]
async fn a_job_survives_a_cut_link() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.log(&job, &["before"]).await;
    agent.vanish();
    env.jobs_are(&["a recovering"]).await;
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    env.jobs_are(&["a running"]).await;
    agent.log(&job, &["after"]).await;
    agent.end(&job, "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["before", "after"]);
}

#[tokio::test]
async fn an_agent_that_lost_its_job_settles_it_at_once() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    env.jobs_are(&["a running", "b pending"]).await;
    agent.vanish();
    let since = Instant::now();
    let _again = env.agent("a", &["linux"]).await;
    env.run_is("failed").await;
    assert!(since.elapsed() < Duration::from_secs(5));
    env.jobs_are(&[
        "a failed (Job failed: agent restarted and lost the job (a))",
        "b skipped (upstream_unmet: a (failed))",
    ])
    .await;
}

#[tokio::test]
async fn a_job_that_never_started_is_offered_again() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let lost = agent.take().await;
    agent.vanish();
    let mut agent = env.agent("a", &["linux"]).await;
    let again = agent.run("a", "success", json!({})).await;
    assert_eq!(again.job, lost.job);
    env.run_is("success").await;
}

#[tokio::test]
async fn a_lost_agent_fails_its_job_after_the_window() {
    let env = Env::start_with(&[("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500")]).await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.step(&job, "running", json!({})).await;
    env.jobs_are(&["a running"]).await;
    agent.vanish();
    let run = env.run_is("failed").await;
    env.jobs_are(&[
        "a failed (Job failed: agent disconnected and did not reconnect within the recovery window)",
    ])
    .await;
    assert_eq!(env.jobs(&run).await[0]["steps"][0]["status"], "cancelled");
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    let stop = agent.next().await;
    assert_eq!((&stop["type"], &stop["jobId"]), (&json!("job.cancel"), &json!(job.job)));
}

#[tokio::test]
async fn a_running_job_survives_a_restart_of_the_orchestrator() {
    let mut env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.log(&job, &["before"]).await;
    env.jobs_are(&["a running", "b pending"]).await;
    env.stop().await;
    assert_eq!(agent.closed().await, (1001, "Server shutting down".into()));
    env.boot().await;
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    agent.log(&job, &["after"]).await;
    agent.end(&job, "success", json!({})).await;
    agent.run("b", "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["before", "after"]);
    let own = env.log(&run, &jobs[0], -1).await;
    assert!(own.iter().any(|line| line.contains("may be missing")), "{own:?}");
}

#[tokio::test]
async fn a_second_connection_takes_the_place_of_the_first() {
    let env = Env::start().await;
    let mut first = env.agent("a", &["linux"]).await;
    let mut second = env.agent("a", &["linux"]).await;
    assert_eq!(first.closed().await, (1001, "Replaced by a new connection".into()));
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    env.push("d1", &sha).await;
    second.run("a", "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn a_database_that_goes_away_for_a_moment_loses_nothing() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    env.db.cut_connections().await;
    agent.log(&job, &["while it was away"]).await;
    agent.end(&job, "success", json!({"outputs": {"s": {"v": 1}}})).await;
    env.db.cut_connections().await;
    let b = agent.run("b", "success", json!({})).await;
    assert_eq!(b.message["upstreamJobOutputs"], json!({"a": {"s": {"v": 1}}}));
    env.db.cut_connections().await;
    assert_eq!(env.push("d2", &sha).await.status(), 202);
    agent.run("a", "success", json!({})).await;
    env.settle_down().await;
    let run = env.runs().await.remove(0);
    assert_eq!(run["status"], "success");
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["while it was away"]);
}
