//! Requests that are wrong, and what their senders are told.

use reqwest::Method;
use serde_json::json;

use crate::server::{OWNER, TestServer, answer};

#[tokio::test]
async fn bodies_that_are_no_json_or_not_of_the_right_form() {
    let server = TestServer::start().await;
    let post = async |path: &str, body: &str| {
        let request = server.request(Method::POST, path).bearer_auth(OWNER);
        answer(request.header("content-type", "application/json").body(body.to_owned()))
            .await
            .both()
    };
    let invalid = json!({ "error": "Invalid JSON body" });
    for path in ["/api/v1/admin/tokens", "/api/v1/admin/generic-sources", "/api/v1/agent-tokens"] {
        assert_eq!(post(path, r#"{"label": "#).await, (400, invalid.clone()), "{path}");
    }
    let (status, body) = post("/api/v1/admin/tokens", r#"{"label": 5, "role": "owner"}"#).await;
    assert_eq!((status, &body["error"]), (400, &json!("Validation error")));
    assert_eq!(body["details"][0]["path"], json!(["label"]));
    let (status, body) = post("/api/v1/admin/tokens", r#"{"label": "x", "role": "king"}"#).await;
    assert_eq!(status, 400);
    assert!(
        body["details"][0]["message"].as_str().unwrap().contains("unknown variant `king`"),
        "{body}"
    );
}

#[tokio::test]
async fn ids_and_queries_of_a_wrong_form() {
    let server = TestServer::start().await;
    let malformed = json!({ "error": "Invalid request: malformed value for a typed field" });
    for path in ["/api/v1/admin/runs/abc", "/api/v1/admin/generic-sources/abc"] {
        assert_eq!(server.get(OWNER, path).await.both(), (400, malformed.clone()), "{path}");
    }
    let cancel = server.post(OWNER, "/api/v1/admin/runs/abc/cancel", &json!({})).await;
    assert_eq!(cancel.both(), (400, malformed));
    let bad = server.get(OWNER, "/api/v1/admin/runs?limit=many").await.expect(400);
    assert_eq!(bad["details"][0]["path"], json!(["limit"]));
    let bad = server.get(OWNER, "/api/v1/admin/event-log?from=yesterday").await.expect(400);
    assert_eq!(bad["details"][0]["path"], json!(["from"]));
    let bad = server.get(OWNER, "/api/v1/admin/runs?status=done").await.expect(400);
    assert!(
        bad["error"].as_str().unwrap().starts_with(r#"Invalid status "done". Allowed: pending"#)
    );
    let bad = server.get(OWNER, "/api/v1/admin/generic-sources").await.expect(400);
    assert_eq!(bad["error"], "Missing orgId query parameter");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = TestServer::start().await;
    let body = vec![b' '; 26 * 1024 * 1024];
    let request = server.request(Method::POST, "/api/v1/admin/tokens").bearer_auth(OWNER);
    let refused = answer(request.body(body)).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (413, "Payload Too Large"));
}
