//! Tokens, roles and routing keys.

use reqwest::Method;
use serde_json::json;

use crate::server::{OWNER, Place, TestServer, answer};

const TOKENS: &str = "/api/v1/admin/tokens";

#[tokio::test]
async fn strangers_are_told_what_is_missing_and_nothing_else() {
    let server = TestServer::start().await;
    let missing = json!({ "error": "Missing authorization" });
    let invalid = json!({ "error": "Invalid or expired token" });
    let ask = async |value: Option<&str>| {
        let request = server.request(Method::GET, TOKENS);
        answer(match value {
            Some(value) => request.header("authorization", value),
            None => request,
        })
        .await
        .both()
    };
    assert_eq!(ask(None).await, (401, missing.clone()));
    assert_eq!(ask(Some("Basic abc")).await, (401, missing.clone()));
    assert_eq!(ask(Some("bearer x")).await, (401, invalid.clone()));
    assert_eq!(ask(Some(&format!("Bearer {}", "ab".repeat(32)))).await, (401, invalid));
    assert_eq!(ask(Some(&format!("bearer {OWNER}"))).await.0, 200);

    // An unknown route below the API is not told from a known one.
    let unknown = answer(server.request(Method::GET, "/api/v1/admin/nothing")).await;
    assert_eq!(unknown.both(), (401, missing));
    let unknown = server.get(OWNER, "/api/v1/admin/nothing").await;
    assert_eq!((unknown.status.as_u16(), unknown.text.as_str()), (404, "404 Not Found"));
}

