//! From a push to a run that ended.

use reqwest::StatusCode;
use serde_json::json;

use crate::env::{Env, job};

#[tokio::test]
async fn a_push_becomes_a_run() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job(
            "build",
            json!({"env": {"A": "1"}, "timeout": 60000, "gracePeriod": 5, "checkout": false})
        ),
        job("test", json!({"needs": ["build"]})),
    ]));
    let response = env.push("d1", &sha).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let mut agent = env.agent("a1", &["linux"]).await;

    let build = agent.take().await;
    let config = &build.message["jobConfig"];
    assert_eq!(build.message["sha"], sha);
    assert_eq!(config["name"], "build");
    assert_eq!(config["workflowName"], "ci");
    assert_eq!(config["source"], json!({"file": ".kici/workflows/ci.ts", "export": "#default"}));
    assert_eq!(config["contentHash"], "ab");
    assert_eq!(config["event"]["type"], "push");
    assert_eq!(config["event"]["targetBranch"], "main");
    assert_eq!(config["event"]["payload"]["after"], sha);
    assert_eq!(config["jobEnv"], json!({"A": "1"}));
    assert_eq!(
        (&config["timeout"], &config["gracePeriod"], &config["checkout"]),
        (&json!(60000), &json!(5), &json!(false))
    );
    agent.start(&build).await;
    let run = env.run_is("running").await;
    assert_eq!(run["ref"], "main");
    agent.step(&build, "running", json!({})).await;
    agent.step(&build, "success", json!({"durationMs": 5})).await;
    agent.end(&build, "success", json!({"outputs": {"s": {"v": 42}}})).await;

    let test = agent.take().await;
    assert_eq!(test.name(), "test");
    assert_eq!(test.message["upstreamJobOutputs"], json!({"build": {"s": {"v": 42}}}));
    assert_eq!(test.message["upstreamJobStatuses"], json!({"build": "success"}));
    assert_eq!(test.message["jobConfig"]["needs"], json!(["build"]));
    agent.start(&test).await;
    agent.end(&test, "success", json!({})).await;

    let run = env.run_is("success").await;
    assert!(run["durationMs"].as_i64().unwrap() >= 0 && run["failureReason"].is_null());
    let jobs = env.jobs(&run).await;
    assert_eq!(jobs[0]["agentId"], "a1");
    assert_eq!(jobs[0]["steps"][0]["status"], "success");
    assert_eq!(
        jobs[1]["needs"],
        json!([{"upstreamName": "build", "runOn": ["success"], "status": "success"}])
    );
}

#[tokio::test]
async fn a_failed_step_is_the_reason_that_everybody_sees() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let a = agent.take().await;
    agent.start(&a).await;
    agent.step(&a, "failed", json!({"error": {"message": "no such file", "exitCode": 2}})).await;
    let results =
        json!({"stepResults": [{"name": "s", "status": "failed", "error": "no such file"}]});
    agent.end(&a, "failed", results).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: a");
    env.jobs_are(&["a failed (step 's' failed: no such file)"]).await;
    let step = env.jobs(&run).await[0]["steps"][0].clone();
    assert_eq!((&step["exitCode"], &step["errorMessage"]), (&json!(2), &json!("no such file")));
}

#[tokio::test]
async fn a_matrix_runs_as_children_and_is_seen_as_one() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job(
            "m",
            json!({"matrix": {"_type": "static", "values": {"os": ["lin", "mac"], "node": ["18"]}}})
        ),
        job("fin", json!({"needs": ["m"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let first = agent.run("m (18, lin)", "success", json!({"outputs": {"s": {"v": 1}}})).await;
    let config = &first.message["jobConfig"];
    assert_eq!(config["matrixValues"], json!({"node": "18", "os": "lin"}));
    assert_eq!(
        (&config["baseJobName"], &config["fanoutIndex"], &config["fanoutTotal"]),
        (&json!("m"), &json!(0), &json!(2))
    );
    agent.run("m (18, mac)", "success", json!({"outputs": {"s": {"v": 2}}})).await;
    let fin = agent.run("fin", "success", json!({})).await;
    assert_eq!(
        fin.message["upstreamJobOutputs"],
        json!({"m": {
            "byMatrix": {"18, lin": {"s": {"v": 1}}, "18, mac": {"s": {"v": 2}}},
            "merged": {"s": {"v": 2}},
        }})
    );
    env.run_is("success").await;
}

#[tokio::test]
async fn computed_values_are_evaluated_and_a_wrong_one_fails_its_job() {
    let env = Env::start().await;
    let inline = |expression: &str| json!({"_type": "inline", "expression": expression});
    let sha = env.commit_jobs(json!([
        job("a", json!({"dynamicEnv": true, "env": inline("(event) => ({ BRANCH: event.targetBranch })")})),
        job("b", json!({"environments": [{"value": inline("(event) => 5"), "dynamic": true}]})),
        job("c", json!({"dynamicEnv": true, "env": inline("function(){ while(true){} }")})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    let a = agent.run("a", "success", json!({})).await;
    assert_eq!(a.message["jobConfig"]["jobEnv"], json!({"BRANCH": "main"}));
    env.run_is("failed").await;
    let shown = env.shown().await;
    assert!(
        shown[1].contains("environment of job 'b'") && shown[1].contains("expected a string"),
        "{shown:?}"
    );
    assert!(shown[2].contains("env of job 'c'") && shown[2].contains("100 ms"), "{shown:?}");
}

#[tokio::test]
async fn a_corrupt_lock_file_is_a_failed_run_that_says_why() {
    for (lock, words) in [
        ("{nope", "is not valid JSON"),
        (r#"{"schemaVersion": 28, "workflows": []}"#, "schemaVersion 28 is incompatible"),
        ("[]", "missing or invalid schemaVersion"),
    ] {
        let env = Env::start().await;
        let sha = env.commit_lock(lock);
        assert_eq!(env.push("d1", &sha).await.status(), StatusCode::ACCEPTED);
        let run = env.run_is("failed").await;
        assert_eq!(run["workflowName"], "(unresolved workflow)");
        let reason = run["failureReason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
        assert!(env.jobs(&run).await.is_empty());
    }
}

#[tokio::test]
async fn a_lock_file_written_by_hand_cannot_take_the_orchestrator_down() {
    let env = Env::start().await;
    let mut lock = crate::env::lock(json!([job("a", json!({})), {"_type": "from-the-future"}]));
    lock["workflows"][0]["triggers"] = json!([
        {"_type": "push", "branches": [{"type": "regex", "pattern": "("}], "paths": []},
        {"_type": "from-the-future"},
        {"_type": "push", "branches": [], "paths": []},
    ]);
    let sha = env.commit_lock(&lock.to_string());
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    agent.run("a", "success", json!({})).await;
    env.run_is("success").await;
}
