//! Places of concurrency groups from one run to the next: in time, through kills, across orchestrators.

use std::time::{Duration, Instant};

use kici_testkit::{Process, wait_until};
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::crash::{spawn, start};
use crate::env::{Env, LIMIT, job, lock};

/// Long enough for something to come that must not.
const QUIET: Duration = Duration::from_millis(400);

/// A workflow of one job in group `prod`.
fn commit(env: &Env, cancel: bool, max: u32) -> String {
    let mut file = lock(json!([job("deploy", json!({}))]));
    file["workflows"][0]["concurrency"] =
        json!({"hasGroup": true, "cancelInProgress": cancel, "max": max, "group": "prod"});
    env.commit_lock(&file.to_string())
}

/// Waits until the runs, oldest first, are in these states.
async fn runs_are(env: &Env, wanted: &[&str]) -> Vec<Value> {
    wait_until(LIMIT, &format!("{wanted:?}"), async || {
        let runs = env.runs().await;
        let states: Vec<&str> = runs.iter().map(|run| run["status"].as_str().unwrap()).collect();
        if states == wanted { Ok(runs) } else { Err(format!("{states:?}")) }
    })
    .await
}

/// Waits until a run says behind which other it waits.
async fn waits_behind(env: &Env, run: &Value, other: &str) {
    let wanted = json!({"kind": "concurrency_limit", "group": "prod", "max": 1, "behind": other});
    wait_until(LIMIT, "the reason of a run that waits", async || {
        let job = env.jobs(run).await.remove(0);
        let waits = job["status"] == "waiting" && job["waitReason"] == wanted;
        if waits { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
}

/// An environment whose orchestrator is a process that can be killed; agents and tests find it on the same port again.
async fn killable() -> (Env, Process) {
    let port = kici_testkit::free_port().to_string();
    let mut env = Env::start_with(&[("KICI_PORT", port.as_str())]).await;
    env.stop().await;
    let process = start(&mut env);
    (env, process)
}

/// Kills the orchestrator and starts it again.
fn kill(env: &mut Env, process: &mut Process) {
    process.kill();
    *process = start(env);
    // The old one keeps connections that died with the last process.
    env.client = reqwest::Client::new();
}

#[tokio::test]
async fn the_next_run_starts_within_a_second_of_the_last_ones_end() {
    let env = Env::start().await;
    let sha = commit(&env, false, 1);
    let mut agent = env.agent("a1", &["linux"]).await;
    for delivery in ["d1", "d2", "d3", "d4"] {
        env.push(delivery, &sha).await;
    }
    let runs = runs_are(&env, &["pending"; 4]).await;
    let mut pauses = Vec::new();
    let mut ended = None;
    for run in &runs {
        let job = agent.take().await;
        pauses.extend(ended.map(|ended: Instant| ended.elapsed()));
        assert_eq!(run["runId"], job.run, "in the order in which they came");
        agent.start(&job).await;
        agent.end(&job, "success", json!({})).await;
        ended = Some(Instant::now());
    }
    runs_are(&env, &["success"; 4]).await;
    // A machine that is busy with other tests may be late once.
    let quickest = pauses.iter().min().unwrap();
    assert!(*quickest <= Duration::from_secs(1), "{pauses:?}");
}

#[tokio::test]
async fn a_run_waits_through_kills_of_the_orchestrator() {
    let (mut env, mut process) = killable().await;
    let sha = commit(&env, false, 1);
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    env.push("d2", &sha).await;
    for _ in 0..2 {
        let runs = runs_are(&env, &["running", "pending"]).await;
        waits_behind(&env, &runs[1], &first.run).await;
        kill(&mut env, &mut process);
        agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&first]).await;
    }
    let mut other = env.agent("a2", &["linux"]).await;
    other.hears_nothing(QUIET).await;
    agent.end(&first, "success", json!({})).await;
    let second = agent.take().await;
    assert_ne!(second.run, first.run);
    agent.start(&second).await;
    agent.end(&second, "success", json!({})).await;
    runs_are(&env, &["success", "success"]).await;
    other.hears_nothing(QUIET).await;
}

#[tokio::test]
async fn the_third_of_two_places_waits_through_a_kill() {
    let (mut env, mut process) = killable().await;
    let sha = commit(&env, false, 2);
    let mut held: Vec<(FakeAgent, Dispatched)> = Vec::new();
    for (id, delivery) in [("a1", "d1"), ("a2", "d2")] {
        let mut agent = env.agent(id, &["linux"]).await;
        env.push(delivery, &sha).await;
        let job = agent.take().await;
        agent.start(&job).await;
        held.push((agent, job));
    }
    env.push("d3", &sha).await;
    let runs = runs_are(&env, &["running", "running", "pending"]).await;
    kill(&mut env, &mut process);
    for (at, id) in ["a1", "a2"].into_iter().enumerate() {
        held[at].0 = FakeAgent::back(env.port(), id, &["linux"], &[&held[at].1]).await;
    }
    let mut free = env.agent("a3", &["linux"]).await;
    free.hears_nothing(QUIET).await;
    let (agent, job) = &mut held[1];
    agent.end(job, "success", json!({})).await;
    let third = agent.take().await;
    assert_eq!(runs[2]["runId"], third.run);
    free.hears_nothing(QUIET).await;
}

/// Two workflows of one group, whose jobs run on agents of their own.
fn commit_two(env: &Env, policy: Value) -> String {
    let on = |label: &str| job("deploy", json!({"runsOn": [{"kind": "exact", "value": label}]}));
    let mut file = lock(json!([on("one")]));
    file["workflows"][0]["concurrency"] = policy;
    let mut other = file["workflows"][0].clone();
    other["name"] = "ci-two".into();
    other["jobs"] = json!([on("two")]);
    file["workflows"].as_array_mut().unwrap().push(other);
    env.commit_lock(&file.to_string())
}

#[tokio::test]
async fn a_place_goes_to_a_run_whose_agent_is_at_another_orchestrator() {
    let env = Env::start().await;
    let other = env.another().await;
    let policy = json!({"hasGroup": true, "cancelInProgress": false, "group": "prod"});
    let sha = commit_two(&env, policy);
    let mut here = env.agent("here", &["one"]).await;
    let mut there = FakeAgent::ready(other.address.port(), "there", &["two"]).await;
    env.push("d1", &sha).await;
    let first = here.take().await;
    here.start(&first).await;
    there.hears_nothing(QUIET).await;
    here.end(&first, "success", json!({})).await;
    let second = there.take().await;
    there.start(&second).await;
    there.end(&second, "success", json!({})).await;
    runs_are(&env, &["success", "success"]).await;
    other.stop().await;
}

#[tokio::test]
async fn an_agent_that_waits_at_another_orchestrator_is_told_when_the_place_is_free() {
    let env = Env::start().await;
    let other = env.another().await;
    let sha = commit_two(&env, json!({"hasGroup": true, "cancelInProgress": false}));
    let mut here = env.agent("here", &["one"]).await;
    let mut there = FakeAgent::ready(other.address.port(), "there", &["two"]).await;
    env.push("d1", &sha).await;
    let (first, second) = (here.take().await, there.take().await);
    for (agent, job, action) in [(&mut here, &first, "proceed"), (&mut there, &second, "wait")] {
        agent.start(job).await;
        let question = json!({"messageId": job.job, "group": "g"});
        agent.about("job.concurrency.report", job, question).await;
        assert_eq!(agent.next().await["action"], action);
    }
    there.hears_nothing(QUIET).await;
    here.end(&first, "success", json!({})).await;
    let answer = there.next().await;
    assert_eq!((&answer["action"], &answer["requestId"]), (&json!("proceed"), &json!(second.job)));
    there.end(&second, "success", json!({})).await;
    runs_are(&env, &["success", "success"]).await;
    other.stop().await;
}

#[tokio::test]
async fn a_place_outlives_the_orchestrator_of_its_run() {
    let env = Env::start().await;
    let (mut doomed, port) = spawn(&env);
    let policy = json!({"hasGroup": true, "cancelInProgress": false, "group": "prod"});
    let sha = commit_two(&env, policy);
    let mut there = FakeAgent::ready(port, "there", &["one"]).await;
    let mut here = env.agent("here", &["two"]).await;
    env.push("d1", &sha).await;
    let first = there.take().await;
    there.start(&first).await;
    runs_are(&env, &["running", "pending"]).await;
    doomed.kill();
    here.hears_nothing(QUIET).await;
    // Its agent finds the other one; the run goes on, and the next waits until it has ended.
    let mut there = FakeAgent::back(env.port(), "there", &["one"], &[&first]).await;
    here.hears_nothing(QUIET).await;
    there.end(&first, "success", json!({})).await;
    let second = here.take().await;
    here.start(&second).await;
    here.end(&second, "success", json!({})).await;
    runs_are(&env, &["success", "success"]).await;
}

#[tokio::test]
async fn a_superseded_run_is_stopped_through_a_kill_and_the_new_one_waits_for_that() {
    let (mut env, mut process) = killable().await;
    let sha = commit(&env, true, 1);
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    runs_are(&env, &["running"]).await;
    env.push("d2", &sha).await;
    let order = agent.next().await;
    assert_eq!(order["reason"], "Superseded by run in concurrency group 'prod'");
    kill(&mut env, &mut process);
    let mut agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&first]).await;
    let order = agent.next().await;
    assert_eq!((&order["type"], &order["jobId"]), (&json!("job.cancel"), &json!(first.job)));
    assert_eq!(order["reason"], "Superseded by run in concurrency group 'prod'");
    let mut other = env.agent("a2", &["linux"]).await;
    other.hears_nothing(QUIET).await;
    agent.end(&first, "cancelled", json!({})).await;
    let second = agent.take().await;
    let runs = runs_are(&env, &["cancelled", "pending"]).await;
    assert_eq!(runs[0]["failureReason"], "Superseded by run in concurrency group 'prod'");
    assert_eq!(runs[1]["runId"], second.run);
}

