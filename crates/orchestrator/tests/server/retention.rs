//! What has ended long ago goes, with everything that is stored of it.

use std::path::{Path, PathBuf};

use kici_testkit::wait_until;
use serde_json::json;
use uuid::Uuid;

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
        (
            "UPDATE run SET created_at = now() - interval '3 days', finished_at = now() - interval '3 days'
              WHERE id = $1::uuid",
            1,
        ),
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
    // What stays for other reasons lies before it: more than one look goes through.
    let stuck = "INSERT INTO run (id, org_id, delivery_id, routing_key, provider, repo, git_ref, sha, workflow_name,
                                  definition, state, event, open_jobs, created_at)
                 SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'acme', 'd0', 'k', 'local', 'r',
                        'main', 'abc', 'stuck', $1::uuid, 'pending', '{}', 1, now() - interval '9 days'
                   FROM generate_series(1, 1100) n";
    let (named, unnamed) = (Uuid::now_v7(), Uuid::now_v7());
    sqlx::query(stuck).bind(named).execute(&pool).await.unwrap();
    for content in [named, unnamed] {
        let sql = "INSERT INTO definition (id, body, used_at) VALUES ($1, '{}', now() - interval '9 days')";
        sqlx::query(sql).bind(content).execute(&pool).await.unwrap();
    }
    let known: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM definition").fetch_all(&pool).await.unwrap();
    // A crash left one log whose rows are gone, and one belongs to nobody.
    let noted: Uuid = "0190163d-8694-739b-aea5-966c26f8adff".parse().unwrap();
    let unowned: Uuid = "0190163d-8694-739b-aea5-966c26f8ad01".parse().unwrap();
    sqlx::query("INSERT INTO log_removal (job_id) VALUES ($1)")
        .bind(noted)
        .execute(&pool)
        .await
        .unwrap();
    for job in [noted, unowned] {
        let id = job.simple().to_string();
        let folder = logs.join(&id[30..]).join(job.to_string()).join("1");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("000000-7.log"), "1\tlost\n").unwrap();
    }
    env.boot().await;
    wait_until(LIMIT, "what is old to be gone", async || {
        let left = (count("run").await, count("delivery").await, files(&logs).len());
        let aged: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM access_log WHERE created_at < now() - interval '2 days'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        if left == (1101, 1, 1) && aged == 0 { Ok(()) } else { Err(format!("{left:?} {aged}")) }
    })
    .await;
    assert!(count("access_log").await >= entries - 1, "young entries stay");
    assert!(stored.iter().all(|file| !file.exists()), "{stored:?}");
    assert!(!stored[0].parent().unwrap().parent().unwrap().exists(), "folders go as well");
    assert_eq!(count("log_removal").await, 0);
    let left: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM definition").fetch_all(&pool).await.unwrap();
    let wanted: Vec<Uuid> = known.into_iter().filter(|id| *id != unnamed).collect();
    assert_eq!(left, wanted);

    let bytes: i64 =
        sqlx::query_scalar("SELECT sum(bytes) FROM log_chunk").fetch_one(&pool).await.unwrap();
    wait_until(LIMIT, "what logs take", async || {
        let view = env.admin_get("/api/v1/admin/retention").await;
        let log = view["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "log");
        if log.unwrap()["bytes"] == bytes { Ok(()) } else { Err(view.to_string()) }
    })
    .await;
    let view = env.admin_get("/api/v1/admin/retention").await;
    let shown = |kind: &str| {
        let kinds = view["kinds"].as_array().unwrap();
        kinds.iter().find(|shown| shown["kind"] == kind).unwrap().clone()
    };
    assert_eq!(view["kinds"].as_array().unwrap().len(), 6);
    for (kind, removed) in [("run", 1), ("log", 3), ("delivery", 1), ("definition", 1)] {
        let shown = shown(kind);
        assert_eq!(
            (&shown["removed"], &shown["keepDays"]),
            (&json!(removed), &json!(2)),
            "{shown}"
        );
        assert!(shown["lastPassAt"].is_string() && shown["lastRemovedAt"].is_string(), "{shown}");
    }
    assert_eq!((&shown("run")["due"], &shown("log")["due"]), (&json!(0), &json!(0)));
    let metrics = env.client.get(env.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        format!("kici_orch_log_storage_bytes {bytes}"),
        "kici_orch_job_runs_total{job=\"cleanup\",result=\"success\"} 1".into(),
        "kici_orch_retention_removed_total{kind=\"unowned_log\"} 1".into(),
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is missing in:\n{metrics}");
    }
    pool.close().await;
}
