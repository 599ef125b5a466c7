//! Hosts that are away: waited for, left out, or a reason to fail.

use std::time::{Duration, Instant};

use kici_store::agent::{AgentRow, agent_register};
use kici_store::{Connect, Store};
use kici_testkit::wait_until;
use serde_json::json;

use super::{is_away, on_all, take};
use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT, job};

#[tokio::test]
async fn a_host_that_is_away_is_waited_for_left_out_or_a_failure() {
    let env = Env::start_with(&[("KICI_ROSTER_GRACE_MS", "1")]).await;
    let sha = env.commit_jobs(json!([
        on_all("wait", "web", json!({})),
        on_all("skip", "web", json!({"onUnreachable": "skip"})),
        on_all("fail", "web", json!({"onUnreachable": "fail"})),
        on_all("gone", "db", json!({"onUnreachable": "skip"})),
        job("after", json!({"needs": ["wait"]})),
    ]));
    let mut a = FakeAgent::on_host(env.port(), "a", "web-1", &["web", "linux"]).await;
    FakeAgent::on_host(env.port(), "b", "web-2", &["web", "db"]).await.vanish();
    is_away(&env, "b").await;
    env.push("d1", &sha).await;
    for name in ["wait (web-1)", "skip (web-1)", "fail (web-1)"] {
        a.run(name, "success", json!({})).await;
    }
    env.jobs_are(&[
        "wait (web-1) success",
        "wait (web-2) queued",
        "skip (web-1) success",
        "fail (web-1) success",
        "fail (web-2) failed (host web-2 (agent b) is away (onUnreachable: 'fail'))",
        "gone failed (no host that matches runsOnAll of job 'gone' is there; away: web-2)",
        "after pending",
    ])
    .await;
    let run = env.run_is("running").await;
    wait_until(LIMIT, "a reason", async || {
        let reason = env.jobs(&run).await[1]["waitReason"].clone();
        let away = reason["kind"] == "pinned_agent_away";
        match away && reason["agent"] == "b" && reason["host"] == "web-2" {
            true => Ok(()),
            false => Err(reason),
        }
    })
    .await;
    let mut b = FakeAgent::on_host(env.port(), "b", "web-2", &["web"]).await;
    let waited = take(&mut b, "wait (web-2)").await;
    assert_eq!(
        (&waited.config()["host"], &waited.config()["fanoutTotal"]),
        (&json!("web-2"), &json!(2))
    );
    b.end(&waited, "success", json!({})).await;
    a.run("after", "success", json!({})).await;
    env.run_is("failed").await;
    // A rerun of what failed waits for no better reason than the first run had: the host is there now.
    let path = format!("/api/v1/admin/runs/{}/rerun", run["runId"].as_str().unwrap());
    let answer = env.admin_post(&path, &json!({"failedOnly": true})).await;
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    b.run("fail (web-2)", "success", json!({})).await;
}

#[tokio::test]
async fn a_thousand_hosts_are_one_run() {
    let env = Env::start_with(&[("KICI_ROSTER_GRACE_MS", "3600000")]).await;
    let store = Store::connect(env.db.url(), Connect { max_connections: 1, ..Connect::default() })
        .await
        .unwrap();
    let mut tx = store.begin().await.unwrap();
    for number in 0..1000 {
        let row = AgentRow {
            agent_id: format!("agent-{number:04}"),
            hostname: Some(format!("host-{number:04}")),
            labels: vec!["web".into()],
            platform: "linux".into(),
            arch: "x64".into(),
            facts: "{}".into(),
            properties: "{}".into(),
            max_concurrency: 1,
            remote_address: "-".into(),
            connection: 0,
            owner: 0,
            ..AgentRow::default()
        };
        agent_register(&mut tx, &row).await.unwrap();
    }
    Store::commit(tx).await.unwrap();
    store.close().await;
    let sha = env.commit_jobs(json!([
        on_all("roll", "web", json!({})),
        job("after", json!({"needs": ["roll"]})),
    ]));
    let started = Instant::now();
    env.push("d1", &sha).await;
    let run = env.run_is("pending").await;
    let took = started.elapsed();
    // Row by row it would take many times as long, also on a busy machine.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let jobs = env.jobs(&run).await;
    assert_eq!(jobs.len(), 1001);
    assert_eq!(jobs[999]["jobName"], "roll (host-0999)");
    assert_eq!(jobs[1000]["needs"].as_array().unwrap().len(), 1000);
    let mut last = env.agent("agent-0999", &["web"]).await;
    last.run("roll (host-0999)", "success", json!({})).await;
    let (status, _) = env.cancel(&run, &json!({})).await;
    assert_eq!(status, 200);
    env.run_is("cancelled").await;
}
