//! Deliveries: duplicates, failures, what is not there.

use futures_util::future::join_all;
use kici_testkit::wait_until;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::env::{Env, LIMIT, job};

#[tokio::test]
async fn fifty_copies_at_once_are_one_delivery() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let answers = join_all((0..50).map(|_| env.push("same", &sha))).await;
    let accepted = answers.iter().filter(|answer| answer.status() == StatusCode::ACCEPTED).count();
    let duplicates = answers.iter().filter(|answer| answer.status() == StatusCode::OK).count();
    assert_eq!((accepted, duplicates), (1, 49));
    for answer in answers.into_iter().filter(|answer| answer.status() == StatusCode::OK) {
        assert_eq!(answer.json::<Value>().await.unwrap()["duplicate"], true);
    }
    env.run_is("pending").await;
    assert_eq!(env.runs().await.len(), 1);
}

#[tokio::test]
async fn many_deliveries_make_one_run_each() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let names: Vec<String> = (0..60).map(|number| format!("d{number}")).collect();
    let answers = join_all(names.iter().map(|name| env.push(name, &sha))).await;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::ACCEPTED));
    wait_until(LIMIT, "60 runs", async || match env.runs().await.len() {
        60 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn no_lock_file_is_no_run_and_said_in_the_log_of_deliveries() {
    let env = Env::start().await;
    let sha = env.repo.write("README", "hello").commit("no lock file");
    assert_eq!(env.push("d1", &sha).await.status(), StatusCode::ACCEPTED);
    wait_until(LIMIT, "the delivery to be settled", async || {
        let log = env.admin_get("/api/v1/admin/event-log?orgId=acme").await;
        match log["deliveries"][0]["status"].as_str() {
            Some("lockfile_missing") => Ok(()),
            _ => Err(log.to_string()),
        }
    })
    .await;
    assert!(env.runs().await.is_empty());
}

#[tokio::test]
async fn a_delivery_that_fails_says_why_and_may_come_again() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let settled = async || {
        wait_until(LIMIT, "the delivery to be settled", async || {
            let log = env.admin_get("/api/v1/admin/event-log?orgId=acme").await;
            let row = log["deliveries"][0].clone();
            if row["status"] == "received" { Err(row.to_string()) } else { Ok(row) }
        })
        .await
    };
    for _ in 0..2 {
        // The second one is no duplicate: the first has come to nothing.
        assert_eq!(env.push_of("nobody/nothing", "d1", &sha).await.status(), StatusCode::ACCEPTED);
        let row = settled().await;
        assert_eq!(row["status"], "failed");
        assert!(row["errorMessage"].as_str().unwrap().contains("nobody/nothing"), "{row}");
    }
    assert!(env.runs().await.is_empty());
}
