//! Running runs again whose jobs came to be while they ran, or follow each other.

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, LIMIT, job};

/// What an agent needs to run and to evaluate.
const LABELS: &[&str] = &["linux", "kici:role:init-runner", "kici:os:linux", "kici:arch:x64"];

fn generator(index: usize) -> Value {
    json!({
        "_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "index": index}, "group": "g",
    })
}

fn group() -> Value {
    json!({"group": "g", "runOn": ["success"]})
}

async fn take(agent: &mut FakeAgent, name: &str) -> Dispatched {
    let job = agent.take().await;
    assert_eq!(job.name(), name);
    agent.start(&job).await;
    job
}

/// The first run, ended.
async fn ended(env: &Env, state: &str) -> String {
    env.run_is(state).await["runId"].as_str().unwrap().to_owned()
}

async fn again(env: &Env, run: &str, body: Value) -> (u16, Value) {
    let response = env.admin_post(&format!("/api/v1/admin/runs/{run}/rerun"), &body).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn made(env: &Env, run: &str, body: Value) -> String {
    let (status, answer) = again(env, run, body).await;
    assert_eq!(status, 201, "{answer}");
    answer["runId"].as_str().unwrap().to_owned()
}

async fn jobs_are(env: &Env, run: &str, wanted: &[&str]) -> Vec<Value> {
    wait_until(LIMIT, &format!("{wanted:?}"), async || {
        let jobs = env.admin_get(&format!("/api/v1/admin/runs/{run}/jobs")).await["jobs"].clone();
        let jobs = jobs.as_array().unwrap().clone();
        let shown: Vec<String> = jobs
            .iter()
            .map(|job| {
                let kept = if job["reusedFrom"].is_string() { " kept" } else { "" };
                let text = |key: &str| job[key].as_str().unwrap_or_default();
                format!("{} {}{kept}", text("jobName"), text("status"))
            })
            .collect();
        if shown == wanted { Ok(jobs) } else { Err(format!("{shown:?}")) }
    })
    .await
}

async fn approve(env: &Env, run: &str) {
    let path = format!("/api/v1/admin/held-runs?runId={run}&status=pending");
    let hold = wait_until(LIMIT, "a pending hold", async || {
        let list = env.admin_get(&path).await["heldRuns"].clone();
        match list.as_array().map(Vec::as_slice) {
            Some([hold]) => Ok(hold["id"].as_str().unwrap().to_owned()),
            _ => Err(list),
        }
    })
    .await;
    let path = format!("/api/v1/admin/held-runs/{hold}/approve");
    assert_eq!(env.admin_post(&path, &json!({})).await.status(), 200);
}

#[tokio::test]
async fn generated_jobs_that_failed_run_again_beside_those_that_succeeded() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([generator(0), job("fin", json!({"needs": [group()]}))]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let approval = json!({"clauses": [], "when": "always"});
    let jobs = [
        job("a", json!({})),
        job("b", json!({"needs": ["a"], "approval": approval, "concurrencyGroup": "lane"})),
    ];
    let run = take(&mut agent, "__dynamic__ci__0").await;
    agent.end(&run, "success", json!({"dynamicComplete": true, "dynamicJobs": jobs})).await;
    let a = take(&mut agent, "a").await;
    agent.end(&a, "success", json!({"outputs": {"s": {"v": 1}}})).await;
    // A generated job asks for its approval like any other.
    env.jobs_are(&["__dynamic__ci__0 success", "fin pending", "a success", "b held"]).await;
    let first = env.runs().await[0]["runId"].as_str().unwrap().to_owned();
    approve(&env, &first).await;
    let b = take(&mut agent, "b").await;
    let group_of = b.message["jobConfig"]["dynamicSource"].clone();
    agent.end(&b, "failed", json!({"error": "boom"})).await;
    ended(&env, "failed").await;

    let second = made(&env, &first, json!({"failedOnly": true})).await;
    jobs_are(
        &env,
        &second,
        &["__dynamic__ci__0 success kept", "fin pending", "a success kept", "b held"],
    )
    .await;
    approve(&env, &second).await;
    let b = take(&mut agent, "b").await;
    assert_eq!(b.run, second);
    assert_eq!(b.message["upstreamJobOutputs"], json!({"a": {"s": {"v": 1}}}));
    // It finds itself among the jobs of its generator.
    assert_eq!(b.message["jobConfig"]["dynamicSource"], group_of);
    agent.end(&b, "success", json!({})).await;
    let fin = take(&mut agent, "fin").await;
    assert_eq!(fin.message["upstreamJobGroups"], json!({"g": ["a", "b"]}));
    agent.end(&fin, "success", json!({})).await;
    let jobs = ["__dynamic__ci__0 success kept", "fin success", "a success kept", "b success"];
    jobs_are(&env, &second, &jobs).await;

    // The generator cannot run beside what it made.
    let (status, answer) = again(&env, &first, json!({"job": "__dynamic__ci__0"})).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("run the whole run again"), "{answer}");
    // The whole run begins with the generator, and only what that gives now.
    let third = made(&env, &first, json!({})).await;
    let generator = take(&mut agent, "__dynamic__ci__0").await;
    let jobs = [job("c", json!({}))];
    agent.end(&generator, "success", json!({"dynamicComplete": true, "dynamicJobs": jobs})).await;
    let c = take(&mut agent, "c").await;
    agent.end(&c, "success", json!({})).await;
    let fin = take(&mut agent, "fin").await;
    agent.end(&fin, "success", json!({})).await;
    jobs_are(&env, &third, &["__dynamic__ci__0 success", "fin success", "c success"]).await;
}

