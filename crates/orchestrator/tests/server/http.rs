//! Probes, prefixes, and starts on databases in all states.

use kici_orchestrator::{Config, Start, StartError};
use kici_testkit::pg::TestDb;
use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::env::{Env, LIMIT, database, job, variables};

#[tokio::test]
async fn routes_are_served_with_and_without_the_base_path() {
    let env = Env::start_with(&[("KICI_BASE_PATH", "orchestrator/")]).await;
    for path in [
        "/health",
        "/orchestrator/health",
        "/ready",
        "/orchestrator/ready",
        "/orchestrator/metrics",
    ] {
        assert_eq!(env.client.get(env.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    for path in ["/other/health", "/orchestrator", "/api/v1/nothing", "/webhook/acme"] {
        assert_eq!(env.client.get(env.url(path)).send().await.unwrap().status(), 404, "{path}");
    }
    let wrong = env.client.delete(env.url("/health")).send().await.unwrap();
    assert_eq!(
        (wrong.status().as_u16(), wrong.text().await.unwrap()),
        (404, "404 Not Found".into())
    );
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let env = Env::start().await;
    let own =
        env.client.get(env.url("/health")).header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(own.headers()["x-request-id"], "mine-1");
    let made = env.client.get(env.url("/nothing")).send().await.unwrap();
    assert_eq!(made.headers()["x-request-id"].len(), 36);
    let long = env
        .client
        .get(env.url("/health"))
        .header("x-request-id", "x".repeat(500))
        .send()
        .await
        .unwrap();
    assert_eq!(long.headers()["x-request-id"].len(), 36, "an endless id is not repeated");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let env = Env::start().await;
    let huge = env.client.post(env.url("/webhook/acme/generic/nobody")).body(vec![b'x'; 11 << 20]);
    let answer = huge.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap()),
        (413, "Payload Too Large".into())
    );
}

#[tokio::test]
async fn health_and_metrics_count_what_happens() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    agent.run("a", "success", json!({})).await;
    env.run_is("success").await;
    let health: Value =
        env.client.get(env.url("/health")).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&health["status"], &health["agents"], &health["mode"]),
        (&json!("ok"), &json!(1), &json!("independent"))
    );
    let text = env.client.get(env.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "kici_webhooks_received_total 1",
        "kici_orch_webhooks_processed_total{result=\"matched\"} 1",
        "kici_orch_executions_total{status=\"pending\"} 1",
        "kici_orch_executions_total{status=\"success\"} 1",
        "kici_jobs_dispatched_total 1",
        "kici_orch_agents_active 1",
        "kici_orch_execution_duration_seconds_count 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn without_its_database_it_is_alive_but_not_ready() {
    let mut env = Env::start().await;
    drop(std::mem::replace(&mut env.db, database().await));
    wait_until(LIMIT, "503", async || {
        let answer = env.client.get(env.url("/ready")).send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        match status.as_u16() {
            503 if body == json!({"status": "not ready", "checks": {"database": false}}) => Ok(()),
            _ => Err(body),
        }
    })
    .await;
    assert_eq!(env.client.get(env.url("/health")).send().await.unwrap().status(), 200);
}

async fn start(
    database: &TestDb,
    more: &[(&str, &str)],
) -> Result<kici_orchestrator::Server, StartError> {
    let data = tempfile::TempDir::new().unwrap();
    let mut vars = variables(database.url(), data.path());
    vars.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    let (config, _) = Config::from_vars(vars).unwrap();
    Start { config }.run().await
}

#[tokio::test]
async fn a_start_that_may_not_migrate_names_what_is_missing() {
    let database = TestDb::new().await;
    let Err(error) = start(&database, &[("KICI_AUTO_MIGRATE", "false")]).await else {
        panic!("started on an empty database");
    };
    let text = error.to_string();
    assert!(text.contains("0001 core") && text.contains("kici-admin db migrate"), "{text}");
    start(&database, &[]).await.unwrap().stop().await;
    start(&database, &[("KICI_AUTO_MIGRATE", "false")]).await.unwrap().stop().await;
}

#[tokio::test]
async fn two_starts_on_a_fresh_database_migrate_it_once() {
    let database = TestDb::new().await;
    let (one, other) = tokio::join!(start(&database, &[]), start(&database, &[]));
    one.unwrap().stop().await;
    other.unwrap().stop().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_without_its_password() {
    let data = tempfile::TempDir::new().unwrap();
    let vars = variables("postgres://kici:hunter2@127.0.0.1:1/nothing", data.path());
    let (config, _) = Config::from_vars(vars).unwrap();
    let Err(error) = (Start { config }).run().await else { panic!("started without a database") };
    let text = kici_orchestrator::logging::Chain(&error).to_string();
    assert!(text.contains("127.0.0.1:1, database nothing") && !text.contains("hunter2"), "{text}");
}
