//! What organisations have set.

use serde_json::{Value, json};

use crate::server::{OWNER, TestServer};

const SETTINGS: &str = "/api/v1/admin/org-settings/global-workflows";

#[tokio::test]
async fn settings_have_defaults_and_what_is_not_given_stays() {
    let server = TestServer::start().await;
    let of_acme = format!("{SETTINGS}?customerId=acme");
    let shown = async || server.get(OWNER, &of_acme).await.expect(200)["settings"].clone();
    let defaults = json!({
        "approvalExpirySeconds": 86400, "allowSelfApproval": true, "createdAt": null, "updatedAt": null,
    });
    assert_eq!(shown().await, defaults);
    let set = async |body: Value| {
        let mut all = json!({"customerId": "acme"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        server.patch(OWNER, SETTINGS, &all).await
    };
    // Two who set different things both count.
    let (one, two) = tokio::join!(
        set(json!({"approvalExpirySeconds": 60})),
        set(json!({"allowSelfApproval": false}))
    );
    one.expect(200);
    two.expect(200);
    let now = shown().await;
    assert_eq!(
        (&now["approvalExpirySeconds"], &now["allowSelfApproval"]),
        (&json!(60), &json!(false))
    );
    set(json!({"approvalExpirySeconds": 0})).await.expect(400);
    set(json!({"userCacheTtlMs": 5})).await.expect(400);
    let auditor = server.token("auditor", None).await;
    server.get(&auditor, &of_acme).await.expect(403);
}
