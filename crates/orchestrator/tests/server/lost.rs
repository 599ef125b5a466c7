//! Jobs whose agents are lost: who gets another attempt, what is recorded, and what late words do.

use std::time::Duration;

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::crash::start;
use crate::env::{Env, LIMIT, job};

const SHORT: (&str, &str) = ("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500");
const RETRY: (&str, &str) = ("KICI_AGENT_LOST_RETRIES", "1");

async fn started(env: &Env, id: &str) -> (FakeAgent, Dispatched) {
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent(id, &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.step(&job, "running", json!({})).await;
    env.jobs_are(&["a running"]).await;
    (agent, job)
}

/// `attempt agent reason` of each recorded attempt of the only job.
async fn attempts(env: &Env) -> Vec<String> {
    let run = env.runs().await.remove(0);
    let jobs = env.jobs(&run).await;
    let shown = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", one["attempt"], text("agentId"), text("message"))
    };
    jobs[0]["attempts"].as_array().map(|all| all.iter().map(shown).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_started_job_is_not_run_again_unasked() {
    let env = Env::start_with(&[SHORT]).await;
    let (agent, _) = started(&env, "a").await;
    let mut idle = env.agent("b", &["linux"]).await;
    agent.vanish();
    env.run_is("failed").await;
    assert_eq!(attempts(&env).await, ["1 a agent a was lost"]);
    idle.hears_nothing(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn an_allowed_attempt_runs_elsewhere_and_late_words_change_nothing() {
    let env = Env::start_with(&[SHORT, RETRY]).await;
    let (agent, lost) = started(&env, "a").await;
    agent.vanish();
    let mut second = env.agent("b", &["linux"]).await;
    let again = second.take().await;
    assert_eq!(again.job, lost.job);
    second.start(&again).await;
    // The first agent has been alive all the time, and is back with its result.
    let mut late = FakeAgent::back(env.port(), "a", &["linux"], &[&lost]).await;
    assert_eq!(late.next().await["type"], "job.cancel");
    late.step(&lost, "failed", json!({"error": "late"})).await;
    late.end(&lost, "failed", json!({"error": "late"})).await;
    late.hears_nothing(Duration::from_millis(300)).await;
    env.jobs_are(&["a running"]).await;
    second.step(&again, "success", json!({})).await;
    second.end(&again, "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(
        (&jobs[0]["agentId"], &jobs[0]["steps"][0]["status"]),
        (&json!("b"), &json!("success"))
    );
    assert_eq!(attempts(&env).await, ["1 a agent a was lost"]);
}

#[tokio::test]
async fn the_allowed_attempts_are_counted_across_a_kill() {
    let mut env = Env::start_with(&[SHORT, RETRY]).await;
    env.stop().await;
    let mut process = start(&mut env);
    let (agent, _) = started(&env, "a").await;
    agent.vanish();
    env.jobs_are(&["a queued"]).await;
    process.kill();
    let _process = start(&mut env);
    let mut agent = env.agent("b", &["linux"]).await;
    let again = agent.take().await;
    agent.start(&again).await;
    env.jobs_are(&["a running"]).await;
    agent.vanish();
    env.run_is("failed").await;
    assert_eq!(attempts(&env).await, ["1 a agent a was lost", "2 b agent b was lost"]);
}

#[tokio::test]
async fn a_refusal_is_counted_and_its_pause_kept_across_kills() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = start(&mut env);
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    for attempt in 1..=3 {
        let job = agent.take().await;
        agent.about("job.reject", &job, json!({"reason": "busy"})).await;
        wait_until(LIMIT, "the refusal to be written", async || {
            let written = attempts(&env).await;
            if written.len() == attempt { Ok(()) } else { Err(format!("{written:?}")) }
        })
        .await;
        process.kill();
        process = start(&mut env);
        agent = env.agent("a", &["linux"]).await;
    }
    // The third pause has five seconds; a restart does not shorten it.
    agent.hears_nothing(Duration::from_millis(1500)).await;
    assert_eq!(attempts(&env).await[2], "3 a agent rejected dispatch (busy)");
    agent.run("a", "success", json!({})).await;
    env.run_is("success").await;
    process.kill();
}

#[tokio::test]
async fn a_deadline_for_the_acknowledgement_outlives_the_orchestrator() {
    let mut env = Env::start_with(&[("KICI_DISPATCH_ACK_TIMEOUT_MS", "3000")]).await;
    env.stop().await;
    let mut process = start(&mut env);
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut deaf = env.agent("a-deaf", &["linux"]).await;
    env.push("d1", &sha).await;
    let lost = deaf.take().await;
    process.kill();
    let _process = start(&mut env);
    let mut good = env.agent("b-good", &["linux"]).await;
    let job = good.run("a", "success", json!({})).await;
    assert_eq!(job.job, lost.job);
    env.run_is("success").await;
}

#[tokio::test]
async fn a_cancel_of_an_absent_agents_job_is_kept_for_its_return_across_a_kill() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = start(&mut env);
    let (agent, job) = started(&env, "a").await;
    agent.vanish();
    env.jobs_are(&["a recovering"]).await;
    let run = env.runs().await.remove(0);
    let (_, answer) = env.cancel(&run, &json!({"force": true})).await;
    assert_eq!(answer["status"], "cancelling");
    process.kill();
    let _process = start(&mut env);
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    let heard = agent.next().await;
    assert_eq!((&heard["type"], &heard["force"]), (&json!("job.cancel"), &json!(true)));
    agent.end(&job, "cancelled", json!({})).await;
    let run = env.run_is("cancelled").await;
    assert_eq!(run["failureReason"], "force cancelled via API");
}

#[tokio::test]
async fn a_cancelled_run_ends_although_nobody_confirms() {
    let env = Env::start_with(&[SHORT]).await;
    let sha = env.commit_jobs(json!([
        job("a", json!({})),
        job("b", json!({"needs": [{"name": "a", "runOn": ["success", "failed", "cancelled"]}]})),
    ]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let run = env.run_is("running").await;
    let (_, answer) = env.cancel(&run, &json!({})).await;
    assert_eq!(answer, json!({"status": "cancelling", "cancelledJobs": 2}));
    assert_eq!(agent.next().await["type"], "job.cancel");
    agent.vanish();
    env.run_is("cancelled").await;
    let shown = env.shown().await;
    assert!(
        shown[0].starts_with("a cancelled (cancelled: agent a did not confirm in time"),
        "{shown:?}"
    );
    assert!(shown[1].starts_with("b cancelled"), "`always` does not outlive its run: {shown:?}");
}

#[tokio::test]
async fn a_job_without_a_sign_of_life_ends_and_one_that_waits_does_not() {
    let env = Env::start_with(&[
        ("KICI_JOB_HEARTBEAT_INTERVAL_MS", "500"),
        ("KICI_STALE_DETECTOR_SCAN_INTERVAL_MS", "500"),
    ])
    .await;
    let sha = env.commit_jobs(json!([
        job("a", json!({})),
        job("b", json!({"needs": ["a"]})),
        job("c", json!({"runsOn": [{"kind": "exact", "value": "gpu"}]})),
    ]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let heard = agent.next().await;
    assert_eq!((&heard["type"], &heard["force"]), (&json!("job.cancel"), &json!(true)));
    env.jobs_are(&[
        "a timed_out_stale (No heartbeat received for 1s)",
        "b skipped (upstream_unmet: a (timed_out_stale))",
        "c queued",
    ])
    .await;
}
