//! Needs: what is skipped, what runs all the same, what a cancel does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::env::{Env, job};

fn when(name: &str, run_on: &[&str]) -> Value {
    json!({"name": name, "runOn": run_on})
}

#[tokio::test]
async fn one_failure_skips_and_starts_as_documented() {
    let env = Env::start().await;
    let always = ["success", "failed", "cancelled", "skipped", "timed_out_stale", "drift_dropped"];
    let on_failure = ["failed", "timed_out_stale"];
    let sha = env.commit_jobs(json!([
        job("ok", json!({})),
        job("bad", json!({})),
        job("dflt", json!({"needs": ["ok", "bad"]})),
        job("dflt2", json!({"needs": ["dflt"]})),
        job("always", json!({"needs": ["ok", when("bad", &always), when("dflt", &always)]})),
        job("onfail", json!({"needs": [when("bad", &on_failure)]})),
        job("onfailok", json!({"needs": [when("ok", &on_failure)]})),
        job("onskip", json!({"needs": [when("dflt2", &["success", "skipped"])]})),
        job("raw", json!({"needs": [when("dflt2", &["skipped"])]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    agent.run("ok", "success", json!({})).await;
    agent.run("bad", "failed", json!({"error": "boom"})).await;
    let mut ran = Vec::new();
    for _ in 0..4 {
        let job = agent.take().await;
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
        ran.push(job.name().to_owned());
    }
    ran.sort();
    assert_eq!(ran, ["always", "onfail", "onskip", "raw"]);
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: bad");
    env.jobs_are(&[
        "ok success",
        "bad failed (boom)",
        "dflt skipped (upstream_unmet: bad (failed))",
        "dflt2 skipped (upstream_unmet: dflt (skipped))",
        "always success",
        "onfail success",
        "onfailok skipped (upstream_unmet: ok (success))",
        "onskip success",
        "raw success",
    ])
    .await;
}

#[tokio::test]
async fn a_cancelled_run_starts_nothing_any_more() {
    let env = Env::start().await;
    let always = json!([{"name": "long", "runOn": ["success", "failed", "cancelled"]}]);
    let sha = env.commit_jobs(json!([
        job("long", json!({})),
        job("after", json!({"needs": ["long"]})),
        job("always", json!({"needs": always})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let long = agent.take().await;
    agent.start(&long).await;
    let run = env.run_is("running").await;
    let cancel = format!("/api/v1/admin/runs/{}/cancel", run["runId"].as_str().unwrap());
    let answer = env.admin_post(&cancel, &json!({})).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"status": "cancelling", "cancelledJobs": 3})
    );
    let order = agent.next().await;
    assert_eq!((&order["type"], &order["jobId"]), (&json!("job.cancel"), &json!(long.job)));
    assert!(order.get("force").is_none());
    env.admin_post(&cancel, &json!({"force": true})).await;
    assert_eq!(agent.next().await["force"], true);
    agent.end(&long, "cancelled", json!({})).await;
    env.run_is("cancelled").await;
    agent.hears_nothing(Duration::from_millis(300)).await;
    let shown = env.shown().await;
    assert!(shown.iter().all(|job| job.contains(" cancelled")), "{shown:?}");
    let again = env.admin_post(&cancel, &json!({})).await;
    assert_eq!(again.status(), 409);
}

#[tokio::test]
async fn a_run_that_waits_for_an_agent_says_so_and_is_cancelled_at_once() {
    let env = Env::start().await;
    let gpu =
        json!({"runsOn": [{"kind": "exact", "value": "linux"}, {"kind": "exact", "value": "gpu"}]});
    let sha = env.commit_jobs(json!([job("train", gpu)]));
    let _agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let run = env.run_is("pending").await;
    kici_testkit::wait_until(crate::env::LIMIT, "a reason", async || {
        let jobs = env.jobs(&run).await;
        let reason = &jobs[0]["waitReason"];
        let wanted = json!({
            "kind": "no_matching_agent", "labels": ["linux", "gpu"], "connected": 1,
            "closest": {"agent": "a1", "lacks": ["gpu"]},
        });
        if *reason == wanted { Ok(()) } else { Err(jobs[0].to_string()) }
    })
    .await;
    let cancel = format!("/api/v1/admin/runs/{}/cancel", run["runId"].as_str().unwrap());
    let answer = env.admin_post(&cancel, &json!({})).await;
    assert_eq!(
        answer.json::<Value>().await.unwrap(),
        json!({"status": "cancelled", "cancelledJobs": 1})
    );
    env.run_is("cancelled").await;
}
