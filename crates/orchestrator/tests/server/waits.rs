//! Why is it waiting? What jobs say about it while agents come, go, drain, work and refuse.

use std::time::Duration;

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT, job, lock};

fn exact(labels: &[&str]) -> Value {
    let exact = |label: &&str| json!({"kind": "exact", "value": label});
    labels.iter().map(exact).collect()
}

fn on(name: &str, labels: &[&str]) -> Value {
    job(name, json!({"runsOn": exact(labels)}))
}

/// Waits until the first job of the oldest run waits for this.
async fn waits(env: &Env, text: &str) -> Value {
    wait_until(LIMIT, text, async || {
        let runs = env.runs().await;
        let Some(run) = runs.first() else { return Err("no run".into()) };
        let job = env.jobs(run).await.remove(0);
        if job["waitMessage"] == text { Ok(job) } else { Err(job["waitMessage"].to_string()) }
    })
    .await
}

/// The reason that the queue shows for a job; a moment as `…`.
async fn queued(env: &Env, name: &str) -> String {
    let list = env.admin_get(&format!("/api/v1/admin/queue?jobName={name}")).await;
    list["entries"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

fn free(agent: &FakeAgent) -> Value {
    json!({"type": "agent.status", "messageId": "m", "agentId": agent.id, "activeJobs": 0})
}

async fn drain(agent: &mut FakeAgent) {
    let mut status = free(agent);
    status["draining"] = true.into();
    agent.say(status).await;
}

#[tokio::test]
async fn an_unroutable_job_says_what_is_missing_until_an_agent_comes_that_has_it() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([on("train", &["linux", "gpu"])]));
    env.push("d1", &sha).await;
    waits(&env, "no agent is connected; asks for [linux, gpu]").await;
    let mac = env.agent("a-mac", &["mac"]).await;
    let asks = "no connected agent matches [linux, gpu]; closest: agent";
    waits(&env, &format!("{asks} a-mac lacks linux, gpu")).await;
    let linux = env.agent("b-linux", &["linux"]).await;
    let job = waits(&env, &format!("{asks} b-linux lacks gpu")).await;
    let reason = json!({
        "kind": "no_matching_agent", "labels": ["linux", "gpu"], "connected": 2,
        "closest": {"agent": "b-linux", "lacks": ["gpu"]},
    });
    assert_eq!(job["waitReason"], reason);
    assert_eq!(queued(&env, "train").await, job["waitMessage"].as_str().unwrap());
    linux.vanish();
    waits(&env, &format!("{asks} a-mac lacks linux, gpu")).await;
    let mut gpu = env.agent("c", &["linux", "gpu"]).await;
    gpu.run("train", "success", json!({})).await;
    env.run_is("success").await;
    mac.vanish();
}

#[tokio::test]
async fn a_matching_agent_that_went_away_is_named_with_when_it_was_seen() {
    let env = Env::start().await;
    env.agent("build-3", &["gpu"]).await.vanish();
    let _other = env.agent("a", &["linux"]).await;
    let sha = env.commit_jobs(json!([on("train", &["gpu"])]));
    env.push("d1", &sha).await;
    let says = "no connected agent matches [gpu]; closest: agent a lacks gpu; agent build-3 matches, last seen ";
    wait_until(LIMIT, says, async || {
        let reason = queued(&env, "train").await;
        match reason.strip_prefix(says).and_then(|ago| ago.strip_suffix(" s ago")) {
            Some(seconds) if seconds.parse::<u32>().is_ok() => Ok(()),
            _ => Err(reason),
        }
    })
    .await;
    let run = env.runs().await.remove(0);
    let reason = env.jobs(&run).await[0]["waitReason"].clone();
    assert_eq!(reason["away"][0]["agent"], "build-3");
    reason["away"][0]["lastSeen"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
}

#[tokio::test]
async fn excluded_labels_and_patterns_are_told_apart() {
    let env = Env::start().await;
    let _spot = env.agent("s", &["linux", "spot"]).await;
    let more = json!({"runsOn": exact(&["linux"]), "excludeLabels": exact(&["spot"])});
    let sha = env.commit_jobs(json!([job("careful", more)]));
    env.push("d1", &sha).await;
    waits(
        &env,
        "no connected agent matches [linux] without [spot]; closest: agent s has the excluded label spot",
    )
    .await;
    let _calm = env.agent("t", &["linux"]).await;
    env.run_is("pending").await;
}

#[tokio::test]
async fn busy_and_draining_agents_are_counted() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([on("second", &["linux"])]));
    let mut one = env.agent("one", &["linux"]).await;
    let first = env.commit_jobs(json!([on("first", &["linux"])]));
    env.push("d0", &first).await;
    let held = one.take().await;
    waits(&env, "given to agent one, which has not said that it runs").await;
    one.start(&held).await;
    env.push("d1", &sha).await;
    let says = async |text: &str| {
        wait_until(LIMIT, text, async || {
            let reason = queued(&env, "second").await;
            if reason == text { Ok(()) } else { Err(reason) }
        })
        .await;
    };
    says("1 agent matches, it is busy").await;
    let two = env.agent("two", &["other"]).await;
    says("1 agent matches, it is busy").await;
    let again = json!({
        "type": "agent.register", "messageId": "again", "agentId": "two", "labels": ["linux"],
        "inFlightJobs": [], "version": "test",
    });
    drop(two);
    let mut two = FakeAgent::connect(env.port(), "two").await;
    two.say(again).await;
    assert_eq!(two.next().await["type"], "register.ack");
    let third = env.commit_jobs(json!([on("third", &["linux"])]));
    let second = two.take().await;
    two.start(&second).await;
    env.push("d2", &third).await;
    let third = async |text: &str| {
        wait_until(LIMIT, text, async || {
            let reason = queued(&env, "third").await;
            if reason == text { Ok(()) } else { Err(reason) }
        })
        .await;
    };
    third("2 agents match, all busy").await;
    drain(&mut two).await;
    third("2 agents match, all busy, 1 of them take no more jobs").await;
    drain(&mut one).await;
    third("matching agents take no more jobs (draining): one, two").await;
}

