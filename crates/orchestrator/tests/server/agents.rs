//! Agents: who is let in, what odd ones may do, and jobs that they do not take.

use std::time::{Duration, Instant};

use kici_testkit::wait_until;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT, job};

#[tokio::test]
async fn a_bad_token_is_refused_for_good() {
    let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
    let mut agent = FakeAgent::connect(env.port(), "a").await;
    let token = format!("kat_{}", "0".repeat(64));
    agent.say(json!({"type": "auth.request", "token": token, "protocolVersion": 1})).await;
    assert_eq!(
        agent.next().await,
        json!({"type": "auth.failure", "reason": "Invalid or expired token"})
    );
    assert_eq!(agent.closed().await, (4010, "Authentication failed".into()));
}

#[tokio::test]
async fn a_token_lets_in_and_its_withdrawal_throws_out() {
    let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
    let made = env.admin_post("/api/v1/agent-tokens", &json!({"labels": ["linux"]})).await;
    assert!(made.status().is_success(), "{}", made.status());
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    let enter = async |labels: &[&str]| {
        let mut agent = FakeAgent::connect(env.port(), "a").await;
        agent.say(json!({"type": "auth.request", "token": token, "protocolVersion": 1})).await;
        assert_eq!(agent.next().await["type"], "auth.success");
        agent.register(labels, &[]).await;
        agent
    };
    let mut greedy = enter(&["linux", "gpu", "kici:os:linux", "kici:privileged:x"]).await;
    assert_eq!(
        greedy.closed().await,
        (4010, "Agent labels exceed token-bound scope: gpu,kici:privileged:x".into())
    );
    let mut agent = enter(&["linux", "kici:os:linux"]).await;
    assert_eq!(agent.next().await["type"], "register.ack");
    let id = made["id"].as_str().unwrap();
    let revoke = env.client.delete(env.url(&format!("/api/v1/agent-tokens/{id}")));
    let revoked =
        revoke.bearer_auth("bootstrap-token-of-the-tests-0123456789").send().await.unwrap();
    assert!(revoked.status().is_success());
    assert_eq!(agent.next().await, json!({"type": "auth.failure", "reason": "Token revoked"}));
    assert_eq!(agent.closed().await, (4010, "Token revoked".into()));
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
    let mut silent = FakeAgent::connect(env.port(), "a").await;
    let since = Instant::now();
    assert_eq!(silent.closed().await, (4002, "Auth timeout".into()));
    assert!(since.elapsed() > Duration::from_millis(4800));
}

