//! How deliveries prove where they come from.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use kici_testkit::wait_until;
use serde_json::json;
use sha2::Sha256;

use crate::server::{OWNER, TestServer};

const PUSH: &[u8] = include_bytes!("../fixtures/push.branch.json");
/// Of [`PUSH`] with the secret `test-webhook-secret`, as published with the payload.
const SIGNATURE: &str = "216f14c3e0a01440fb177d94d4ef29f676332dec6fb89934c140657b3047e5dc";

fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn signatures_are_checked_over_the_raw_bytes() {
    let server = TestServer::start().await;
    server
        .source(json!({
            "verificationMethod": "hmac_sha256",
            "verificationConfig": { "secret": "test-webhook-secret", "headerName": "X-Hub-Signature-256" },
        }))
        .await;
    let with = async |signature: &str, body: &[u8]| {
        server.deliver("one", &[("x-hub-signature-256", signature)], body).await
    };
    for good in [
        format!("sha256={SIGNATURE}"),
        SIGNATURE.into(),
        format!("sha256={}", SIGNATURE.to_uppercase()),
    ] {
        with(&good, PUSH).await.expect(202);
    }
    let invalid = json!({ "rejected": true, "reason": "Invalid signature" });
    let mut changed = PUSH.to_vec();
    changed[100] ^= 1;
    assert_eq!(with(&format!("sha256={SIGNATURE}"), &changed).await.both(), (401, invalid.clone()));
    assert_eq!(with(&format!("SHA256={SIGNATURE}"), PUSH).await.both(), (401, invalid.clone()));
    let sha1 = server.deliver("one", &[("x-hub-signature", "sha1=00")], PUSH).await;
    assert_eq!(sha1.both(), (401, invalid));
    // Bytes that are no text, and a byte order mark, are signed like any others.
    for body in [&b"\xff\xfe\x00"[..], b"\xef\xbb\xbf{}"] {
        with(&sign("test-webhook-secret", body), body).await.expect(202);
    }
}

#[tokio::test]
async fn a_replaced_secret_stays_valid_for_a_while() {
    let server = TestServer::start().await;
    let source = server
        .source(json!({
            "verificationMethod": "hmac_sha256", "verificationConfig": { "secret": "old" },
        }))
        .await;
    let path = format!("/api/v1/admin/generic-sources/{}", source["id"].as_str().unwrap());
    let change = json!({ "verificationConfig": { "secret": "new" } });
    server.patch(OWNER, &path, &change).await.expect(200);
    let with = async |secret: &str| {
        server
            .deliver("one", &[("x-signature-256", &sign(secret, b"{}"))], b"{}")
            .await
            .status
            .as_u16()
    };
    assert_eq!((with("old").await, with("new").await, with("third").await), (202, 202, 401));

    server.sql("UPDATE source SET previous_until = now() - interval '1 s'").await;
    wait_until(Duration::from_secs(10), "the old secret to end", async || {
        match with("old").await {
            401 => Ok(()),
            status => Err(status),
        }
    })
    .await;
    assert_eq!(with("new").await, 202);
}

#[tokio::test]
async fn tokens_and_keys_are_found_in_their_headers() {
    let server = TestServer::start().await;
    server
        .source(json!({
            "name": "bearer", "verificationMethod": "bearer_token",
            "verificationConfig": { "token": "t0ken" },
        }))
        .await;
    server
        .source(json!({
            "name": "key", "verificationMethod": "api_key",
            "verificationConfig": { "key": "k3y", "header": "X-My-Key" },
        }))
        .await;
    let status = async |source: &str, header: &str, value: &str| {
        server.deliver(source, &[(header, value)], b"{}").await.status.as_u16()
    };
    assert_eq!(status("bearer", "authorization", "Bearer t0ken").await, 202);
    assert_eq!(status("bearer", "authorization", "t0ken").await, 202);
    assert_eq!(status("bearer", "authorization", "bearer t0ken").await, 401);
    assert_eq!(status("bearer", "authorization", "Bearer t0ke").await, 401);
    assert_eq!(status("key", "x-my-key", "k3y").await, 202);
    assert_eq!(status("key", "x-api-key", "k3y").await, 401);
}

#[tokio::test]
async fn addresses_are_those_of_the_socket_unless_a_trusted_proxy_says_otherwise() {
    let server = TestServer::start().await;
    let list = |name: &str, list: &[&str]| {
        json!({ "name": name, "verificationMethod": "ip_allowlist",
                "verificationConfig": { "allowlist": list } })
    };
    server.source(list("here", &["127.0.0.0/8", "::1"])).await;
    server.source(list("there", &["203.0.113.7"])).await;
    let spoofed = [("x-forwarded-for", "203.0.113.7"), ("x-real-ip", "203.0.113.7")];
    server.deliver("here", &[], b"{}").await.expect(202);
    server.deliver("there", &spoofed, b"{}").await.expect(401);

    let behind = server.beside(&[("KICI_CLUSTER_TRUSTED_PROXIES", "127.0.0.1")]).await;
    behind.deliver("there", &spoofed, b"{}").await.expect(202);
    behind
        .deliver("there", &[("x-forwarded-for", "203.0.113.7, 8.8.8.8")], b"{}")
        .await
        .expect(401);
    behind.server.stop().await;
}

#[tokio::test]
async fn a_source_whose_secret_does_not_open_says_so_and_takes_nothing() {
    let server = TestServer::start().await;
    server
        .source(json!({
            "verificationMethod": "hmac_sha256", "verificationConfig": { "secret": "s" },
        }))
        .await;
    let place = server.stop().await;
    let other_key = "ff".repeat(32);
    let server = TestServer::start_with(place, &[("KICI_SECRET_KEY", &other_key)]).await;
    let refused = server.deliver("one", &[("x-signature-256", &sign("s", b"{}"))], b"{}").await;
    assert_eq!(
        refused.both(),
        (500, json!({ "rejected": true, "reason": "Source verification misconfigured" }))
    );
    // With the old key at hand it works again.
    let place = server.stop().await;
    let old = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let keys = [("KICI_SECRET_KEY", other_key.as_str()), ("KICI_SECRET_KEY_OLD", old)];
    let server = TestServer::start_with(place, &keys).await;
    server.deliver("one", &[("x-signature-256", &sign("s", b"{}"))], b"{}").await.expect(202);
}
