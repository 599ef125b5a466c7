//! The queue: whose turn it is, how deep it may be and how long one may wait in it.

use std::process::Command;

use serde_json::{Value, json};

use crate::env::{Env, job};

/// A second repository beside the first, with the same commits.
fn second_repository(env: &Env) {
    let base = env.repo.path();
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet"]).arg(base).arg(base.join("second"));
    assert!(clone.status().unwrap().success());
}

fn many(count: usize) -> Value {
    let values: Vec<String> = (0..count).map(|n| format!("{n:03}")).collect();
    let matrix = json!({"matrix": {"_type": "static", "values": values}});
    json!([job("one", matrix)])
}

#[tokio::test]
async fn a_flood_of_one_repository_does_not_hold_up_another() {
    let env = Env::start().await;
    let flood = env.commit_jobs(many(30));
    let single = env.commit_jobs(json!([job("single", json!({}))]));
    second_repository(&env);
    assert!(env.push_of(".", "flood", &flood).await.status().is_success());
    env.run_is("pending").await;
    assert!(env.push_of("second", "single", &single).await.status().is_success());
    kici_testkit::wait_until(crate::env::LIMIT, "two runs", async || {
        match env.runs().await.len() {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let mut order = Vec::new();
    for _ in 0..4 {
        let job = agent.take().await;
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
        order.push(job.name().to_owned());
    }
    assert_eq!(order, ["one (000)", "single", "one (001)", "one (002)"]);
}

#[tokio::test]
async fn a_weight_gives_more_turns() {
    let env = Env::start_with(&[("KICI_QUEUE_WEIGHTS", "acme/second=2")]).await;
    let sha = env.commit_jobs(many(9));
    second_repository(&env);
    env.push_of(".", "d1", &sha).await;
    env.push_of("second", "d2", &sha).await;
    kici_testkit::wait_until(crate::env::LIMIT, "two runs", async || {
        match env.runs().await.len() {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let runs = env.runs().await;
    let second =
        runs.iter().find(|run| run["repoIdentifier"] == "second").unwrap()["runId"].clone();
    let mut agent = env.agent("a1", &["linux"]).await;
    let mut given = 0;
    for _ in 0..9 {
        let job = agent.take().await;
        given += usize::from(job.run == second);
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
    }
    assert_eq!(given, 6, "two of three");
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_says_so() {
    let env = Env::start_with(&[("KICI_QUEUE_MAX_DEPTH", "3")]).await;
    let sha = env.commit_jobs(many(5));
    env.push("d1", &sha).await;
    let full = "failed (queue full: more than 3 jobs were waiting)";
    env.jobs_are(&[
        "one (000) queued",
        "one (001) queued",
        "one (002) queued",
        &format!("one (003) {full}"),
        &format!("one (004) {full}"),
    ])
    .await;
    let mut agent = env.agent("a1", &["linux"]).await;
    for name in ["one (000)", "one (001)", "one (002)"] {
        agent.run(name, "success", json!({})).await;
    }
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: one (003), one (004)");
}

#[tokio::test]
async fn a_job_that_no_agent_takes_ends_and_its_dependants_with_it() {
    let env = Env::start_with(&[("KICI_QUEUE_TIMEOUT_MS", "1500")]).await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    env.push("d1", &sha).await;
    env.jobs_are(&[
        "a timed_out_stale (Queue timeout expired (job was never dispatched to an agent))",
        "b skipped (upstream_unmet: a (timed_out_stale))",
    ])
    .await;
    env.run_is("failed").await;
}