#[tokio::test]
async fn a_generator_that_failed_runs_again() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("other", json!({})),
        generator(1),
        job("fin", json!({"needs": [group()]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    agent.run("other", "success", json!({})).await;
    agent
        .run("__dynamic__ci__1", "failed", json!({"dynamicFailed": true, "error": "no network"}))
        .await;
    let first = ended(&env, "failed").await;
    let second = made(&env, &first, json!({"failedOnly": true})).await;
    let generator = take(&mut agent, "__dynamic__ci__1").await;
    let jobs = [job("a", json!({}))];
    agent.end(&generator, "success", json!({"dynamicComplete": true, "dynamicJobs": jobs})).await;
    agent.run("a", "success", json!({})).await;
    agent.run("fin", "success", json!({})).await;
    jobs_are(
        &env,
        &second,
        &["other success kept", "__dynamic__ci__1 success", "fin success", "a success"],
    )
    .await;
}

#[tokio::test]
async fn computed_values_stay_and_a_computed_group_is_computed_again() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("env", json!({"dynamicEnv": true})),
        job("lane", json!({"dynamicConcurrencyGroup": true, "dynamicEnv": true})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let values = |more: Value| {
        let mut result = json!({"env": {"A": "1"}});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"initComplete": true, "initResult": result})
    };
    for name in ["__init__ci__env", "__init__ci__lane"] {
        let init = take(&mut agent, name).await;
        let more =
            if name.ends_with("lane") { json!({"concurrencyGroup": "g"}) } else { json!({}) };
        agent.end(&init, "success", values(more)).await;
    }
    for name in ["env", "lane"] {
        agent.run(name, "failed", json!({"error": "boom"})).await;
    }
    let first = ended(&env, "failed").await;
    let second = made(&env, &first, json!({"failedOnly": true})).await;
    jobs_are(
        &env,
        &second,
        &["__init__ci__env success kept", "env queued", "__init__ci__lane queued", "lane pending"],
    )
    .await;
    let job = take(&mut agent, "env").await;
    assert_eq!(job.message["jobConfig"]["jobEnv"], json!({"A": "1"}));
    agent.end(&job, "success", json!({})).await;
    let init = take(&mut agent, "__init__ci__lane").await;
    agent.end(&init, "success", values(json!({"concurrencyGroup": "g"}))).await;
    let job = take(&mut agent, "lane").await;
    assert_eq!(job.message["jobConfig"]["jobEnv"], json!({"A": "1"}));
    let path = format!("/api/v1/admin/runs/{second}");
    assert_eq!(env.admin_get(&path).await["run"]["status"], "running");
    agent.end(&job, "success", json!({})).await;
    jobs_are(
        &env,
        &second,
        &[
            "__init__ci__env success kept",
            "env success",
            "__init__ci__lane success",
            "lane success",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_children_of_a_computed_matrix_run_again_one_by_one() {
    let env = Env::start().await;
    let matrix =
        json!({"_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "jobName": "m"}});
    let approval = json!({"clauses": [], "when": "always"});
    let sha = env.commit_jobs(json!([
        job("m", json!({"matrix": matrix, "maxParallel": 1, "approval": approval})),
        job("fin", json!({"needs": ["m"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let init = take(&mut agent, "__init__ci__m").await;
    let result = json!({"initComplete": true, "initResult": {"matrixValues": ["a", "b", "c"]}});
    agent.end(&init, "success", result).await;
    let run = env.runs().await[0]["runId"].as_str().unwrap().to_owned();
    // Each child has its own approval, and its turn before that.
    for (child, state) in [("a", "success"), ("b", "failed"), ("c", "failed")] {
        approve(&env, &run).await;
        let child = take(&mut agent, &format!("m ({child})")).await;
        agent.end(&child, state, json!({"outputs": {"s": {"v": 1}}})).await;
    }
    let first = ended(&env, "failed").await;
    let second = made(&env, &first, json!({"failedOnly": true})).await;
    let init = "__init__ci__m success kept";
    jobs_are(
        &env,
        &second,
        &[init, "fin pending", "m (a) success kept", "m (b) held", "m (c) pending"],
    )
    .await;
    for child in ["b", "c"] {
        approve(&env, &second).await;
        let child = take(&mut agent, &format!("m ({child})")).await;
        assert_eq!(child.config()["fanoutTotal"], 3);
        agent.end(&child, "success", json!({"outputs": {"s": {"v": 2}}})).await;
    }
    let fin = take(&mut agent, "fin").await;
    let outputs = &fin.message["upstreamJobOutputs"]["m"]["byMatrix"];
    assert_eq!(*outputs, json!({"a": {"s": {"v": 1}}, "b": {"s": {"v": 2}}, "c": {"s": {"v": 2}}}));
    agent.end(&fin, "success", json!({})).await;
    jobs_are(
        &env,
        &second,
        &[init, "fin success", "m (a) success kept", "m (b) success", "m (c) success"],
    )
    .await;
}

#[tokio::test]
async fn a_repeated_fan_out_keeps_its_turns_and_stops_at_a_failure() {
    let env = Env::start().await;
    let matrix = json!({"_type": "static", "values": ["a", "b", "c", "d"]});
    let sha = env.commit_jobs(json!([
        job("m", json!({"matrix": matrix, "maxParallel": 1, "failFast": true})),
        job("after", json!({"needs": ["m"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    agent.run("m (a)", "success", json!({})).await;
    agent.run("m (b)", "failed", json!({"error": "boom"})).await;
    let first = ended(&env, "failed").await;
    let second = made(&env, &first, json!({"failedOnly": true})).await;
    jobs_are(
        &env,
        &second,
        &["m (a) success kept", "m (b) queued", "m (c) pending", "m (d) pending", "after pending"],
    )
    .await;
    agent.run("m (b)", "success", json!({})).await;
    agent.run("m (c)", "failed", json!({"error": "boom"})).await;
    jobs_are(
        &env,
        &second,
        &["m (a) success kept", "m (b) success", "m (c) failed", "m (d) skipped", "after skipped"],
    )
    .await;
    let third = made(&env, &second, json!({"failedOnly": true})).await;
    for child in ["m (c)", "m (d)", "after"] {
        agent.run(child, "success", json!({})).await;
    }
    jobs_are(
        &env,
        &third,
        &[
            "m (a) success kept",
            "m (b) success kept",
            "m (c) success",
            "m (d) success",
            "after success",
        ],
    )
    .await;
}
