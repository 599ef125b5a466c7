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
async fn the_queue_is_shown_with_places_and_reasons_and_can_be_cleared() {
    let env = Env::start().await;
    let sha = env.commit_jobs(many(3));
    env.push("d1", &sha).await;
    env.run_is("pending").await;
    let entries = kici_testkit::wait_until(crate::env::LIMIT, "reasons", async || {
        let list = env.admin_get("/api/v1/admin/queue?status=pending").await;
        let entries = list["entries"].as_array().unwrap().clone();
        let known = entries.len() == 3 && entries.iter().all(|entry| !entry["reason"].is_null());
        if known { Ok(entries) } else { Err(list) }
    })
    .await;
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry["position"], entry["job_name"], entry["reason"]))
        .collect();
    assert_eq!(
        shown,
        [
            r#"1 "one (000)" "no agent is connected; asks for [linux]""#,
            r#"2 "one (001)" "no agent is connected; asks for [linux]""#,
            r#"3 "one (002)" "no agent is connected; asks for [linux]""#,
        ]
    );
    let second =
        env.admin_get(&format!("/api/v1/admin/queue/{}", entries[1]["id"].as_str().unwrap())).await;
    assert_eq!((&second["job_name"], &second["position"]), (&json!("one (001)"), &json!(2)));
    assert!(second["expires_at"].is_string() && second["job_config"].is_string(), "{second}");
    let body = json!({"jobName": "one (001)", "dryRun": true});
    let would: Value =
        env.admin_post("/api/v1/admin/queue/clear", &body).await.json().await.unwrap();
    assert_eq!(would, json!({"cleared": false, "jobs": [second["id"]]}));
    let body = json!({"jobName": "one (001)", "reason": "not today"});
    let done: Value =
        env.admin_post("/api/v1/admin/queue/clear", &body).await.json().await.unwrap();
    assert_eq!(done["jobs"], would["jobs"]);
    let shown = env.shown().await;
    assert_eq!(&shown[0], "one (000) queued");
    assert!(
        shown[1].starts_with("one (001) cancelled (cancelled by ")
            && shown[1].ends_with("not today)"),
        "{shown:?}"
    );
    let done = env.admin_post("/api/v1/admin/queue/clear", &json!({})).await;
    assert_eq!(done.status(), 200);
    env.run_is("cancelled").await;
    let list = env.admin_get("/api/v1/admin/queue").await;
    assert_eq!(list, json!({"entries": []}));
}
