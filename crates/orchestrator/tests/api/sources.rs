//! Adding, changing and removing sources.

use std::time::Duration;

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::server::{OWNER, TestServer};

const SOURCES: &str = "/api/v1/admin/generic-sources";

fn path(source: &Value) -> String {
    format!("{SOURCES}/{}", source["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_name_is_taken_once_in_an_organisation() {
    let server = TestServer::start().await;
    let source = server.source(json!({})).await;
    let id = source["id"].as_str().unwrap();
    assert_eq!(source["routing_key"], format!("generic:acme:{id}"));
    assert_eq!(source["dedup_window_seconds"], 300);
    assert_eq!(source["max_payload_bytes"], 1_048_576);
    assert_eq!(source["rate_limit_rpm"], 600);

    let body = json!({ "orgId": "acme", "name": "one", "verificationMethod": "none" });
    let again = server.post(OWNER, SOURCES, &body).await;
    assert_eq!(again.both(), (409, json!({ "error": "Conflict: resource already exists" })));
    let elsewhere = json!({ "orgId": "other", "name": "one", "verificationMethod": "none" });
    server.post(OWNER, SOURCES, &elsewhere).await.expect(201);
    // A removed source gives its name free, and can be erased afterwards.
    server.delete(OWNER, &path(&source)).await.expect(200);
    server.post(OWNER, SOURCES, &body).await.expect(201);
    server.delete(OWNER, &path(&source)).await.expect(404);
    let erased = server.delete(OWNER, &format!("{}?hard=true", path(&source))).await.expect(200);
    assert_eq!(erased, json!({ "deleted": true, "hard": true }));
    server.get(OWNER, &path(&source)).await.expect(404);
}

#[tokio::test]
async fn everything_wrong_with_a_source_is_said_at_once() {
    let server = TestServer::start().await;
    let body = json!({
        "orgId": "a/b", "name": "", "verificationMethod": "ip_allowlist",
        "verificationConfig": { "allowlist": ["10.0.0.0/8", "home"] },
        "eventTypePath": "$.a[", "rateLimitRpm": 0, "eventTypeHeader": "no header",
        "gitConfig": { "preset": "forgejo" },
    });
    let refused = server.post(OWNER, SOURCES, &body).await.expect(400);
    let places: Vec<String> = refused["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| detail["path"].to_string())
        .collect();
    for place in [
        r#"["orgId"]"#,
        r#"["name"]"#,
        r#"["verificationConfig","allowlist",1]"#,
        r#"["eventTypePath"]"#,
        r#"["rateLimitRpm"]"#,
        r#"["eventTypeHeader"]"#,
        r#"["gitConfig"]"#,
    ] {
        assert!(places.iter().any(|found| found == place), "{place} is not in {places:?}");
    }
    let local = json!({ "orgId": "acme", "name": "x", "localConfig": { "repoBasePath": "repos" } });
    let refused = server.post(OWNER, SOURCES, &local).await.expect(400);
    assert_eq!(refused["details"][0]["path"], json!(["localConfig", "repoBasePath"]));
    let unsigned = json!({ "orgId": "acme", "name": "x" });
    let refused = server.post(OWNER, SOURCES, &unsigned).await.expect(400);
    assert_eq!(refused["details"][0]["path"], json!(["verificationConfig", "secret"]));
}

#[tokio::test]
async fn a_secret_is_stored_sealed_and_shown_only_to_who_may_reveal_it() {
    let server = TestServer::start().await;
    let source = server
        .source(json!({
            "verificationMethod": "hmac_sha256",
            "verificationConfig": { "secret": "hunter2hunter2", "headerName": "X-Sig" },
        }))
        .await;
    assert_eq!(source["verification_config"]["secret"], "hunter2hunter2");
    let auditor = server.token("auditor", None).await;
    let shown = server.get(&auditor, &path(&source)).await.expect(200);
    assert_eq!(
        shown["source"]["verification_config"],
        json!({ "secret": "***", "headerName": "X-Sig" })
    );
    let mut conn = server.store.connection().await.unwrap();
    let row: String =
        sqlx::query_scalar("SELECT source::text FROM source").fetch_one(&mut *conn).await.unwrap();
    assert!(!row.contains("hunter2"), "{row}");
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name() {
    let server = TestServer::start().await;
    let source = server
        .source(json!({
            "verificationMethod": "bearer_token", "verificationConfig": { "token": "t0ken" },
            "allowedEvents": ["deploy"], "eventTypeHeader": "X-Kind",
        }))
        .await;
    let change = json!({ "name": "two", "eventTypeHeader": null, "allowedEvents": null });
    let changed = server.patch(OWNER, &path(&source), &change).await.expect(200)["source"].clone();
    assert_eq!(changed["name"], "two");
    assert_eq!(changed["event_type_header"], Value::Null);
    assert_eq!(changed["allowed_events"], Value::Null);
    assert_eq!(changed["verification_config"]["token"], "t0ken");
    // What an auditor was shown, sent back, is no new secret.
    let masked = json!({ "verificationConfig": { "token": "***", "headerName": "X-Key" } });
    let changed = server.patch(OWNER, &path(&source), &masked).await.expect(200)["source"].clone();
    assert_eq!(changed["verification_config"], json!({ "token": "t0ken", "headerName": "X-Key" }));
    let accepted = server.deliver("two", &[("x-key", "t0ken")], b"{}").await;
    accepted.expect(202);
}

#[tokio::test]
async fn a_disabled_source_takes_nothing_until_it_is_enabled() {
    let server = TestServer::start().await;
    let source = server.source(json!({})).await;
    let switch = async |how: &str| {
        server.post(OWNER, &format!("{}/{how}", path(&source)), &json!({})).await.expect(200)
    };
    assert_eq!(switch("disable").await, json!({ "enabled": false }));
    server.deliver("one", &[], b"{}").await.expect(404);
    assert_eq!(switch("enable").await, json!({ "enabled": true }));
    server.deliver("one", &[], b"{}").await.expect(202);
}

#[tokio::test]
async fn another_orchestrator_knows_a_new_source_without_a_restart() {
    let server = TestServer::start().await;
    let other = server.beside(&[]).await;
    server.source(json!({})).await;
    wait_until(Duration::from_secs(10), "the other orchestrator to know the source", async || {
        match other.deliver("one", &[], b"{}").await.status.as_u16() {
            202 => Ok(()),
            status => Err(status),
        }
    })
    .await;
    other.server.stop().await;
}
