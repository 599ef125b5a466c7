//! An agent that keeps what it is not told to be stored: nothing is lost, whatever becomes of the orchestrator.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::crash;
use crate::env::{Env, job};

/// What an agent has to say about a job from its start to its end, with log messages 1 to 3.
async fn say_all(agent: &mut FakeAgent, job: &Dispatched) {
    let id = |id: &str| json!({"messageId": id});
    let with = |id: &str, more: Value| {
        let mut message = json!({"messageId": id});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    agent.about("job.ack", job, id("taken")).await;
    agent.about("job.status", job, with("running", json!({"state": "running"}))).await;
    let step = |state: &str| json!({"stepIndex": 0, "stepName": "s", "state": state});
    agent.about("step.status", job, with("step-running", step("running"))).await;
    for seq in 1..=3 {
        agent.log_numbered(job, seq, &format!("line {seq}")).await;
    }
    agent.about("step.status", job, with("step-success", step("success"))).await;
    agent.about("job.status", job, with("success", json!({"state": "success"}))).await;
}

const ALL: [&str; 5] = ["taken", "running", "step-running", "step-success", "success"];

/// The run has ended well, with these lines and no mark of a gap.
async fn complete(env: &Env, lines: &[&str]) {
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, lines);
    assert_eq!(env.log(&run, &jobs[0], -1).await, [""; 0]);
    assert_eq!(jobs[0]["steps"][0]["status"], "success");
}

async fn dispatched(env: &Env) -> (FakeAgent, Dispatched) {
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = FakeAgent::keeper(env.port(), "a", &[]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    (agent, job)
}

#[tokio::test]
async fn what_is_stored_is_acknowledged() {
    let env = Env::start().await;
    let (mut agent, job) = dispatched(&env).await;
    say_all(&mut agent, &job).await;
    agent.told(&ALL).await;
    agent.told(&[&format!("{} 3", job.job)]).await;
    complete(&env, &["line 1", "line 2", "line 3"]).await;
    // All of it again, on a new connection: nothing changes, and the agent is told all the same.
    let mut agent = FakeAgent::keeper(env.port(), "a", &[&job]).await;
    assert_eq!(agent.next().await["type"], "job.cancel");
    say_all(&mut agent, &job).await;
    agent.told(&ALL).await;
    agent.told(&[&format!("{} 3", job.job)]).await;
    complete(&env, &["line 1", "line 2", "line 3"]).await;
}

#[tokio::test]
async fn an_agent_that_keeps_nothing_hears_of_nothing() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    agent.run("a", "success", json!({})).await;
    assert_eq!(agent.next().await["type"], "job.dispatch");
    assert!(agent.acked.is_empty());
}

#[tokio::test]
async fn a_killed_orchestrator_loses_no_line_and_no_end() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = crash::start(&mut env);
    let (mut agent, job) = dispatched(&env).await;
    agent.about("job.ack", &job, json!({"messageId": "taken"})).await;
    agent.about("job.status", &job, json!({"messageId": "running", "state": "running"})).await;
    agent.log_numbered(&job, 1, "line 1").await;
    agent.told(&["running", &format!("{} 1", job.job)]).await;
    // In memory at most when it dies.
    agent.log_numbered(&job, 2, "line 2").await;
    process.kill();

    let mut process = crash::start(&mut env);
    let mut agent = FakeAgent::keeper(env.port(), "a", &[&job]).await;
    agent.log_numbered(&job, 2, "line 2").await;
    agent.log_numbered(&job, 3, "line 3").await;
    agent.end(&job, "success", json!({})).await;
    // Perhaps it came, perhaps not: the agent cannot know.
    process.kill();

    let _process = crash::start(&mut env);
    let mut agent = FakeAgent::keeper(env.port(), "a", &[&job]).await;
    say_all(&mut agent, &job).await;
    agent.told(&ALL).await;
    agent.told(&[&format!("{} 3", job.job)]).await;
    complete(&env, &["line 1", "line 2", "line 3"]).await;
}

#[tokio::test]
async fn a_stopped_orchestrator_stores_what_it_has_read_and_says_so() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = crash::start(&mut env);
    let (mut agent, job) = dispatched(&env).await;
    say_all(&mut agent, &job).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(agent.closed().await, (1001, "Server shutting down".into()));
    let stored = format!("{} 3", job.job);
    for id in ALL.iter().copied().chain([stored.as_str()]) {
        assert!(agent.acked.iter().any(|acked| acked == id), "{id} of {:?}", agent.acked);
    }
    let _process = crash::start(&mut env);
    complete(&env, &["line 1", "line 2", "line 3"]).await;
}

#[tokio::test]
async fn a_stopped_orchestrator_has_stored_the_log_of_an_agent_that_keeps_nothing_before_it_hangs_up()
 {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = crash::start(&mut env);
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.log(&job, &["line 1"]).await;
    agent.log(&job, &["line 2"]).await;
    process.signal(Signal::SIGTERM);
    assert_eq!(agent.closed().await, (1001, "Server shutting down".into()));
    // Nothing may be left to do for the time after the goodbye.
    process.kill();
    let _process = crash::start(&mut env);
    let mut agent = FakeAgent::back(env.port(), "a", &["linux"], &[&job]).await;
    agent.log(&job, &["line 3"]).await;
    agent.step(&job, "success", json!({})).await;
    agent.end(&job, "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["line 1", "line 2", "line 3"]);
    // What it may have sent while the goodbye was under way, nobody can know.
    let mark = "[log lines may be missing here: the orchestrator was restarted]";
    assert_eq!(env.log(&run, &jobs[0], -1).await, [mark]);
}

#[tokio::test]
async fn lines_of_an_agent_that_moves_are_stored_once() {
    let env = Env::start().await;
    let other = env.second().await;
    let (mut here, job) = dispatched(&env).await;
    here.start(&job).await;
    here.log_numbered(&job, 1, "line 1").await;
    here.told(&[&format!("{} 1", job.job)]).await;
    // This orchestrator has it in memory when the agent goes to the other one, and stores it late or never.
    here.log_numbered(&job, 2, "line 2").await;
    let mut there = FakeAgent::keeper(other.port(), "a", &[&job]).await;
    there.log_numbered(&job, 2, "line 2").await;
    there.log_numbered(&job, 3, "line 3").await;
    there.told(&[&format!("{} 3", job.job)]).await;
    // And back, where the log in memory is old.
    let mut here = FakeAgent::keeper(env.port(), "a", &[&job]).await;
    here.log_numbered(&job, 4, "line 4").await;
    here.step(&job, "success", json!({})).await;
    here.end(&job, "success", json!({})).await;
    complete(&env, &["line 1", "line 2", "line 3", "line 4"]).await;
    other.stop().await;
}