#[tokio::test]
async fn a_role_without_the_permission_is_refused_by_name() {
    let server = TestServer::start().await;
    let auditor = server.token("auditor", None).await;
    let body = json!({ "label": "x", "role": "owner" });
    let refused = server.post(&auditor, TOKENS, &body).await.expect(403);
    assert_eq!(refused["error"], r#"Role "auditor" does not have permission "token.manage""#);

    let source = server.source(json!({})).await;
    let path = format!("/api/v1/admin/generic-sources/{}", source["id"].as_str().unwrap());
    let refused = server.delete(&auditor, &path).await.expect(403);
    assert_eq!(refused["error"], r#"Role "auditor" does not have permission "context.delete""#);
    let run = uuid::Uuid::new_v4();
    let refused =
        server.post(&auditor, &format!("/api/v1/admin/runs/{run}/cancel"), &json!({})).await;
    assert_eq!(refused.expect(403)["error"], "Permission denied: run.cancel required");
    // What it may do, it can.
    server.get(&auditor, "/api/v1/admin/runs").await.expect(200);

    // A role that this version does not know may do nothing.
    server.sql("UPDATE admin_token SET role = 'king' WHERE role = 'auditor'").await;
    server.get(&auditor, "/api/v1/admin/runs").await.expect(403);
}

#[tokio::test]
async fn a_token_is_shown_once_and_stored_as_its_hash() {
    let server = TestServer::start().await;
    let body = json!({ "label": "ci", "role": "admin" });
    let made = server.post(OWNER, TOKENS, &body).await.expect(201);
    let token = made["token"].as_str().unwrap();
    assert_eq!(token.len(), 64);
    assert!(token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{token}");

    let list = server.get(OWNER, TOKENS).await;
    assert!(!list.text.contains(token));
    let listed = list.expect(200);
    assert_eq!(listed["tokens"][0]["label"], "ci");
    assert_eq!(listed["tokens"][0]["revoked"], false);

    use sha2::{Digest as _, Sha256};
    let mut conn = server.store.connection().await.unwrap();
    let hash: Vec<u8> = sqlx::query_scalar("SELECT token_hash FROM admin_token WHERE label = 'ci'")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(hash, Sha256::digest(token.as_bytes()).to_vec());
}

#[tokio::test]
async fn revoked_and_expired_tokens_do_not_work() {
    let server = TestServer::start().await;
    let body = json!({ "label": "gone", "role": "admin", "expiresInSeconds": 3600 });
    let made = server.post(OWNER, TOKENS, &body).await.expect(201);
    let token = made["token"].as_str().unwrap();
    server.get(token, "/api/v1/admin/runs").await.expect(200);
    server
        .sql("UPDATE admin_token SET expires_at = now() - interval '1 s' WHERE label = 'gone'")
        .await;
    server.get(token, "/api/v1/admin/runs").await.expect(401);

    let other = server.token("admin", None).await;
    let listed = server.get(OWNER, TOKENS).await.expect(200);
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    let revoked = server.delete(OWNER, &format!("{TOKENS}/{id}")).await.expect(200);
    assert_eq!(revoked, json!({ "revoked": true }));
    server.get(&other, "/api/v1/admin/runs").await.expect(401);

    let unknown = format!("{TOKENS}/{}", uuid::Uuid::new_v4());
    server.delete(OWNER, &unknown).await.expect(404);
}

#[tokio::test]
async fn the_last_owner_cannot_lock_everybody_out() {
    let server = TestServer::start().await;
    let listed = server.get(OWNER, TOKENS).await.expect(200);
    let own = format!("{TOKENS}/{}", listed["tokens"][0]["id"].as_str().unwrap());
    let refused = server.delete(OWNER, &own).await.expect(409);
    assert!(refused["error"].as_str().unwrap().contains("last usable owner token"));
    let second = server.token("owner", None).await;
    server.delete(OWNER, &own).await.expect(200);
    server.get(&second, TOKENS).await.expect(200);
}

#[tokio::test]
async fn the_bootstrap_token_follows_the_configuration_and_stays_revoked() {
    let server = TestServer::start().await;
    let place = server.stop().await;
    let server =
        TestServer::start_with(place, &[("KICI_BOOTSTRAP_ADMIN_TOKEN", "the-next-one")]).await;
    server.get(OWNER, TOKENS).await.expect(401);
    let listed = server.get("the-next-one", TOKENS).await.expect(200);
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);

    let body = json!({ "label": "second", "role": "owner" });
    let made = server.post("the-next-one", TOKENS, &body).await.expect(201);
    let second = made["token"].as_str().unwrap().to_owned();
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    server.delete(&second, &format!("{TOKENS}/{id}")).await.expect(200);
    let place = server.stop().await;
    let server =
        TestServer::start_with(place, &[("KICI_BOOTSTRAP_ADMIN_TOKEN", "the-third")]).await;
    server.get("the-third", TOKENS).await.expect(401);
    server.get(&second, TOKENS).await.expect(200);
}

#[tokio::test]
async fn without_a_configured_token_one_is_made_once() {
    let no_token = [("KICI_BOOTSTRAP_ADMIN_TOKEN", "")];
    let server = TestServer::start_with(Place::new().await, &no_token).await;
    let count = async |server: &TestServer| -> i64 {
        let mut conn = server.store.connection().await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM admin_token WHERE role = 'owner' AND NOT revoked")
            .fetch_one(&mut *conn)
            .await
            .unwrap()
    };
    assert_eq!(count(&server).await, 1);
    let hash = async |server: &TestServer| -> Vec<u8> {
        let mut conn = server.store.connection().await.unwrap();
        sqlx::query_scalar("SELECT token_hash FROM admin_token")
            .fetch_one(&mut *conn)
            .await
            .unwrap()
    };
    let first = hash(&server).await;
    let place = server.stop().await;
    let server = TestServer::start_with(place, &no_token).await;
    assert_eq!(hash(&server).await, first);
}

#[tokio::test]
async fn a_token_of_one_routing_key_sees_nothing_else() {
    let server = TestServer::start().await;
    let mine = server.source(json!({ "name": "mine" })).await;
    let theirs = server.source(json!({ "name": "theirs" })).await;
    let key = mine["routing_key"].as_str().unwrap();
    let scoped = server.token("owner", Some(key)).await;

    let list = server.get(&scoped, "/api/v1/admin/generic-sources?orgId=acme").await.expect(200);
    let names: Vec<&str> =
        list["sources"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["mine"]);
    let path = format!("/api/v1/admin/generic-sources/{}", theirs["id"].as_str().unwrap());
    let refused = server.get(&scoped, &path).await.expect(403);
    assert_eq!(
        refused["error"],
        "Access denied: token is restricted to a single routing key and this request targets a different one"
    );
    let unknown = format!("/api/v1/admin/generic-sources/{}", uuid::Uuid::new_v4());
    server.get(&scoped, &unknown).await.expect(404);
    let refused = server.get(&scoped, TOKENS).await.expect(403);
    assert_eq!(
        refused["error"],
        "Access denied: this route requires an unscoped admin token (the calling token is restricted to a single \
         routing key)"
    );
    let path = "/api/v1/admin/event-log?routingKey=github:1";
    server.get(&scoped, path).await.expect(403);
}

#[tokio::test]
async fn agent_tokens_are_made_listed_and_revoked() {
    let server = TestServer::start().await;
    let path = "/api/v1/agent-tokens";
    let body = json!({ "labels": ["linux"], "mandatoryLabels": ["gpu"] });
    let made = server.post(OWNER, path, &body).await.expect(201);
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("kat_") && token.len() == 68, "{token}");
    assert_eq!(made["tokenPrefix"], token[..12]);
    assert_eq!(made["labels"], json!(["linux", "gpu"]));
    assert_eq!(made["agentType"], "static");
    // Without a body: any labels.
    let bare = answer(server.request(Method::POST, path).bearer_auth(OWNER)).await.expect(201);
    assert_eq!(bare["labels"], json!([]));
    let bad = server.post(OWNER, path, &json!({ "labels": ["a b"] })).await.expect(400);
    assert_eq!(bad["details"][0]["path"], json!(["labels", 0]));

    let list = server.get(OWNER, &format!("{path}?type=static")).await.expect(200);
    assert_eq!(list["tokens"].as_array().unwrap().len(), 2);
    let none = server.get(OWNER, &format!("{path}?type=ephemeral")).await.expect(200);
    assert_eq!(none["tokens"], json!([]));
    let pending = server.get(OWNER, &format!("{path}/pending")).await.expect(200);
    assert_eq!(pending, json!({ "pending": [] }));

    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    assert_eq!(server.delete(OWNER, &one).await.expect(200), json!({ "kicked": 0 }));
    let again = server.delete(OWNER, &one).await.expect(404);
    assert_eq!(again["error"], "Agent token not found or already revoked");
}
