//! From the first connection to a registered agent, and when that fails.

mod common;

use std::time::{Duration, Instant};

use common::{Agent, Closed, Orchestrator, get};
use kici_agent::{Config, Launcher};
use serde_json::{Value, json};

fn recorded(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/../protocol/tests/fixtures/agent-protocol/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path)
        .expect("the recording is there")
        .lines()
        .map(|line| serde_json::from_str(line).expect("recordings are JSON lines"))
        .collect()
}

#[tokio::test]
async fn it_greets_as_recorded() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, "true").await;
    let mut link = orchestrator.accept().await;
    for line in recorded("connect-register") {
        let Some(message) = line.get("msg") else { continue };
        let kind = message["type"].as_str().expect("a type");
        if line["dir"] == "orch->agent" {
            link.send(message.clone()).await;
            continue;
        }
        if kind == "agent.log" {
            continue; // only after a gap
        }
        let sent = link.next().await;
        assert_eq!(sent["type"], kind);
        if kind == "agent.register" {
            let host = sent["hostname"].as_str().expect("a host name");
            assert_eq!(
                sent["labels"],
                json!([
                    "linux",
                    "kici:os:linux",
                    "kici:arch:x64",
                    "kici:arch:amd64",
                    format!("kici:host:{host}"),
                    "kici:role:builder",
                    "kici:role:init-runner"
                ])
            );
            for field in ["osRelease", "osVersion", "totalMemoryMb", "cpuCount", "runningAsUid"] {
                assert!(!sent[field].is_null(), "no {field} in {sent}");
            }
            assert!(sent["messageId"].as_str().is_some_and(|id| id.starts_with("register-a1-")));
        }
    }
}

#[tokio::test]
async fn a_bad_token_is_not_tried_again() {
    let orchestrator = Orchestrator::start().await;
    let agent = Agent::start(&orchestrator, "true").await;
    let mut link = orchestrator.accept().await;
    let mut close = None;
    for line in recorded("auth-bad-token") {
        if line["event"] == "close" {
            close = Some((line["code"].as_u64(), line["reason"].clone()));
        } else if line["dir"] == "orch->agent" {
            link.send(line["msg"].clone()).await;
        } else if line.get("msg").is_some() {
            assert_eq!(link.next().await["type"], "auth.request");
        }
    }
    assert_eq!(close, Some((Some(4010), json!("Authentication failed"))));
    let (_, closed) = link.until_close().await;
    assert_eq!(closed, Closed { code: 1000, reason: "Auth failed".into() });
    assert!(orchestrator.is_left_alone(Duration::from_secs(3)).await);
    assert!(agent.is_running());
    assert_eq!(get(&agent.health, "/ready").await.0, 503);
    assert_eq!(get(&agent.health, "/health").await.0, 200);
}

#[tokio::test]
async fn a_refused_registration_is_final() {
    let orchestrator = Orchestrator::start().await;
    let agent = Agent::start(&orchestrator, "true").await;
    let mut link = orchestrator.accept().await;
    assert_eq!(link.next().await["type"], "auth.request");
    link.send(json!({ "type": "auth.success", "connectionId": "c" })).await;
    assert_eq!(link.next().await["type"], "agent.register");
    link.close(4010, "Agent labels exceed token-bound scope: gpu").await;
    assert!(orchestrator.is_left_alone(Duration::from_secs(3)).await);
    assert!(agent.is_running());
}

#[tokio::test]
async fn it_comes_back_after_a_restart_of_the_orchestrator() {
    let orchestrator = Orchestrator::start().await;
    let agent = Agent::start(&orchestrator, "true").await;
    let (link, first) = orchestrator.accept_registered().await;
    let left = Instant::now();
    link.close(1001, "Server shutting down").await;
    let (mut link, second) = orchestrator.accept_registered().await;
    assert!(left.elapsed() >= Duration::from_secs(1), "the backoff starts at a second");
    assert_eq!(first["agentId"], second["agentId"]);
    assert!(second.get("inFlightJobs").is_none());
    link.next_of("config.ack").await;
    assert_eq!(get(&agent.health, "/ready").await.0, 200);
    let metrics = get(&agent.health, "/metrics").await.1;
    assert!(metrics.contains("kici_agent_connection_status 1"), "{metrics}");
}

#[tokio::test]
async fn an_orchestrator_without_tokens_gets_none() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, "true").await;
    let mut link = orchestrator.accept().await;
    assert_eq!(link.next().await["type"], "auth.request");
    link.close(4003, "First message must be agent.register").await;
    let mut link = orchestrator.accept().await;
    assert_eq!(link.next().await["type"], "agent.register");
}

#[tokio::test]
async fn nonsense_does_not_end_the_link() {
    let orchestrator = Orchestrator::start().await;
    let _agent = Agent::start(&orchestrator, "true").await;
    let (mut link, _) = orchestrator.accept_registered().await;
    for text in ["null", "[]", "1", "{", "{\"type\":\"brand.new\"}", "{\"type\":\"job.cancel\"}"] {
        link.send_text(text).await;
    }
    link.send(json!({ "type": "fleet.logs.request", "requestId": "q", "logWindowHours": 4,
                      "maxBytes": 1 }))
        .await;
    assert_eq!(link.next_of("fleet.bundle.error").await["requestId"], "q");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let vars = [
        ("KICI_ORCHESTRATOR_URL", "ws://127.0.0.1:1/ws".to_owned()),
        ("KICI_DATA_DIR", std::env::temp_dir().display().to_string()),
        ("KICI_PORT", port.to_string()),
    ];
    let config = Config::read(vars.map(|(name, value)| (name.to_owned(), value)));
    let config = config.expect("a valid configuration");
    let launcher = Launcher::new("/bin/true", [], None);
    let error = kici_agent::prepare(config, launcher).await.expect_err("the port is taken");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on port {port} (KICI_PORT); choose another one, or 0 for any that is free"
        )
    );
}