#[tokio::test]
async fn a_superseded_run_whose_agent_never_confirms_makes_room_when_its_time_is_up() {
    let window = ("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "1000");
    let env = Env::start_with(&[window]).await;
    let sha = commit(&env, true, 1);
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let first = agent.take().await;
    agent.start(&first).await;
    runs_are(&env, &["running"]).await;
    env.push("d2", &sha).await;
    assert_eq!(agent.next().await["type"], "job.cancel");
    let mut other = env.agent("a2", &["linux"]).await;
    let gone = Instant::now();
    agent.vanish();
    let second = other.take().await;
    // Twice the delay of a reconnect.
    assert!(gone.elapsed() >= Duration::from_secs(2), "{:?}", gone.elapsed());
    let runs = runs_are(&env, &["cancelled", "pending"]).await;
    assert_eq!(runs[0]["failureReason"], "Superseded by run in concurrency group 'prod'");
    assert_eq!(runs[1]["runId"], second.run);
}

/// A workflow that may take five seconds: a job, and one that wants to hear of its end in any case.
fn commit_limited(env: &Env) -> String {
    let always = json!([{"name": "deploy", "runOn": ["success", "failed", "cancelled"]}]);
    let mut file = lock(json!([job("deploy", json!({})), job("report", json!({"needs": always}))]));
    file["workflows"][0]["timeout"] = json!(5000);
    env.commit_lock(&file.to_string())
}

const OVER: &str = "workflow_timeout: run exceeded the workflow timeout of 5000ms";

#[tokio::test]
async fn a_run_that_exceeds_its_limit_is_cancelled_then() {
    let env = Env::start().await;
    let sha = commit_limited(&env);
    let mut agent = env.agent("a1", &["linux"]).await;
    let pushed = Instant::now();
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let order = agent.next().await;
    let after = pushed.elapsed();
    assert_eq!((&order["type"], &order["reason"]), (&json!("job.cancel"), &json!(OVER)));
    agent.end(&job, "cancelled", json!({})).await;
    let run = env.run_is("cancelled").await;
    assert_eq!(run["failureReason"], OVER);
    let five = Duration::from_secs(5);
    assert!((five..five + Duration::from_secs(1)).contains(&after), "{after:?}");
    env.jobs_are(&["deploy cancelled", &format!("report cancelled ({OVER})")]).await;
    agent.hears_nothing(QUIET).await;
}

#[tokio::test]
async fn a_limit_passes_while_the_orchestrator_is_down() {
    let (mut env, mut process) = killable().await;
    let sha = commit_limited(&env);
    let pushed = Instant::now();
    let mut agent = env.agent("a1", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    env.run_is("running").await;
    process.kill();
    let over = tokio::time::Instant::from_std(pushed + Duration::from_secs(6));
    tokio::time::sleep_until(over).await;
    let _process = start(&mut env);
    env.client = reqwest::Client::new();
    let mut agent = FakeAgent::back(env.port(), "a1", &["linux"], &[&job]).await;
    let order = agent.next().await;
    assert_eq!((&order["type"], &order["reason"]), (&json!("job.cancel"), &json!(OVER)));
    agent.end(&job, "cancelled", json!({})).await;
    let run = env.run_is("cancelled").await;
    assert_eq!(run["failureReason"], OVER);
    assert_eq!(env.shown().await[0], "deploy cancelled");
}
