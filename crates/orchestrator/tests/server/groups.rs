//! Concurrency groups: who may work, who waits, who has to go.

use std::time::{Duration, Instant};

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, LIMIT, job, lock};

/// Long enough for something to come that must not.
const QUIET: Duration = Duration::from_millis(400);

/// A workflow of one job with a concurrency policy.
fn commit(env: &Env, policy: Value) -> String {
    let mut file = lock(json!([job("deploy", json!({}))]));
    file["workflows"][0]["concurrency"] = policy;
    env.commit_lock(&file.to_string())
}

/// A policy whose group the orchestrator can name.
fn policy(cancel: bool, max: u32) -> Value {
    json!({"hasGroup": true, "cancelInProgress": cancel, "max": max, "group": "prod"})
}

/// Waits until the runs, oldest first, are in these states.
async fn runs_are(env: &Env, wanted: &[&str]) -> Vec<Value> {
    wait_until(LIMIT, &format!("{wanted:?}"), async || {
        let runs = env.runs().await;
        let states: Vec<&str> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        if states == wanted { Ok(runs) } else { Err(format!("{runs:?}")) }
    })
    .await
}

/// Waits until the only job of a run waits for its group.
async fn waits(env: &Env, run: &Value) -> Value {
    wait_until(LIMIT, "a reason", async || {
        let jobs = env.jobs(run).await;
        let (status, reason) = (&jobs[0]["status"], &jobs[0]["waitReason"]);
        if status == "waiting" && reason["kind"] == "concurrency_limit" {
            Ok(reason.clone())
        } else {
            Err(jobs[0].to_string())
        }
    })
    .await
}

async fn end(agent: &mut FakeAgent, job: &Dispatched) {
    agent.end(job, "success", json!({})).await;
}

#[tokio::test]
async fn a_waiting_run_holds_no_agent_and_starts_when_the_first_has_ended() {
    let mut env = Env::start().await;
    let sha = commit(&env, policy(false, 1));
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    env.push("d2", &sha).await;
    let runs = runs_are(&env, &["running", "pending"]).await;
    let reason = waits(&env, &runs[1]).await;
    assert_eq!(
        reason,
        json!({"kind": "concurrency_limit", "group": "prod", "max": 1, "behind": first.run})
    );
    // It waits through a restart.
    env.stop().await;
    env.boot().await;
    let mut agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&first]).await;
    let mut other = env.agent("a2", &["linux"]).await;
    other.hears_nothing(QUIET).await;
    let ended = Instant::now();
    end(&mut agent, &first).await;
    // The first agent is free as well, and comes first by its name.
    let second = agent.take().await;
    assert_ne!(second.run, first.run);
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
    agent.start(&second).await;
    end(&mut agent, &second).await;
    runs_are(&env, &["success", "success"]).await;
}

#[tokio::test]
async fn max_runs_work_at_once_in_the_order_in_which_they_came() {
    let env = Env::start().await;
    let mut lock = lock(json!([job("deploy", json!({}))]));
    let expression = "({ branch }) => `deploy-${branch}` // per branch";
    lock["workflows"][0]["concurrency"] = json!({
        "hasGroup": true, "cancelInProgress": false, "max": 2, "group": {"_type": "inline", "expression": expression},
    });
    let sha = env.commit_lock(&lock.to_string());
    let mut agents = Vec::new();
    for id in ["a1", "a2", "a3"] {
        agents.push(env.agent(id, &["linux"]).await);
    }
    let mut jobs = Vec::new();
    for (at, agent) in agents.iter_mut().enumerate().take(2) {
        env.push(&format!("d{at}"), &sha).await;
        let job = agent.take().await;
        agent.start(&job).await;
        jobs.push(job);
    }
    for delivery in ["d3", "d4"] {
        env.push(delivery, &sha).await;
    }
    let runs = runs_are(&env, &["running", "running", "pending", "pending"]).await;
    let reason = waits(&env, &runs[3]).await;
    assert_eq!((&reason["group"], &reason["max"]), (&json!("deploy-main"), &json!(2)));
    agents[2].hears_nothing(QUIET).await;
    end(&mut agents[1], &jobs[1]).await;
    let third = agents[1].take().await;
    assert_eq!(third.run, runs[2]["runId"]);
    end(&mut agents[0], &jobs[0]).await;
    assert_eq!(agents[0].take().await.run, runs[3]["runId"]);
}

#[tokio::test]
async fn a_newer_run_takes_the_place_when_the_old_one_has_really_stopped() {
    let env = Env::start().await;
    let sha = commit(&env, policy(true, 1));
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    runs_are(&env, &["running"]).await;
    env.push("d2", &sha).await;
    let order = agent.next().await;
    assert_eq!(order["type"], "job.cancel");
    assert_eq!(order["reason"], "Superseded by run in concurrency group 'prod'");
    let mut other = env.agent("a2", &["linux"]).await;
    other.hears_nothing(QUIET).await;
    // A third one comes while the first still stops: the second never starts.
    env.push("d3", &sha).await;
    let runs = runs_are(&env, &["cancelling", "cancelled", "pending"]).await;
    assert_eq!(runs[1]["failureReason"], "Superseded by run in concurrency group 'prod'");
    let second = &env.jobs(&runs[1]).await[0];
    assert_eq!(second["endReason"], json!({"kind": "superseded", "group": "prod"}));
    agent.end(&first, "cancelled", json!({})).await;
    let third = agent.take().await;
    assert_eq!(third.run, runs[2]["runId"]);
    let runs = runs_are(&env, &["cancelled", "cancelled", "pending"]).await;
    assert_eq!(runs[0]["failureReason"], "Superseded by run in concurrency group 'prod'");
}

