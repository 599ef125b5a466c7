//! What has ended long ago goes, with everything that is stored of it.

use std::path::{Path, PathBuf};

use kici_testkit::wait_until;
use serde_json::json;

use crate::env::{Env, LIMIT, job};

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect()
}

#[tokio::test]
async fn old_runs_go_with_their_logs_and_old_entries_of_the_access_log_as_well() {
    let mut env = Env::start_with(&[
        ("KICI_RUN_RETENTION_DAYS", "2"),
        ("KICI_EVENT_LOG_RETENTION_DAYS", "2"),
        ("KICI_ACCESS_LOG_RETENTION_DAYS", "2"),
    ])
    .await;
    let sha = env.commit_jobs(json!([job("old", json!({})), job("young", json!({}))]));
    env.push("d1", &sha).await;
    let mut agent = env.agent("a1", &["linux"]).await;
    for _ in 0..2 {
        let job = agent.take().await;
        agent.start(&job).await;
        agent.log(&job, &["a line"]).await;
        agent.step(&job, "success", json!({"durationMs": 5})).await;
        agent.end(&job, "success", json!({})).await;
    }
    let old = env.run_is("success").await["runId"].as_str().unwrap().to_owned();
    let logs = env.data.path().join("storage/logs");
    let stored = wait_until(LIMIT, "two logs", async || {
        let files = files(&logs);
        if files.len() == 2 { Ok(files) } else { Err(format!("{files:?}")) }
    })
    .await;
    let by_writer = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().contains('-');
    assert!(stored.iter().all(by_writer), "{stored:?}");
    let sha = env.commit_jobs(json!([job("young", json!({}))]));
    env.push("d2", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.log(&job, &["a line"]).await;
    agent.end(&job, "success", json!({})).await;
    wait_until(LIMIT, "three logs", async || {
        let files = files(&logs);
        if files.len() == 3 { Ok(()) } else { Err(format!("{files:?}")) }
    })
    .await;
    agent.vanish();
    env.stop().await;

    let pool = sqlx::PgPool::connect(env.db.url()).await.unwrap();
    for (sql, rows) in [
        ("UPDATE run SET finished_at = now() - interval '3 days' WHERE id = $1::uuid", 1),
        (
            "UPDATE delivery SET received_at = now() - interval '3 days', dedup_until = now()
              WHERE id = (SELECT delivery FROM run WHERE id = $1::uuid)",
            1,
        ),
        (
            "UPDATE access_log SET created_at = now() - interval '3 days'
              WHERE id = (SELECT id FROM access_log WHERE $1 <> '' ORDER BY id LIMIT 1)",
            1,
        ),
    ] {
        let done = sqlx::query(sql).bind(&old).execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), rows, "{sql}");
    }
    let count = async |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    let entries = count("access_log").await;
    let was = (count("run").await, count("delivery").await);
    assert_eq!(was, (2, 2));
    env.boot().await;
    wait_until(LIMIT, "what is old to be gone", async || {
        let left = (count("run").await, count("delivery").await, files(&logs).len());
        let aged: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM access_log WHERE created_at < now() - interval '2 days'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        if left == (1, 1, 1) && aged == 0 { Ok(()) } else { Err(format!("{left:?} {aged}")) }
    })
    .await;
    assert!(count("access_log").await >= entries - 1, "young entries stay");
    assert!(stored.iter().all(|file| !file.exists()), "{stored:?}");
    pool.close().await;
}
