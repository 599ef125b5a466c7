//! Fan-outs: names, turns, what stops them and what their downstream sees.

use serde_json::{Value, json};

use crate::env::{Env, job};

fn list(values: &[&str]) -> Value {
    json!({"_type": "static", "values": values})
}

#[tokio::test]
async fn one_child_at_a_time_in_the_order_of_labels_and_downstream_sees_all_outputs() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("arr", json!({"matrix": list(&["c", "b", "a"]), "maxParallel": 1})),
        job("after", json!({"needs": ["arr"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agents = [env.agent("a1", &["linux"]).await, env.agent("a2", &["linux"]).await];
    let mut order = Vec::new();
    for _ in 0..3 {
        let (job, agent) = {
            let [first, second] = &mut agents;
            tokio::select! {
                job = first.take() => (job, first),
                job = second.take() => (job, second),
            }
        };
        agent.start(&job).await;
        let shown = env.shown().await;
        let under_way = |job: &&String| job.ends_with(" queued") || job.ends_with(" running");
        assert_eq!(shown.iter().filter(under_way).count(), 1, "{shown:?}");
        let value = job.config()["matrixValues"]["value"].clone();
        assert_eq!(job.config()["fanoutTotal"], 3);
        order.push((job.name().to_owned(), job.config()["fanoutIndex"].clone()));
        agent.end(&job, "success", json!({"outputs": {"s": {"v": value}}})).await;
    }
    assert_eq!(
        order,
        [("arr (a)".into(), json!(0)), ("arr (b)".into(), json!(1)), ("arr (c)".into(), json!(2))]
    );
    let (after, agent) = {
        let [first, second] = &mut agents;
        tokio::select! {
            job = first.take() => (job, first),
            job = second.take() => (job, second),
        }
    };
    assert_eq!(
        after.message["upstreamJobOutputs"]["arr"],
        json!({
            "byMatrix": {"a": {"s": {"v": "a"}}, "b": {"s": {"v": "b"}}, "c": {"s": {"v": "c"}}},
            "merged": {"s": {"v": "c"}},
        })
    );
    assert_eq!(
        after.message["upstreamJobStatuses"],
        json!({"arr (a)": "success", "arr (b)": "success", "arr (c)": "success"})
    );
    agent.start(&after).await;
    agent.end(&after, "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn a_child_that_waits_for_its_turn_says_so() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("first", json!({})),
        job("arr", json!({"matrix": list(&["a", "b"]), "maxParallel": 1, "needs": ["first"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let first = agent.take().await;
    let run = env.run_is("pending").await;
    let reason = &env.jobs(&run).await[2]["waitReason"];
    assert_eq!(*reason, json!({"kind": "needs", "upstreams": ["first"], "states": ["queued"]}));
    agent.start(&first).await;
    agent.end(&first, "success", json!({})).await;
    let a = agent.take().await;
    assert_eq!(a.name(), "arr (a)");
    let reason = &env.jobs(&run).await[2]["waitReason"];
    assert_eq!(*reason, json!({"kind": "wave", "maxParallel": 1}));
    agent.start(&a).await;
    agent.end(&a, "failed", json!({"error": "boom"})).await;
    agent.run("arr (b)", "success", json!({})).await;
    env.run_is("failed").await;
}

#[tokio::test]
async fn the_first_failure_halts_the_rest_and_skips_what_needs_them() {
    let env = Env::start().await;
    let matrix = list(&["a", "b", "c", "d"]);
    let sha = env.commit_jobs(json!([
        job("arr", json!({"matrix": matrix, "maxParallel": 2, "failFast": true})),
        job("after", json!({"needs": ["arr"]})),
    ]));
    env.push("d1", &sha).await;
    let mut one = env.agent("a1", &["linux"]).await;
    let mut two = env.agent("a2", &["linux"]).await;
    let (a, b) = (one.take().await, two.take().await);
    one.start(&a).await;
    two.start(&b).await;
    one.end(&a, "failed", json!({"error": "boom"})).await;
    env.jobs_are(&[
        &format!("{} failed (boom)", a.name()),
        &format!("{} running", b.name()),
        "arr (c) skipped (fan-out halted by failFast)",
        "arr (d) skipped (fan-out halted by failFast)",
        &format!("after skipped (upstream_unmet: {} (failed))", a.name()),
    ])
    .await;
    two.end(&b, "success", json!({})).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], format!("Failed jobs: {}", a.name()));
}

#[tokio::test]
async fn a_matrix_that_cannot_be_expanded_fails_and_its_siblings_go_on() {
    let env = Env::start().await;
    let values: Vec<String> = (0..257).map(|i| i.to_string()).collect();
    let sha = env.commit_jobs(json!([
        job("none", json!({"matrix": list(&[])})),
        job("many", json!({"matrix": {"_type": "static", "values": values}})),
        job("m", json!({
            "matrix": {"_type": "static", "values": {"os": ["lin", "mac"], "node": ["18", "20"]}},
            "exclude": [{"os": "mac", "node": "18"}],
            "include": [{"os": "win", "node": "22", "extra": "y"}],
        })),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let first = agent.take().await;
    assert_eq!(first.config()["matrixValues"], json!({"node": "18", "os": "lin"}));
    agent.start(&first).await;
    agent.end(&first, "success", json!({})).await;
    for _ in 0..3 {
        let job = agent.take().await;
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
    }
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: none, many");
    env.jobs_are(&[
        "none failed (matrix for job 'none' expands to zero combinations)",
        "many failed (matrix for job 'many' expands to 257 combinations (max 256))",
        "m (18, lin) success",
        "m (20, lin) success",
        "m (20, mac) success",
        "m (win, 22, y) success",
    ])
    .await;
}

#[tokio::test]
async fn a_cancel_stops_those_that_wait_for_their_turn_as_well() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job(
        "arr",
        json!({"matrix": list(&["a", "b", "c"]), "maxParallel": 1})
    )]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let a = agent.take().await;
    agent.start(&a).await;
    let run = env.run_is("running").await;
    let cancel = format!("/api/v1/admin/runs/{}/cancel", run["runId"].as_str().unwrap());
    assert_eq!(env.admin_post(&cancel, &json!({})).await.status(), 200);
    agent.next().await;
    agent.end(&a, "cancelled", json!({})).await;
    env.run_is("cancelled").await;
    let shown = env.shown().await;
    assert!(shown.iter().all(|job| job.contains(" cancelled")), "{shown:?}");
}
