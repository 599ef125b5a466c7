//! Host fan-outs together with matrices, computed values, generators and reruns.

use kici_testkit::wait_until;
use serde_json::json;

use super::{on_all, take};
use crate::env::{Env, LIMIT, job};

/// What an agent needs to run and to evaluate.
const EVALUATOR: &[&str] = &["linux", "kici:role:init-runner", "kici:os:linux", "kici:arch:x64"];

#[tokio::test]
async fn a_matrix_runs_on_each_host() {
    let env = Env::start().await;
    let matrix = json!({"_type": "static", "values": {"node": ["20", "18"]}});
    let sha = env.commit_jobs(json!([
        on_all("m", "web", json!({"matrix": matrix})),
        job("after", json!({"needs": ["m"]})),
    ]));
    let mut a = env.agent("a", &["web"]).await;
    let mut b = env.agent("b", &["web", "linux"]).await;
    env.push("d1", &sha).await;
    for (agent, host, first) in [(&mut a, "a", 0), (&mut b, "b", 2)] {
        for (node, rank) in [("20", 1), ("18", 0)] {
            let job = take(agent, &format!("m ({host}, {node})")).await;
            assert_eq!(job.config()["matrixValues"], json!({"node": node}));
            assert_eq!(job.config()["fanoutIndex"], first + rank);
            assert_eq!(job.config()["host"], host);
            agent.end(&job, "success", json!({"outputs": {"s": {"v": node}}})).await;
        }
    }
    let after = take(&mut b, "after").await;
    let outputs = &after.message["upstreamJobOutputs"]["m"];
    assert_eq!(outputs["byHost"]["b, 18"], json!({"s": {"v": "18"}}));
    assert_eq!(outputs["summary"]["succeededHosts"], json!(["a, 18", "a, 20", "b, 18", "b, 20"]));
    b.end(&after, "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn computed_values_and_matrices_reach_every_host() {
    let env = Env::start().await;
    let computed =
        json!({"_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "jobName": "dyn"}});
    let sha = env.commit_jobs(json!([
        on_all("env", "web", json!({"dynamicEnv": true})),
        on_all("dyn", "web", json!({"matrix": computed})),
        job("after", json!({"needs": ["dyn"]})),
    ]));
    let mut evaluator = env.agent("z", EVALUATOR).await;
    let mut a = env.agent("a", &["web"]).await;
    let mut b = env.agent("b", &["web"]).await;
    env.push("d1", &sha).await;
    let init = take(&mut evaluator, "__init__ci__env").await;
    evaluator
        .end(&init, "success", json!({"initComplete": true, "initResult": {"env": {"A": "1"}}}))
        .await;
    let init = take(&mut evaluator, "__init__ci__dyn").await;
    for (agent, name) in [(&mut a, "env (a)"), (&mut b, "env (b)")] {
        let job = take(agent, name).await;
        assert_eq!(job.config()["jobEnv"], json!({"A": "1"}));
        agent.end(&job, "success", json!({})).await;
    }
    // A host that comes before the matrix is known is one of them.
    let mut c = env.agent("c", &["web"]).await;
    let matrix = json!({"initComplete": true, "initResult": {"matrixValues": ["x"]}});
    evaluator.end(&init, "success", matrix).await;
    for (agent, name) in [(&mut a, "dyn (a, x)"), (&mut b, "dyn (b, x)"), (&mut c, "dyn (c, x)")] {
        agent.run(name, "success", json!({})).await;
    }
    evaluator.run("after", "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn a_generator_makes_jobs_for_all_hosts_of_its_moment() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        {"_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "index": 0}, "group": "g"},
        job("fin", json!({"needs": [{"group": "g", "runOn": ["success"]}]})),
    ]));
    env.push("d1", &sha).await;
    let mut evaluator = env.agent("z", EVALUATOR).await;
    let mut a = env.agent("a", &["web"]).await;
    let generator = take(&mut evaluator, "__dynamic__ci__0").await;
    let mut b = env.agent("b", &["web"]).await;
    let made = json!({"dynamicComplete": true, "dynamicJobs": [on_all("roll", "web", json!({}))]});
    evaluator.end(&generator, "success", made).await;
    let on_a = take(&mut a, "roll (a)").await;
    assert_eq!(on_a.config()["dynamicSource"]["expectedJobNames"], json!(["roll"]));
    assert_eq!(on_a.config()["host"], "a");
    a.end(&on_a, "success", json!({"outputs": {"s": {"v": 1}}})).await;
    b.run("roll (b)", "success", json!({})).await;
    let fin = take(&mut evaluator, "fin").await;
    assert_eq!(fin.message["upstreamJobGroups"], json!({"g": ["roll (a)", "roll (b)"]}));
    assert_eq!(fin.message["upstreamJobOutputs"]["roll (a)"], json!({"s": {"v": 1}}));
    evaluator.end(&fin, "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn a_whole_rerun_takes_the_hosts_of_now_and_one_of_the_failed_the_same_hosts() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([on_all("roll", "web", json!({}))]));
    let mut a = env.agent("a", &["web"]).await;
    let mut b = env.agent("b", &["web"]).await;
    env.push("d1", &sha).await;
    a.run("roll (a)", "success", json!({})).await;
    b.run("roll (b)", "failed", json!({"error": "boom"})).await;
    let first = env.run_is("failed").await["runId"].as_str().unwrap().to_owned();
    let mut c = env.agent("c", &["web"]).await;
    let again = async |failed_only: bool| {
        let path = format!("/api/v1/admin/runs/{first}/rerun");
        let answer = env.admin_post(&path, &json!({"failedOnly": failed_only})).await;
        assert_eq!(answer.status(), 201);
        let answer: serde_json::Value = answer.json().await.unwrap();
        answer["runId"].as_str().unwrap().to_owned()
    };
    let ends = async |run: &str, wanted: &[&str]| {
        wait_until(LIMIT, &format!("{wanted:?}"), async || {
            let jobs =
                env.admin_get(&format!("/api/v1/admin/runs/{run}/jobs")).await["jobs"].clone();
            let shown: Vec<String> = jobs
                .as_array()
                .unwrap()
                .iter()
                .map(|job| {
                    let kept = if job["reusedFrom"].is_string() { " kept" } else { "" };
                    format!(
                        "{} {}{kept}",
                        job["jobName"].as_str().unwrap(),
                        job["status"].as_str().unwrap()
                    )
                })
                .collect();
            if shown == wanted { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    };
    let failed = again(true).await;
    b.run("roll (b)", "success", json!({})).await;
    ends(&failed, &["roll (a) success kept", "roll (b) success"]).await;
    let whole = again(false).await;
    for (agent, name) in [(&mut a, "roll (a)"), (&mut b, "roll (b)"), (&mut c, "roll (c)")] {
        agent.run(name, "success", json!({})).await;
    }
    ends(&whole, &["roll (a) success", "roll (b) success", "roll (c) success"]).await;
}
