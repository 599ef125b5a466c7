//! Running a run again: the whole, what failed, or one job.

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT, job, lock};

async fn rerun(env: &Env, run: &str, body: Value) -> (u16, Value) {
    let response = env.admin_post(&format!("/api/v1/admin/runs/{run}/rerun"), &body).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn detail(env: &Env, run: &str) -> Value {
    env.admin_get(&format!("/api/v1/admin/runs/{run}")).await["run"].clone()
}

/// `name status` of each job.
async fn jobs(env: &Env, run: &str) -> Vec<String> {
    let jobs = env.admin_get(&format!("/api/v1/admin/runs/{run}/jobs")).await;
    let shown = |job: &Value| {
        let kept = if job["reusedFrom"].is_string() { " kept" } else { "" };
        let status = job["status"].as_str().unwrap();
        format!("{} {status}{kept}", job["jobName"].as_str().unwrap())
    };
    jobs["jobs"].as_array().unwrap().iter().map(shown).collect()
}

async fn ends(env: &Env, run: &str, state: &str) -> Value {
    wait_until(LIMIT, &format!("run {run} to be {state}"), async || {
        let run = detail(env, run).await;
        if run["status"] == state { Ok(run) } else { Err(run) }
    })
    .await
}

fn id(answer: &Value) -> String {
    answer["runId"].as_str().unwrap().to_owned()
}

/// A run in which `test` failed after `build` gave something out.
async fn failed_run(env: &Env) -> (FakeAgent, String) {
    let always = json!([{"name": "test", "runOn": ["success", "failed", "skipped"]}]);
    let sha = env.commit_jobs(json!([
        job("build", json!({})),
        job("lint", json!({})),
        job("test", json!({"needs": ["build"]})),
        job("deploy", json!({"needs": ["test"]})),
        job("report", json!({ "needs": always })),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let outputs = json!({"outputs": {"s": {"v": 42}}});
    let build = agent.take().await;
    agent.start(&build).await;
    agent.step(&build, "success", json!({"durationMs": 5})).await;
    agent.log(&build, &["built"]).await;
    agent.end(&build, "success", outputs).await;
    agent.run("lint", "success", json!({})).await;
    agent.run("test", "failed", json!({"error": "boom"})).await;
    agent.run("report", "success", json!({})).await;
    let run = env.run_is("failed").await["runId"].as_str().unwrap().to_owned();
    (agent, run)
}

#[tokio::test]
async fn what_failed_runs_again_and_the_rest_keeps_its_results() {
    let env = Env::start().await;
    let (mut agent, first) = failed_run(&env).await;
    let (status, answer) = rerun(&env, &first, json!({"failedOnly": true})).await;
    assert_eq!((status, &answer["originalRunId"]), (201, &json!(first)), "{answer}");
    let second = id(&answer);
    let test = agent.take().await;
    assert_eq!((test.name(), test.run.as_str()), ("test", second.as_str()));
    assert_eq!(test.message["upstreamJobOutputs"], json!({"build": {"s": {"v": 42}}}));
    assert_eq!(test.message["upstreamJobStatuses"], json!({"build": "success"}));
    let payload = &test.message["jobConfig"]["event"]["payload"];
    assert_eq!(payload["ref"], "refs/heads/main", "the same event: {payload}");
    agent.start(&test).await;
    agent.end(&test, "success", json!({})).await;
    agent.run("deploy", "success", json!({})).await;
    agent.run("report", "success", json!({})).await;
    let run = ends(&env, &second, "success").await;
    assert_eq!(
        jobs(&env, &second).await,
        [
            "build success kept",
            "lint success kept",
            "test success",
            "deploy success",
            "report success"
        ]
    );
    assert_eq!(
        (&run["parentRunId"], &run["originalRunId"], &run["triggeredBy"], &run["rerunScope"]),
        (&json!(first), &json!(first), &json!("bootstrap"), &json!("failed"))
    );
    assert_eq!(run["deliveryId"], format!("rerun:{second}"));
    assert_eq!(detail(&env, &first).await["status"], "failed", "the first run stays as it was");

    // The kept job shows the steps and the log of the one that ran.
    let shown = env.admin_get(&format!("/api/v1/admin/runs/{second}/jobs?includeSteps=true")).await;
    assert_eq!(shown["jobs"][0]["steps"][0]["stepName"], "s");
    assert_eq!(env.log(&run, &shown["jobs"][0], 0).await, ["built"]);

    // A repetition of the repetition has the same root and the same kept job.
    let (status, answer) = rerun(&env, &second, json!({"failedOnly": true})).await;
    assert_eq!(status, 409);
    assert_eq!(answer["error"], "no job of this run failed: there is nothing to run again");
    let (status, answer) = rerun(&env, &second, json!({"job": "report"})).await;
    assert_eq!((status, &answer["originalRunId"]), (201, &json!(first)));
    agent.run("report", "failed", json!({})).await;
    let third = id(&answer);
    ends(&env, &third, "failed").await;
    let again = env.admin_get(&format!("/api/v1/admin/runs/{third}/jobs")).await;
    assert_eq!(again["jobs"][0]["reusedFrom"], shown["jobs"][0]["reusedFrom"]);
}

#[tokio::test]
async fn one_job_takes_along_what_needs_it() {
    let env = Env::start().await;
    let (mut agent, first) = failed_run(&env).await;
    let (status, answer) = rerun(&env, &first, json!({"job": "deploy"})).await;
    assert_eq!(status, 409);
    assert_eq!(
        answer["error"],
        "job 'deploy' needs 'test', which ended failed and is not run again; run the failed jobs again instead"
    );
    let (_, answer) = rerun(&env, &first, json!({"job": "test"})).await;
    let second = id(&answer);
    agent.run("test", "failed", json!({"error": "again"})).await;
    agent.run("report", "success", json!({})).await;
    ends(&env, &second, "failed").await;
    assert_eq!(
        jobs(&env, &second).await,
        [
            "build success kept",
            "lint success kept",
            "test failed",
            "deploy skipped",
            "report success"
        ]
    );
    let (status, answer) = rerun(&env, &first, json!({"job": "nothing"})).await;
    assert_eq!((status, &answer["error"]), (409, &json!("this run has no job 'nothing'")));
    let (status, _) = rerun(&env, &first, json!({"job": "test", "failedOnly": true})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_whole_run_runs_again_like_the_first_time_with_its_approvals() {
    let env = Env::start().await;
    let mut file = lock(json!([
        job("a", json!({"matrix": {"_type": "static", "values": ["x", "y"]}})),
        job("b", json!({"needs": ["a"]})),
    ]));
    file["workflows"][0]["approval"] = json!({"clauses": [], "when": "always"});
    let sha = env.commit_lock(&file.to_string());
    env.push("d1", &sha).await;
    let first = env.run_is("held").await["runId"].as_str().unwrap().to_owned();
    let (status, answer) = rerun(&env, &first, json!({})).await;
    assert_eq!((status, &answer["status"]), (409, &json!("held")));
    assert_eq!(answer["error"], "Run is not in a terminal state (current: held)");
    env.admin_post(&format!("/api/v1/admin/runs/{first}/cancel"), &json!({})).await;
    ends(&env, &first, "cancelled").await;

    let (status, answer) = rerun(&env, &first, json!({})).await;
    assert_eq!(status, 201, "{answer}");
    let second = id(&answer);
    assert_eq!(jobs(&env, &second).await, ["a (x) held", "a (y) held", "b pending"]);
    let holds = env.admin_get(&format!("/api/v1/admin/held-runs?runId={second}")).await;
    let hold = holds["heldRuns"][0]["id"].as_str().unwrap();
    let approve = format!("/api/v1/admin/held-runs/{hold}/approve");
    assert_eq!(env.admin_post(&approve, &json!({})).await.status(), 200);
    let mut agent = env.agent("a1", &["linux"]).await;
    for _ in 0..2 {
        let child = agent.take().await;
        agent.start(&child).await;
        agent.end(&child, "success", json!({})).await;
    }
    agent.run("b", "success", json!({})).await;
    ends(&env, &second, "success").await;
}

#[tokio::test]
async fn asking_twice_makes_one_run() {
    let env = Env::start().await;
    let (_agent, first) = failed_run(&env).await;
    let body = json!({"failedOnly": true});
    let (one, two) = tokio::join!(rerun(&env, &first, body.clone()), rerun(&env, &first, body));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(one.1, two.1);
    let keyed = |scope: Value| {
        let mut body = scope;
        body["idempotencyKey"] = json!("click-1");
        body
    };
    let (status, made) = rerun(&env, &first, keyed(json!({}))).await;
    assert_eq!(status, 201);
    assert_eq!(rerun(&env, &first, keyed(json!({}))).await, (200, made.clone()));
    let (status, error) = rerun(&env, &first, keyed(json!({"job": "test"}))).await;
    assert_eq!(status, 409);
    let wanted = format!("this key has made run {} from 'all' already", id(&made));
    assert_eq!(error["error"], wanted);
    let unknown = "00000000-0000-7000-8000-000000000000";
    assert_eq!(rerun(&env, unknown, json!({})).await.0, 404);
    assert_eq!(env.runs().await.len(), 3);
}

#[tokio::test]
async fn a_run_without_a_workflow_says_what_to_do_instead() {
    let env = Env::start().await;
    let sha = env.commit_lock("{ this is not JSON");
    env.push("d1", &sha).await;
    let run = env.run_is("failed").await["runId"].as_str().unwrap().to_owned();
    let (status, answer) = rerun(&env, &run, json!({})).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("kici-admin event-log replay"), "{answer}");
}
