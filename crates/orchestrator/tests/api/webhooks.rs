//! Deliveries: which are taken, how they are named, and what their senders are told.

use serde_json::json;

use crate::server::{OWNER, TestServer};

#[tokio::test]
async fn a_source_is_addressed_by_name_or_id_and_nothing_else_is_told_apart() {
    let server = TestServer::start().await;
    let source = server.source(json!({})).await;
    let id = source["id"].as_str().unwrap();
    for (address, raw) in [("one", "a"), (id, "b")] {
        let accepted = server.deliver(address, &[("x-delivery-id", raw)], b"{}").await.expect(202);
        assert_eq!(
            accepted,
            json!({ "accepted": true, "deliveryId": format!("generic:acme:{id}:{raw}") })
        );
    }
    let other = server.source(json!({ "orgId": "other", "name": "foreign" })).await;
    server.source(json!({ "name": "gone" })).await;
    let gone = server.source(json!({ "name": "removed" })).await;
    let path = format!("/api/v1/admin/generic-sources/{}", gone["id"].as_str().unwrap());
    server.delete(OWNER, &path).await.expect(200);
    let unknown = json!({ "rejected": true, "reason": "Unknown source" });
    for address in
        ["none", "foreign", "removed", other["id"].as_str().unwrap(), gone["id"].as_str().unwrap()]
    {
        assert_eq!(
            server.deliver(address, &[], b"{}").await.both(),
            (404, unknown.clone()),
            "{address}"
        );
    }
}

#[tokio::test]
async fn only_one_of_many_copies_is_accepted() {
    let server = TestServer::start().await;
    server.source(json!({})).await;
    let copies = (0..50).map(|_| server.deliver("one", &[("x-delivery-id", "same")], b"{}"));
    let answers = futures_util::future::join_all(copies).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    let duplicates = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!((accepted, duplicates.clone().count()), (1, 49));
    assert!(duplicates.into_iter().all(|answer| answer.json()["duplicate"] == true));
    let log = server.get(OWNER, "/api/v1/admin/event-log?orgId=acme").await.expect(200);
    assert_eq!(log["total"], 1);
}

#[tokio::test]
async fn the_rate_limit_counts_genuine_deliveries_only() {
    let server = TestServer::start().await;
    server
        .source(json!({
            "rateLimitRpm": 3, "verificationMethod": "bearer_token",
            "verificationConfig": { "token": "t" },
        }))
        .await;
    for _ in 0..20 {
        server.deliver("one", &[("authorization", "wrong")], b"{}").await.expect(401);
    }
    for _ in 0..3 {
        server.deliver("one", &[("authorization", "t")], b"{}").await.expect(202);
    }
    let refused = server.deliver("one", &[("authorization", "t")], b"{}").await;
    let retry: u64 = refused.headers["retry-after"].parse().unwrap();
    assert!((1..=60).contains(&retry), "{retry}");
    assert_eq!(refused.both(), (429, json!({ "rejected": true, "reason": "Rate limit exceeded" })));
}

#[tokio::test]
async fn sizes_are_limited_by_source_and_altogether() {
    let server = TestServer::start().await;
    server.source(json!({})).await;
    server.deliver("one", &[], &vec![b' '; 1_048_576]).await.expect(202);
    let refused = server.deliver("one", &[], &vec![b' '; 1_048_577]).await;
    assert_eq!(
        refused.both(),
        (413, json!({ "rejected": true, "reason": "Payload too large", "maxBytes": 1_048_576 }))
    );
    for source in ["one", "unknown"] {
        let refused = server.deliver(source, &[], &vec![b' '; 11 * 1024 * 1024]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.text.as_str()),
            (413, "Payload Too Large"),
            "{source}"
        );
    }
}