#[tokio::test]
async fn an_agent_that_refused_is_named_until_the_job_is_offered_again() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([on("a", &["linux"])]));
    let mut agent = env.agent("x", &["linux"]).await;
    env.push("d1", &sha).await;
    for _ in 0..3 {
        let job = agent.take().await;
        agent.about("job.reject", &job, json!({"reason": "busy"})).await;
        agent.say(free(&agent)).await;
    }
    let says = "agent x did not take it (agent rejected dispatch (busy)); offered again in ";
    wait_until(LIMIT, says, async || {
        let reason = queued(&env, "a").await;
        if reason.starts_with(says) { Ok(()) } else { Err(reason) }
    })
    .await;
    agent.run("a", "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn needs_that_are_not_met_are_named_with_their_states() {
    let env = Env::start().await;
    let mut agent = env.agent("x", &["linux"]).await;
    let jobs = json!([
        job("last", json!({"needs": ["build", "lint"]})),
        job("build", json!({})),
        on("lint", &["mac"]),
    ]);
    let sha = env.commit_jobs(jobs);
    env.push("d1", &sha).await;
    let build = agent.take().await;
    agent.start(&build).await;
    let job = waits(&env, "waiting for build (running), lint (queued)").await;
    let reason =
        json!({"kind": "needs", "upstreams": ["build", "lint"], "states": ["running", "queued"]});
    assert_eq!(job["waitReason"], reason);
    assert_eq!(job["needs"][0]["status"], "running");
    agent.end(&build, "success", json!({})).await;
    waits(&env, "waiting for lint (queued)").await;
}