#[tokio::test]
async fn odd_frames_end_one_connection_and_no_other() {
    let env = Env::start().await;
    let mut good = env.agent("good", &["linux"]).await;
    for text in ["null", "[]", "1", "\"x\"", r#"{"type":"job.ack"}"#] {
        let mut odd = env.agent("odd", &[]).await;
        odd.socket.send_text(text).await;
        assert_eq!(odd.next().await["code"], "INVALID_MESSAGE", "{text}");
        assert_eq!(odd.closed().await, (4003, "Invalid message".into()), "{text}");
    }
    let mut odd = env.agent("odd", &[]).await;
    odd.socket.send_raw(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(odd.closed().await, (4003, "Malformed JSON".into()));
    let mut new = env.agent("new", &[]).await;
    new.socket.send_text(r#"{"type":"from.the.future","x":1}"#).await;
    assert_eq!(new.next().await["type"], "error");
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    env.push("d1", &sha).await;
    good.run("a", "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn a_frame_above_4_mib_ends_the_connection_with_the_reason() {
    let env = Env::start().await;
    let padded = |bytes: usize| {
        let empty = r#"{"type":"heartbeat","timestamp":1,"pad":""}"#;
        empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(bytes - empty.len())))
    };
    let limit = 4 * 1024 * 1024;
    assert_eq!(padded(limit).len(), limit);
    let mut agent = env.agent("a", &[]).await;
    agent.socket.send_text(&padded(limit)).await;
    agent.socket.send_text(r#"{"type":"from.the.future"}"#).await;
    assert_eq!(agent.next().await["type"], "error", "at the limit it goes on");
    agent.socket.send_text(&padded(limit + 1)).await;
    assert_eq!(agent.closed().await, (4003, "Message too large".into()));
    // Far above, the socket itself ends it. It may do so while it is still written to.
    let mut agent = env.agent("a", &[]).await;
    let text = Message::text(padded(2 * limit + 1));
    let _ = futures_util::SinkExt::send(&mut agent.socket, text).await;
    let (code, _) = agent.closed().await;
    assert!(code == 1009 || code == 1006, "{code}");
    env.agent("b", &[]).await;
}

#[tokio::test]
async fn the_list_shows_what_a_connected_agent_is_and_does() {
    let env = Env::start().await;
    let list = async || env.admin_get("/api/v1/admin/agents").await;
    assert_eq!(list().await, json!({"agents": [], "nextCursor": null}));
    let mut agent = env.agent("a", &["linux", "gpu"]).await;
    let shown = list().await["agents"][0].clone();
    assert_eq!((&shown["agentId"], &shown["state"]), (&json!("a"), &json!("idle")));
    assert_eq!((&shown["labels"], &shown["version"]), (&json!(["linux", "gpu"]), &json!("test")));
    assert_eq!((&shown["jobs"], &shown["disconnectedAt"]), (&json!([]), &Value::Null));
    let sha = env.commit_jobs(json!([job("build", json!({}))]));
    env.push("d1", &sha).await;
    let taken = agent.take().await;
    agent.start(&taken).await;
    env.jobs_are(&["build running"]).await;
    let shown = list().await["agents"][0].clone();
    assert_eq!(shown["state"], "busy");
    assert_eq!(
        (&shown["jobs"][0]["jobName"], &shown["jobs"][0]["jobId"]),
        (&json!("build"), &json!(taken.job))
    );
    agent.vanish();
    wait_until(LIMIT, "the agent to be lost with its job", async || {
        let shown = list().await["agents"][0].clone();
        let reason = &shown["disconnectReason"];
        if shown["state"] == "lost" && reason == "connection lost" { Ok(()) } else { Err(shown) }
    })
    .await;
    // Page by page, by id.
    let _b = env.agent("b", &[]).await;
    let first = env.admin_get("/api/v1/admin/agents?limit=1").await;
    assert_eq!((&first["agents"][0]["agentId"], &first["nextCursor"]), (&json!("a"), &json!("a")));
    let second = env.admin_get("/api/v1/admin/agents?limit=1&cursor=a").await;
    assert_eq!(second["agents"][0]["agentId"], "b");
    let strange = env.client.get(env.url("/api/v1/admin/agents")).send().await.unwrap();
    assert_eq!(strange.status(), 401);
}

#[tokio::test]
async fn a_plain_request_finds_no_socket() {
    let env = Env::start().await;
    assert_eq!(env.client.get(env.url("/ws")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_refused_job_goes_to_another_agent() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut busy = env.agent("a-busy", &["linux"]).await;
    let mut free = env.agent("b-free", &["linux"]).await;
    env.push("d1", &sha).await;
    let refused = busy.take().await;
    busy.about("job.reject", &refused, json!({"reason": "busy"})).await;
    let job = free.run("a", "success", json!({})).await;
    assert_eq!(job.job, refused.job);
    assert_ne!(job.message["messageId"], refused.message["messageId"]);
    // Late words of the agent that refused change nothing.
    busy.end(&refused, "failed", json!({})).await;
    env.run_is("success").await;
    env.jobs_are(&["a success"]).await;
}

#[tokio::test]
async fn a_job_that_is_refused_again_and_again_waits_longer_each_time() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let free = json!({"type": "agent.status", "messageId": "m", "agentId": "a", "activeJobs": 0});
    let mut offers = Vec::new();
    for _ in 0..3 {
        let job = agent.take().await;
        offers.push(Instant::now());
        agent.about("job.reject", &job, json!({"reason": "busy"})).await;
        agent.say(free.clone()).await;
    }
    assert!(offers[2] - offers[1] >= Duration::from_millis(900), "{offers:?}");
    env.jobs_are(&["a queued"]).await;
}

#[tokio::test]
async fn a_job_that_is_not_acknowledged_goes_elsewhere_and_its_agent_is_closed() {
    let env = Env::start_with(&[("KICI_DISPATCH_ACK_TIMEOUT_MS", "1000")]).await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut deaf = env.agent("a-deaf", &["linux"]).await;
    let mut good = env.agent("b-good", &["linux"]).await;
    env.push("d1", &sha).await;
    let lost = deaf.take().await;
    let cancel = deaf.next().await;
    assert_eq!(
        (&cancel["type"], &cancel["reason"]),
        (&json!("job.cancel"), &json!("dispatch ack timeout"))
    );
    assert_eq!(deaf.closed().await, (4031, "dispatch ack timeout".into()));
    let job = good.run("a", "success", json!({})).await;
    assert_eq!(job.job, lost.job);
    env.run_is("success").await;
}

#[tokio::test]
async fn an_early_answer_is_not_taken_for_silence() {
    let env = Env::start_with(&[("KICI_DISPATCH_ACK_TIMEOUT_MS", "1000")]).await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.hears_nothing(Duration::from_millis(2500)).await;
    agent.end(&job, "success", json!({})).await;
    env.run_is("success").await;
}

#[tokio::test]
async fn terminal_states_never_change() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let a = agent.take().await;
    agent.start(&a).await;
    agent.end(&a, "success", json!({"outputs": {"s": {"v": 1}}})).await;
    agent.end(&a, "failed", json!({"error": "changed my mind", "outputs": {"s": {"v": 2}}})).await;
    agent.about("job.status", &a, json!({"state": "running"})).await;
    let b = agent.take().await;
    assert_eq!(b.message["upstreamJobOutputs"], json!({"a": {"s": {"v": 1}}}));
    agent.start(&b).await;
    agent.end(&b, "success", json!({})).await;
    env.run_is("success").await;
    env.jobs_are(&["a success", "b success"]).await;
}

#[tokio::test]
async fn nobody_ends_a_job_of_somebody_else() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut owner = env.agent("owner", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = owner.take().await;
    owner.start(&job).await;
    let mut thief = env.agent("thief", &[]).await;
    for _ in 0..5 {
        thief.end(&job, "failed", json!({})).await;
    }
    assert_eq!(thief.closed().await, (1001, "Too many ownership violations".into()));
    owner.end(&job, "success", json!({})).await;
    env.run_is("success").await;
}

/// Sending what is no message.
trait SendOdd {
    async fn send_text(&mut self, text: &str);
    async fn send_raw(&mut self, message: Message);
}

impl<S> SendOdd for tokio_tungstenite::WebSocketStream<S>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    async fn send_text(&mut self, text: &str) {
        self.send_raw(Message::text(text)).await;
    }

    async fn send_raw(&mut self, message: Message) {
        futures_util::SinkExt::send(self, message).await.unwrap();
    }
}