#[tokio::test]
async fn events_that_a_source_does_not_want_are_filtered_and_not_recorded() {
    let server = TestServer::start().await;
    server.source(json!({ "allowedEvents": ["deploy"], "eventTypePath": "$.kind" })).await;
    let filtered = server.deliver("one", &[("x-event-type", "other")], b"{}").await;
    assert_eq!(
        filtered.both(),
        (
            200,
            json!({ "accepted": true, "status": "filtered", "reason": "Event 'other' not in allowed list" })
        )
    );
    server.deliver("one", &[("x-event-type", "other")], br#"{"kind":"deploy"}"#).await.expect(202);
    let log = server.get(OWNER, "/api/v1/admin/event-log?orgId=acme").await.expect(200);
    assert_eq!((&log["total"], &log["deliveries"][0]["event"]), (&json!(1), &json!("deploy")));
}

#[tokio::test]
async fn an_idempotency_key_names_the_delivery() {
    let server = TestServer::start().await;
    let source = server
        .source(json!({ "idempotencyKeyHeader": "X-Key", "idempotencyKeyPath": "$.id" }))
        .await;
    let key = source["routing_key"].as_str().unwrap();
    let id = async |headers: &[(&str, &str)], body: &[u8]| {
        let answer = server.deliver("one", headers, body).await.json();
        answer["deliveryId"].as_str().unwrap().strip_prefix(key).unwrap().to_owned()
    };
    assert_eq!(id(&[("x-key", "k1")], br#"{"id":"k2"}"#).await, ":k1");
    assert_eq!(id(&[], br#"{"id":"k2"}"#).await, ":k2");
    assert_eq!(id(&[("x-idempotency-key", "k3"), ("x-delivery-id", "k4")], b"{}").await, ":k3");
    assert_eq!(id(&[("x-delivery-id", "k4")], b"{}").await, ":k4");
    assert_eq!(id(&[("x-request-id", "k5")], b"{}").await, ":k5");
    let long = "x".repeat(300);
    assert_eq!(id(&[("x-key", &long)], b"{}").await.len(), ":sha256-".len() + 64);
    let again = server.deliver("one", &[("x-key", &long)], b"{}").await.expect(200);
    assert_eq!(again["duplicate"], true);

    // After its window the same key is a new delivery.
    server.deliver("one", &[("x-key", "k1")], b"{}").await.expect(200);
    server.sql("UPDATE delivery SET dedup_until = now() - interval '1 s'").await;
    server.deliver("one", &[("x-key", "k1")], b"{}").await.expect(202);
}

#[tokio::test]
async fn a_local_source_wants_json_an_event_and_a_repository_inside_its_folder() {
    let server = TestServer::start().await;
    let base = server.server.app.config.server.data_dir.to_str().unwrap().to_owned();
    server.source(json!({ "name": "local", "localConfig": { "repoBasePath": base } })).await;
    let reason = async |headers: &[(&str, &str)], body: &[u8]| {
        let refused = server.deliver("local", headers, body).await.expect(400);
        refused["reason"].as_str().unwrap().to_owned()
    };
    let push = [("x-event-type", "push")];
    for body in [&b"null"[..], b"[]", b"7", b"{", b"a=1", b""] {
        assert_eq!(reason(&push, body).await, "Local source requires JSON body");
    }
    assert_eq!(reason(&[], b"{}").await, "Missing x-event-type header for local source");
    for name in ["../x", "file:///etc", "/etc", "a/../../b"] {
        let body = json!({ "repository": { "full_name": name } }).to_string();
        assert_eq!(
            reason(&push, body.as_bytes()).await,
            "Repository name leads out of the local source",
            "{name}"
        );
    }
    let body = json!({ "repository": { "full_name": "acme/app" } }).to_string();
    server.deliver("local", &push, body.as_bytes()).await.expect(202);
}

#[tokio::test]
async fn other_methods_and_paths_are_not_found() {
    let server = TestServer::start().await;
    server.source(json!({})).await;
    for (method, path) in [
        (reqwest::Method::GET, "/webhook/acme/generic/one"),
        (reqwest::Method::OPTIONS, "/webhook/acme/generic/one"),
        (reqwest::Method::POST, "/webhook/acme/other/one"),
        (reqwest::Method::POST, "/webhook"),
    ] {
        let answer = crate::server::answer(server.request(method, path)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (404, "404 Not Found"),
            "{path}"
        );
        assert!(answer.headers.contains_key("x-request-id"));
    }
}
