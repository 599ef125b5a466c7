//! The access log: who did, or was refused, what.

use std::time::Duration;

use kici_testkit::wait_until;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{OWNER, TestServer, answer};

const LOG: &str = "/api/v1/admin/access-log";
const LIMIT: Duration = Duration::from_secs(30);

/// Waits for this many entries that fit a query, newest first. Looking is written down too, so it is left out.
async fn entries(server: &TestServer, query: &str, count: usize) -> Vec<Value> {
    wait_until(LIMIT, &format!("{count} entries of {query}"), async || {
        let page = server.get(OWNER, &format!("{LOG}?{query}&limit=200")).await.expect(200);
        let items: Vec<Value> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["action"] != "access_log.list.read")
            .cloned()
            .collect();
        if items.len() == count { Ok(items) } else { Err(format!("{items:?}")) }
    })
    .await
}

#[tokio::test]
async fn changes_and_refusals_are_written_with_who_and_what_and_no_secret() {
    let server = TestServer::start().await;
    let auditor = server.token("auditor", None).await;
    let source = server.source(json!({})).await;
    let id = source["id"].as_str().unwrap();
    let refused = server.delete(&auditor, &format!("/api/v1/admin/generic-sources/{id}")).await;
    assert_eq!(refused.status, 403);
    let stranger = "cd".repeat(32);
    server.get(&stranger, "/api/v1/admin/runs").await.expect(401);
    let missing = "00000000-0000-7000-8000-000000000000";
    let cancel = format!("/api/v1/admin/runs/{missing}/cancel");
    server.post(OWNER, &cancel, &json!({})).await.expect(404);

    let denied = entries(&server, "outcome=denied", 2).await;
    let of_stranger = &denied[0];
    assert_eq!(of_stranger["actorMeta"], Value::Null);
    assert!(of_stranger["actorId"].as_str().unwrap().starts_with("sha256:"), "{of_stranger}");
    assert_eq!(of_stranger["errorMessage"], "Invalid or expired token");
    let of_auditor = &denied[1];
    assert_eq!(
        (&of_auditor["action"], &of_auditor["targetId"], &of_auditor["actorMeta"]),
        (
            &json!("generic_source.delete"),
            &json!(id),
            &json!({"label": "auditor", "role": "auditor"})
        )
    );
    assert_eq!(
        of_auditor["errorMessage"],
        "Role \"auditor\" does not have permission \"context.delete\""
    );
    let failed = entries(&server, "action=run.cancel", 1).await.remove(0);
    assert_eq!(
        (&failed["outcome"], &failed["targetType"], &failed["targetId"], &failed["errorMessage"]),
        (&json!("error"), &json!("run"), &json!(missing), &json!("Run not found"))
    );
    let made = entries(&server, "action=token.create", 1).await.remove(0);
    assert_eq!((&made["outcome"], &made["source"]), (&json!("allowed"), &json!("admin_http")));
    let one =
        server.get(OWNER, &format!("{LOG}/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(one, made);

    let all = server.get(OWNER, &format!("{LOG}?limit=200")).await.text;
    for secret in [auditor.as_str(), stranger.as_str(), OWNER] {
        assert!(!all.contains(secret), "a token is in the log");
    }
    // The command line is told from other callers.
    let request = server.request(Method::POST, &cancel).bearer_auth(OWNER);
    answer(request.header("user-agent", "kici/0.1.0")).await.expect(404);
    let cli = entries(&server, "source=admin_cli", 1).await;
    assert_eq!(cli[0]["action"], "run.cancel");
}

#[tokio::test]
async fn a_list_is_followed_to_its_end_without_gaps() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.source(json!({"name": format!("s{n}")})).await;
    }
    let all = entries(&server, "action=generic_source.create", 5).await;
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{LOG}?action=generic_source.create&limit=2{cursor}");
        let page = server.get(OWNER, &path).await.expect(200);
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, all);
    let bad = ["limit=0", "limit=201", "outcome=good", "actorType=me", "source=here", "cursor=x"];
    for bad in bad {
        server.get(OWNER, &format!("{LOG}?{bad}")).await.expect(400);
    }
    let tied = server.token("admin", Some("generic:acme:s0")).await;
    server.get(&tied, LOG).await.expect(403);
}

#[tokio::test]
async fn whoever_tries_many_tokens_does_not_fill_the_table() {
    let server = TestServer::start().await;
    let tries = (0..200).map(async |n: u32| {
        server.get(&format!("{n:064}"), "/api/v1/admin/runs").await.expect(401);
    });
    let started = std::time::Instant::now();
    futures_util::future::join_all(tries).await;
    let seconds = started.elapsed().as_secs() + 1;
    server.token("auditor", None).await;
    entries(&server, "action=token.create", 1).await;
    let page = server.get(OWNER, &format!("{LOG}?outcome=denied&limit=200")).await.expect(200);
    let written = page["items"].as_array().unwrap().len() as u64;
    assert!(written > 0 && written <= 10 * (seconds + 1), "{written} in {seconds} s");
}