#[tokio::test]
async fn a_job_that_no_agent_takes_ends_in_time_with_what_it_waited_for() {
    let env = Env::start_with(&[("KICI_QUEUE_TIMEOUT_MS", "3000")]).await;
    let _other = env.agent("x", &["mac"]).await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    env.push("d1", &sha).await;
    let why = "no connected agent matches [linux]; closest: agent x lacks linux";
    env.jobs_are(&[
        &format!("a timed_out_stale (Queue timeout expired (job was never dispatched to an agent): {why})"),
        "b skipped (upstream_unmet: a (timed_out_stale))",
    ])
    .await;
    let run = env.run_is("failed").await;
    assert_eq!(run["failureReason"], "Failed jobs: a");
    let job = env.jobs(&run).await.remove(0);
    assert_eq!(job["endReason"]["kind"], "queue_expired");
    assert_eq!(job["endReason"]["waited"]["closest"]["agent"], "x");
    let at = |key: &str| job[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let waited = at("completedAt").duration_since(at("readyAt")).as_millis();
    assert!((3000..13_000).contains(&waited), "{waited}");
}

#[tokio::test]
async fn agents_of_another_orchestrator_count_and_two_have_one_opinion() {
    let env = Env::start().await;
    let other = env.another().await;
    let there = FakeAgent::ready(other.address.port(), "there", &["linux"]).await;
    let mut here = env.agent("here", &["mac"]).await;
    let jobs: Vec<Value> = (0..20).map(|n| on(&format!("j{n:02}"), &["linux", "gpu"])).collect();
    let sha = env.commit_jobs(json!(jobs));
    env.push("d1", &sha).await;
    let text = "no connected agent matches [linux, gpu]; closest: agent there lacks gpu";
    waits(&env, text).await;
    let run = env.runs().await.remove(0);
    let pool = sqlx::PgPool::connect(env.db.url()).await.unwrap();
    let written = async || -> Vec<String> {
        sqlx::query_scalar("SELECT xmin::text || ctid::text FROM selector ORDER BY id")
            .fetch_all(&pool)
            .await
            .unwrap()
    };
    let before = written().await;
    for _ in 0..8 {
        for job in env.jobs(&run).await {
            assert_eq!(job["waitMessage"], text);
        }
        here.hears_nothing(Duration::from_millis(400)).await;
    }
    assert_eq!(written().await, before, "nothing changed, so nothing is written");
    there.vanish();
    waits(&env, "no connected agent matches [linux, gpu]; closest: agent here lacks linux, gpu")
        .await;
    pool.close().await;
    other.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_reason_is_not_taken_for_stuck() {
    let env = Env::start().await;
    let matrix =
        json!({"matrix": {"_type": "static", "values": ["a", "b", "c"]}, "maxParallel": 1});
    let approval = json!({"approval": {"clauses": [], "when": "always"}});
    let needs = json!({"needs": ["held", "fan"]});
    let jobs = [job("fan", matrix), job("held", approval), job("last", needs), on("gpu", &["gpu"])];
    let mut file = lock(json!(jobs));
    file["workflows"][0]["concurrency"] =
        json!({"hasGroup": true, "cancelInProgress": false, "max": 1, "group": "prod"});
    let sha = env.commit_lock(&file.to_string());
    env.push("d1", &sha).await;
    env.run_is("pending").await;
    env.push("d2", &sha).await;
    let second = wait_until(LIMIT, "the second run to wait for its group", async || {
        let runs = env.runs().await;
        let [_, second] = runs.as_slice() else { return Err(format!("{runs:?}")) };
        let jobs = env.jobs(second).await;
        match jobs[0]["waitReason"]["kind"] == "concurrency_limit" {
            true => Ok(jobs),
            false => Err(format!("{jobs:?}")),
        }
    })
    .await;
    let kinds: Vec<&Value> = second.iter().map(|job| &job["waitReason"]["kind"]).collect();
    let group = "concurrency_limit";
    assert_eq!(kinds, [group, "wave", "wave", "approval", "needs", group]);
    let store = kici_store::Store::connect(env.db.url(), kici_store::Connect::default());
    let store = store.await.unwrap();
    let mut conn = store.connection().await.unwrap();
    assert!(kici_store::job::job_stuck(&mut conn, 100).await.unwrap().is_empty());
    assert!(kici_store::window::window_stuck(&mut conn, 100).await.unwrap().is_empty());
    drop(conn);
    store.close().await;
    let wanted = "kici_orch_dispatch_queue_depth_by_label{status=\"pending\",label=\"gpu\"} 1";
    wait_until(LIMIT, wanted, async || {
        let text = env.client.get(env.url("/metrics")).send().await.unwrap().text().await.unwrap();
        assert!(text.lines().any(|line| line == "kici_orch_repaired_total{kind=\"job\"} 0"));
        if text.lines().any(|line| line == wanted) { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn a_tainted_agent_gets_only_jobs_that_name_its_taint() {
    let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
    let body = json!({"labels": ["linux"], "mandatoryLabels": ["gpu"]});
    let made: Value = env.admin_post("/api/v1/agent-tokens", &body).await.json().await.unwrap();
    let mut agent = FakeAgent::connect(env.port(), "tainted").await;
    agent.say(json!({"type": "auth.request", "token": made["token"], "protocolVersion": 1})).await;
    assert_eq!(agent.next().await["type"], "auth.success");
    agent.register(&["linux", "gpu"], &[]).await;
    assert_eq!(agent.next().await["type"], "register.ack");
    let pattern = json!({"runsOn": [{"kind": "regex", "source": "^(gpu|linux)$", "flags": ""}]});
    let jobs =
        json!([on("plain", &["linux"]), job("pattern", pattern), on("named", &["linux", "gpu"])]);
    let sha = env.commit_jobs(jobs);
    env.push("d1", &sha).await;
    agent.run("named", "success", json!({})).await;
    let why = "closest: agent tainted only takes jobs that ask for gpu";
    waits(&env, &format!("no connected agent matches [linux]; {why}")).await;
    agent.hears_nothing(Duration::from_millis(1500)).await;
    env.jobs_are(&["plain queued", "pattern queued", "named success"]).await;
}