async fn report(agent: &mut FakeAgent, job: &Dispatched, id: &str) -> Value {
    agent.about("job.concurrency.report", job, json!({"messageId": id, "group": "g"})).await;
    agent.next().await
}

#[tokio::test]
async fn an_agent_that_waits_is_woken_with_the_id_of_its_question() {
    let env = Env::start().await;
    let sha = commit(&env, json!({"hasGroup": true, "cancelInProgress": false}));
    let (mut one, mut two) = (env.agent("a1", &["linux"]).await, env.agent("a2", &["linux"]).await);
    env.push("d1", &sha).await;
    let first = one.take().await;
    assert_eq!(first.message["jobConfig"]["hasConcurrencyGroup"], true);
    one.start(&first).await;
    let answer = report(&mut one, &first, "q1").await;
    assert_eq!((&answer["action"], &answer["requestId"]), (&json!("proceed"), &json!("q1")));
    env.push("d2", &sha).await;
    let second = two.take().await;
    two.start(&second).await;
    let answer = report(&mut two, &second, "q2").await;
    assert_eq!(
        (&answer["type"], &answer["action"]),
        (&json!("job.concurrency.ack"), &json!("wait"))
    );
    assert_eq!(answer["reason"], "Queued in concurrency group 'g'");
    // Its link breaks while it waits. It comes back with the job and asks again.
    two.vanish();
    let mut two = FakeAgent::back(env.port(), "a2", &["linux"], &[&second]).await;
    assert_eq!(report(&mut two, &second, "q2").await["action"], "wait");
    two.hears_nothing(QUIET).await;
    end(&mut one, &first).await;
    let answer = two.next().await;
    let wanted = json!({
        "type": "job.concurrency.ack", "requestId": "q2", "action": "proceed", "runId": second.run, "jobId": second.job,
    });
    assert_eq!(answer, wanted);
    end(&mut two, &second).await;
    runs_are(&env, &["success", "success"]).await;
}

#[tokio::test]
async fn an_agent_that_says_so_late_does_not_push_out_a_newer_run() {
    let env = Env::start().await;
    let sha = commit(&env, json!({"hasGroup": true}));
    let (mut one, mut two) = (env.agent("a1", &["linux"]).await, env.agent("a2", &["linux"]).await);
    env.push("d1", &sha).await;
    let old = one.take().await;
    one.start(&old).await;
    env.push("d2", &sha).await;
    let new = two.take().await;
    two.start(&new).await;
    assert_eq!(report(&mut two, &new, "new").await["action"], "proceed");
    let told = [report(&mut one, &old, "old").await, one.next().await];
    let kinds: Vec<&str> = told.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"job.cancel"), "{told:?}");
    assert!(!told.iter().any(|message| message["action"] == "proceed"), "{told:?}");
    one.end(&old, "cancelled", json!({})).await;
    let runs = runs_are(&env, &["cancelled", "running"]).await;
    assert_eq!(runs[0]["failureReason"], "Superseded by run in concurrency group 'g'");
}

#[tokio::test]
async fn jobs_of_one_group_are_alone_unless_it_is_their_environment() {
    let env = Env::start().await;
    let alone = json!({"concurrencyGroup": "database"});
    let environment = json!([{"value": "prod", "dynamic": false}]);
    let shared = json!({"concurrencyGroup": "prod", "environments": environment});
    let sha = env.commit_jobs(json!([
        job("migrate", alone.clone()),
        job("restore", alone),
        job("web", shared.clone()),
        job("api", shared),
    ]));
    let mut agents = Vec::new();
    for id in ["a1", "a2", "a3", "a4"] {
        agents.push(env.agent(id, &["linux"]).await);
    }
    env.push("d1", &sha).await;
    env.jobs_are(&["migrate queued", "restore waiting", "web queued", "api queued"]).await;
    let mut taken = Vec::new();
    for agent in &mut agents[..3] {
        let job = agent.take().await;
        agent.start(&job).await;
        taken.push(job);
    }
    let mut names: Vec<&str> = taken.iter().map(Dispatched::name).collect();
    names.sort_unstable();
    assert_eq!(names, ["api", "migrate", "web"]);
    agents[3].hears_nothing(QUIET).await;
    let at = taken.iter().position(|job| job.name() == "migrate").unwrap();
    agents[at].end(&taken[at], "failed", json!({"error": "no"})).await;
    let freed = agents[at].take().await;
    assert_eq!(freed.name(), "restore");
}

#[tokio::test]
async fn a_run_that_waits_for_too_long_ends_with_the_reason() {
    let env = Env::start_with(&[("KICI_CONCURRENCY_WAIT_TIMEOUT_MS", "1000")]).await;
    let sha = commit(&env, policy(false, 1));
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    env.push("d2", &sha).await;
    let runs = runs_are(&env, &["running", "cancelled"]).await;
    assert_eq!(runs[1]["failureReason"], "waited longer than 1000 ms for concurrency group 'prod'");
}
