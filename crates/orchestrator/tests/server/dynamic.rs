//! Jobs and values that are known only when an agent has evaluated them.

use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, job};

/// What an agent needs to run and to evaluate.
const LABELS: &[&str] = &["linux", "kici:role:init-runner", "kici:os:linux", "kici:arch:x64"];

fn generator(index: usize, group: &str, needs: Value) -> Value {
    let mut entry = json!({
        "_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "index": index}, "group": group,
    });
    if !needs.is_null() {
        entry["needs"] = needs;
        entry["resultAware"] = true.into();
    }
    entry
}

fn group(name: &str) -> Value {
    json!({"group": name, "runOn": ["success"]})
}

fn made(jobs: &[Value]) -> Value {
    json!({"dynamicComplete": true, "dynamicJobs": jobs})
}

async fn take(agent: &mut FakeAgent, name: &str) -> Dispatched {
    let job = agent.take().await;
    assert_eq!(job.name(), name);
    agent.start(&job).await;
    job
}

#[tokio::test]
async fn a_group_is_done_when_its_generator_and_all_its_jobs_are() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("src", json!({})),
        generator(1, "shards", Value::Null),
        generator(2, "aware", json!(["src", group("shards")])),
        job("fin", json!({"needs": [group("shards"), group("aware")]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;

    let first = agent.take().await;
    assert_eq!(first.name(), "src");
    agent.start(&first).await;
    agent.end(&first, "success", json!({"outputs": {"s": {"v": 1}}})).await;

    let shards = take(&mut agent, "__dynamic__ci__1").await;
    let config = &shards.message["jobConfig"];
    assert_eq!(config["dynamicJobFn"], true);
    assert_eq!(config["source"], json!({"file": ".kici/workflows/ci.ts", "index": 1}));
    assert_eq!((&config["timeoutMs"], &config["event"]["type"]), (&json!(120_000), &json!("push")));
    assert!(config.get("upstreamSnapshot").is_none());
    agent
        .end(
            &shards,
            "success",
            made(&[job("s1", json!({})), job("s2", json!({"needs": ["src", "s1"]}))]),
        )
        .await;

    let s1 = take(&mut agent, "s1").await;
    let source = &s1.message["jobConfig"]["dynamicSource"];
    assert_eq!(source["index"], 1);
    assert_eq!(source["expectedJobNames"], json!(["s1", "s2"]));
    assert_eq!(source["event"]["type"], "push");
    agent.end(&s1, "success", json!({"outputs": {"s": {"v": 2}}})).await;
    let s2 = take(&mut agent, "s2").await;
    assert_eq!(
        s2.message["upstreamJobOutputs"],
        json!({"src": {"s": {"v": 1}}, "s1": {"s": {"v": 2}}})
    );
    agent.end(&s2, "success", json!({})).await;

    let aware = take(&mut agent, "__dynamic__ci__2").await;
    let snapshot = json!({
        "jobs": {"src": {"s": {"v": 1}}, "s1": {"s": {"v": 2}}, "s2": {}},
        "groups": {"shards": ["s1", "s2"]},
        "statuses": {"src": "success", "s1": "success", "s2": "success"},
    });
    assert_eq!(aware.message["jobConfig"]["upstreamSnapshot"], snapshot);
    agent.end(&aware, "success", made(&[job("g1", json!({}))])).await;
    let g1 = take(&mut agent, "g1").await;
    assert_eq!(g1.message["jobConfig"]["dynamicSource"]["upstreamSnapshot"], snapshot);
    agent.end(&g1, "success", json!({})).await;

    let fin = take(&mut agent, "fin").await;
    assert_eq!(fin.message["upstreamJobGroups"], json!({"shards": ["s1", "s2"], "aware": ["g1"]}));
    assert_eq!(
        fin.message["upstreamJobStatuses"],
        json!({"s1": "success", "s2": "success", "g1": "success"})
    );
    agent.end(&fin, "success", json!({})).await;
    env.run_is("success").await;
    env.jobs_are(&[
        "src success",
        "__dynamic__ci__1 success",
        "__dynamic__ci__2 success",
        "fin success",
        "s1 success",
        "s2 success",
        "g1 success",
    ])
    .await;
}

#[tokio::test]
async fn a_group_without_jobs_satisfies_who_needs_it_and_a_failed_generator_does_not() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        generator(0, "none", Value::Null),
        generator(1, "bad", Value::Null),
        job("after-none", json!({"needs": [group("none")]})),
        job("after-bad", json!({"needs": [group("bad")]})),
        job("anyway", json!({"needs": [{"group": "bad", "runOn": ["success", "failed"]}]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let none = take(&mut agent, "__dynamic__ci__0").await;
    agent.end(&none, "success", made(&[])).await;
    let bad = take(&mut agent, "__dynamic__ci__1").await;
    agent
        .end(
            &bad,
            "failed",
            json!({"dynamicFailed": true, "error": "the job generator failed: no"}),
        )
        .await;
    agent.run("after-none", "success", json!({})).await;
    agent.run("anyway", "success", json!({})).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: __dynamic__ci__1");
    env.jobs_are(&[
        "__dynamic__ci__0 success",
        "__dynamic__ci__1 failed (the job generator failed: no)",
        "after-none success",
        "after-bad skipped (upstream_unmet: __dynamic__ci__1 (failed))",
        "anyway success",
    ])
    .await;
    let jobs = env.jobs(&run).await;
    assert_eq!(jobs[1]["endReason"]["category"], "dynamic_eval");
}

#[tokio::test]
async fn generated_jobs_obey_needs_matrices_and_rules_about_names() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job("slow", json!({})),
        generator(1, "g", Value::Null),
        generator(2, "clash", Value::Null),
        job("after", json!({"needs": [group("g")]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let mut other = env.agent("a2", LABELS).await;
    let slow = take(&mut agent, "slow").await;
    let g = take(&mut other, "__dynamic__ci__1").await;
    let matrix = json!({"_type": "static", "values": ["p", "q"]});
    other
        .end(
            &g,
            "success",
            made(&[
                job("m", json!({"matrix": matrix, "needs": ["slow"]})),
                job("e", json!({"matrix": {"_type": "static", "values": []}})),
                job("x", json!({"needs": ["nobody"]})),
                job("y", json!({"needs": [{"name": "e", "runOn": ["failed"]}]})),
            ]),
        )
        .await;
    let clash = take(&mut other, "__dynamic__ci__2").await;
    other.end(&clash, "success", made(&[job("slow", json!({}))])).await;
    other.run("y", "success", json!({})).await;
    agent.end(&slow, "success", json!({})).await;
    let mut ran = Vec::new();
    for agent in [&mut agent, &mut other] {
        let job = agent.take().await;
        agent.start(&job).await;
        assert_eq!(
            job.message["jobConfig"]["dynamicSource"]["expectedJobNames"],
            json!(["m", "e", "x", "y"])
        );
        assert_eq!(job.message["jobConfig"]["baseJobName"], "m");
        agent.end(&job, "success", json!({})).await;
        ran.push(job.name().to_owned());
    }
    ran.sort();
    assert_eq!(ran, ["m (p)", "m (q)"]);
    env.run_is("failed").await;
    env.jobs_are(&[
        "slow success",
        "__dynamic__ci__1 success",
        "__dynamic__ci__2 failed (the job generator gave a job named 'slow', which the run has already; rename one of them)",
        "after skipped (upstream_unmet: e (failed))",
        "m (p) success",
        "m (q) success",
        "e failed (matrix for job 'e' expands to zero combinations)",
        "x failed (scheduler invariant violated: job 'x' needs 'nobody', which the workflow does not have)",
        "y success",
    ])
    .await;
}

#[tokio::test]
async fn a_cycle_that_generated_jobs_close_fails_everybody_in_it() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        generator(0, "g", Value::Null),
        job("s", json!({"needs": [group("g")]})),
        job("after", json!({"needs": ["s"]})),
        job("free", json!({})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let g = take(&mut agent, "__dynamic__ci__0").await;
    agent
        .end(&g, "success", made(&[job("made", json!({"needs": ["s"]})), job("fine", json!({}))]))
        .await;
    agent.run("free", "success", json!({})).await;
    agent.run("fine", "success", json!({})).await;
    env.run_is("failed").await;
    let shown = env.shown().await;
    let cycle = |name: &str| {
        shown.iter().any(|job| job.starts_with(&format!("{name} failed (cycle detected: ")))
    };
    assert!(cycle("s") && cycle("made"), "{shown:?}");
    assert!(shown.contains(&"after skipped (upstream_unmet: s (failed))".to_owned()), "{shown:?}");
    assert!(shown.contains(&"fine success".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn values_that_only_an_agent_can_compute_come_before_their_job() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        job(
            "dyn",
            json!({"dynamicEnv": true, "environments": [{"value": "", "dynamic": true}],
                          "dynamicConcurrencyGroup": true})
        ),
        job("bad", json!({"dynamicEnv": true})),
        job("after", json!({"needs": ["dyn"]})),
        job("never", json!({"needs": ["bad"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let init = take(&mut agent, "__init__ci__dyn").await;
    let config = &init.message["jobConfig"];
    for (key, value) in [
        ("initOnly", json!(true)),
        ("targetJobName", json!("dyn")),
        ("source", json!(".kici/workflows/ci.ts")),
        ("dynamicEnvironment", json!(true)),
        ("dynamicEnv", json!(true)),
        ("dynamicConcurrencyGroup", json!(true)),
        ("dynamicMatrix", json!(false)),
        ("timeoutMs", json!(60_000)),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    let result = json!({"environmentNames": ["prod"], "env": {"A": "1"}, "concurrencyGroup": "g"});
    agent.end(&init, "success", json!({"initComplete": true, "initResult": result})).await;
    let bad = take(&mut agent, "__init__ci__bad").await;
    agent
        .end(&bad, "failed", json!({"initFailed": true, "error": "env of job 'bad' failed: boom"}))
        .await;
    let dyn_job = take(&mut agent, "dyn").await;
    assert_eq!(dyn_job.message["jobConfig"]["jobEnv"], json!({"A": "1"}));
    assert_eq!(dyn_job.message["jobConfig"]["environment"], "prod");
    agent.end(&dyn_job, "success", json!({})).await;
    agent.run("after", "success", json!({})).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["environment"], "prod");
    env.jobs_are(&[
        "__init__ci__dyn success",
        "dyn success",
        "__init__ci__bad failed (env of job 'bad' failed: boom)",
        "bad failed (env of job 'bad' failed: boom)",
        "after success",
        "never skipped (upstream_unmet: bad (failed))",
    ])
    .await;
    let jobs = env.jobs(&run).await;
    assert_eq!(jobs[3]["endReason"]["category"], "dynamic_eval");
}

#[tokio::test]
async fn a_computed_matrix_takes_the_place_of_its_job() {
    let env = Env::start().await;
    let matrix = |job: &str| json!({"_type": "dynamic", "source": {"file": ".kici/workflows/ci.ts", "jobName": job}});
    let sha = env.commit_jobs(json!([
        job("m", json!({"matrix": matrix("m")})),
        job("empty", json!({"matrix": matrix("empty")})),
        job("fin", json!({"needs": ["m"]})),
        job("none", json!({"needs": ["empty"]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let init = take(&mut agent, "__init__ci__m").await;
    agent
        .end(
            &init,
            "success",
            json!({"initComplete": true, "initResult": {"matrixValues": {"v": ["b", "a"]}}}),
        )
        .await;
    let empty = take(&mut agent, "__init__ci__empty").await;
    agent
        .end(&empty, "success", json!({"initComplete": true, "initResult": {"matrixValues": []}}))
        .await;
    for _ in 0..2 {
        let child = agent.take().await;
        agent.start(&child).await;
        let value = child.message["jobConfig"]["matrixValues"]["v"].clone();
        assert_eq!(child.message["jobConfig"]["fanoutTotal"], 2);
        agent.end(&child, "success", json!({"outputs": {"s": {"v": value}}})).await;
    }
    let fin = take(&mut agent, "fin").await;
    assert_eq!(
        fin.message["upstreamJobOutputs"]["m"]["byMatrix"],
        json!({"a": {"s": {"v": "a"}}, "b": {"s": {"v": "b"}}})
    );
    agent.end(&fin, "success", json!({})).await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: empty");
    env.jobs_are(&[
        "__init__ci__m success",
        "__init__ci__empty success",
        "empty failed (matrix for job 'empty' expands to zero combinations)",
        "fin success",
        "none skipped (upstream_unmet: empty (failed))",
        "m (b) success",
        "m (a) success",
    ])
    .await;
    let jobs = env.jobs(&run).await;
    assert_eq!(jobs[2]["endReason"]["category"], "matrix_expansion");
}

#[tokio::test]
async fn a_sibling_that_is_not_generated_again_is_dropped() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        generator(0, "g", Value::Null),
        job("fin", json!({"needs": [group("g")]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let g = take(&mut agent, "__dynamic__ci__0").await;
    agent.end(&g, "success", made(&[job("a", json!({})), job("b", json!({"needs": ["a"]}))])).await;
    let a = take(&mut agent, "a").await;
    agent
        .about(
            "job.status",
            &a,
            json!({"state": "success", "data": {}, "droppedJobs": ["b", "fin"]}),
        )
        .await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: b");
    env.jobs_are(&[
        "__dynamic__ci__0 success",
        "fin skipped (upstream_unmet: b (drift_dropped))",
        "a success",
        "b drift_dropped (determinism drift: job dropped by re-evaluation on executing agent)",
    ])
    .await;
}

#[tokio::test]
async fn a_cancelled_run_gets_no_jobs_any_more() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([
        generator(0, "g", Value::Null),
        job("fin", json!({"needs": [{"group": "g", "runOn": ["success", "failed", "cancelled"]}]})),
    ]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", LABELS).await;
    let g = take(&mut agent, "__dynamic__ci__0").await;
    let run = env.run_is("running").await;
    let cancel = format!("/api/v1/admin/runs/{}/cancel", run["runId"].as_str().unwrap());
    env.admin_post(&cancel, &json!({})).await;
    agent.end(&g, "success", made(&[job("a", json!({}))])).await;
    env.run_is("cancelled").await;
    let shown = env.shown().await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.iter().all(|job| job.contains(" cancelled")), "{shown:?}");
}
