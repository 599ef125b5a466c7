//! From a push to a run, as the API shows it: no agent is connected here.

use std::time::Duration;

use kici_testkit::{Repo, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{OWNER, TestServer};

const LOCK_FILE: &str = include_str!("../fixtures/one-job.lock.json");

/// A repository with one workflow, as a local source, and the commit of it.
async fn repository(server: &TestServer) -> (Repo, String) {
    let repo = Repo::init();
    let commit = repo.write(".kici/kici.lock.json", LOCK_FILE).commit("one job");
    server.source(json!({ "name": "local", "localConfig": { "repoBasePath": repo.path() } })).await;
    (repo, commit)
}

async fn push(server: &TestServer, repo: &Repo, commit: &str, git_ref: &str) -> String {
    let name = repo.path().file_name().unwrap().to_str().unwrap();
    let body = json!({ "ref": git_ref, "after": commit, "repository": { "full_name": name } });
    let delivered =
        server.deliver("local", &[("x-event-type", "push")], body.to_string().as_bytes()).await;
    delivered.expect(202)["deliveryId"].as_str().unwrap().to_owned()
}

/// Waits until a delivery was worked on.
async fn processed(server: &TestServer, delivery: &str) -> Value {
    wait_until(Duration::from_secs(20), "the delivery to be processed", async || {
        let mut conn = server.store.connection().await.unwrap();
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM delivery WHERE due_at IS NOT NULL")
                .fetch_one(&mut *conn)
                .await
                .unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    let path = format!("/api/v1/admin/event-log/{delivery}?orgId=acme&includePayload=true");
    server.get(OWNER, &path).await.expect(200)
}

#[tokio::test]
async fn a_push_to_a_local_source_becomes_a_run() {
    let server = TestServer::start().await;
    let (repo, commit) = repository(&server).await;
    let delivery =
        processed(&server, &push(&server, &repo, &commit, "refs/heads/main").await).await;
    assert_eq!((&delivery["status"], &delivery["matchedCount"]), (&json!("processed"), &json!(1)));
    assert_eq!(delivery["payload"]["after"], commit);

    let list = server.get(OWNER, "/api/v1/admin/runs").await.expect(200);
    let run = &list["runs"][0];
    assert_eq!((&list["total"], &run["workflowName"]), (&json!(1), &json!("ci")));
    assert_eq!((&run["ref"], &run["sha"]), (&json!("main"), &json!(commit)));
    let id = run["runId"].as_str().unwrap();
    assert_eq!(delivery["runId"], id);
    let count =
        server.get(OWNER, "/api/v1/admin/runs?count=true&status=failed,held").await.expect(200);
    assert_eq!((&count["total"], &count["status"]), (&json!(0), &json!(["failed", "held"])));

    let shown = server.get(OWNER, &format!("/api/v1/admin/runs/{id}")).await.expect(200);
    assert_eq!(shown["run"]["deliveryId"], delivery["deliveryId"]);
    let jobs = server
        .get(OWNER, &format!("/api/v1/admin/runs/{id}/jobs?includeSteps=true"))
        .await
        .expect(200);
    assert_eq!(jobs["jobs"][0]["jobName"], "build");
    assert_eq!(jobs["jobs"][0]["runsOnLabels"], json!(["linux"]));
    let job = jobs["jobs"][0]["jobId"].as_str().unwrap();
    let logs = format!("/api/v1/admin/runs/{id}/jobs/{job}/steps/0/logs");
    let logs = server.get(OWNER, &logs).await.expect(200);
    assert_eq!((&logs["totalLines"], &logs["nextCursor"]), (&json!(0), &Value::Null));

    // A pushed tag and another branch match nothing here.
    for other in ["refs/tags/v1", "refs/heads/topic"] {
        let delivery = processed(&server, &push(&server, &repo, &commit, other).await).await;
        assert_eq!(
            (&delivery["status"], &delivery["matchedCount"]),
            (&json!("processed"), &json!(0)),
            "{other}"
        );
    }
    // A deleted branch is not looked at.
    let zero = "0".repeat(40);
    let delivery = processed(&server, &push(&server, &repo, &zero, "refs/heads/main").await).await;
    assert_eq!((&delivery["status"], &delivery["matchedCount"]), (&json!("received"), &json!(0)));
}

#[tokio::test]
async fn a_run_is_cancelled_once_and_followed_to_its_end() {
    let server = TestServer::start().await;
    let (repo, commit) = repository(&server).await;
    processed(&server, &push(&server, &repo, &commit, "refs/heads/main").await).await;
    let list = server.get(OWNER, "/api/v1/admin/runs").await.expect(200);
    let run = list["runs"][0]["runId"].as_str().unwrap().to_owned();

    let follow = server.request(Method::GET, &format!("/api/v1/admin/runs/{run}/follow"));
    let follow = follow.bearer_auth(OWNER).send().await.unwrap();
    let cancel = format!("/api/v1/admin/runs/{run}/cancel");
    let done = server.post(OWNER, &cancel, &json!({})).await.expect(200);
    assert_eq!(done, json!({ "status": "cancelled", "cancelledJobs": 1 }));
    let again = server.post(OWNER, &cancel, &json!({ "force": true })).await;
    assert_eq!(
        again.both(),
        (409, json!({ "error": "Run already in terminal state", "status": "cancelled" }))
    );
    let unknown = format!("/api/v1/admin/runs/{}/cancel", uuid::Uuid::new_v4());
    assert_eq!(
        server.post(OWNER, &unknown, &json!({})).await.both(),
        (404, json!({ "error": "Run not found" }))
    );

    let stream =
        tokio::time::timeout(Duration::from_secs(10), follow.text()).await.unwrap().unwrap();
    let kinds: Vec<String> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| {
            serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!((kinds.first().unwrap().as_str(), kinds.last().unwrap().as_str()), ("run", "ended"));
    assert!(kinds.contains(&"job".to_owned()), "{kinds:?}");

    let summary =
        server.get(OWNER, &format!("/api/v1/admin/runs/{run}/structured")).await.expect(200);
    assert_eq!(
        (&summary["failureCategory"], &summary["status"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(summary["cancelledBy"], "bootstrap");
    let error = &summary["jobs"][0]["errorMessage"];
    assert!(error.is_null() || error["untrusted"] == true, "{error}");
}

#[tokio::test]
async fn a_delivery_is_replayed_under_a_name_of_its_own() {
    let server = TestServer::start().await;
    let (repo, commit) = repository(&server).await;
    let delivery = push(&server, &repo, &commit, "refs/heads/main").await;
    processed(&server, &delivery).await;
    for number in 1..=2 {
        let path = format!("/api/v1/admin/event-log/{delivery}/replay?orgId=acme");
        let replayed = server.post(OWNER, &path, &json!({})).await.expect(202);
        let id = replayed["deliveryId"].as_str().unwrap();
        assert_eq!(id, format!("{delivery}:replay:{number}"));
        assert_eq!(processed(&server, id).await["matchedCount"], 1);
    }
    let list = server.get(OWNER, "/api/v1/admin/runs").await.expect(200);
    assert_eq!(list["total"], 3);
}

#[tokio::test]
async fn what_a_repository_lacks_is_said_in_the_delivery_log() {
    let server = TestServer::start().await;
    let repo = Repo::init();
    let empty = repo.commit("nothing here");
    server.source(json!({ "name": "local", "localConfig": { "repoBasePath": repo.path() } })).await;
    let delivery = processed(&server, &push(&server, &repo, &empty, "refs/heads/main").await).await;
    assert_eq!(delivery["status"], "lockfile_missing");
    let broken = repo.write(".kici/kici.lock.json", "{").commit("broken");
    let delivery =
        processed(&server, &push(&server, &repo, &broken, "refs/heads/main").await).await;
    assert_eq!(delivery["status"], "lockfile_corrupt");
}
