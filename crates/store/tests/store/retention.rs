//! What is removed, and what is not.

use kici_store::definition::{Content, definition_delete, definition_insert};
use kici_store::job::{JobRow, job_insert};
use kici_store::log_removal::{job_missing, log_removal_done, log_removal_next};
use kici_store::retention::{delivery_look, run_delete, run_look};
use kici_store::run::{RunRow, run_insert};
use uuid::Uuid;

use crate::store;

const DAY: f64 = 86_400.0;

fn run(state: &str) -> RunRow {
    RunRow {
        id: Uuid::now_v7(),
        org_id: "acme".into(),
        delivery: Some(Uuid::now_v7()),
        state: state.into(),
        event: "{}".into(),
        ..RunRow::default()
    }
}

#[tokio::test]
async fn only_what_ended_long_ago_and_is_not_repeated_goes() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let (old, young, open, first, again) =
        (run("success"), run("failed"), run("pending"), run("success"), run("success"));
    let all = [old.clone(), young.clone(), open.clone(), first.clone(), again.clone()];
    run_insert(&mut conn, &all).await.unwrap();
    let jobs: Vec<JobRow> = (0..3)
        .map(|n| JobRow {
            id: Uuid::now_v7(),
            run_id: old.id,
            position: n,
            name: n.to_string(),
            state: "success".into(),
            ..JobRow::default()
        })
        .collect();
    job_insert(&mut conn, &jobs).await.unwrap();
    let ran = "UPDATE job SET attempt = 1 WHERE name <> '0'";
    sqlx::query(ran).execute(&mut *conn).await.unwrap();
    let long_ago = "UPDATE run SET finished_at = now() - interval '3 days',
                                   created_at = now() - interval '3 days' WHERE id = ANY($1)";
    sqlx::query(long_ago).bind(vec![old.id, first.id, again.id]).execute(&mut *conn).await.unwrap();
    sqlx::query("UPDATE run SET parent_run_id = $1, finished_at = now() WHERE id = $2")
        .bind(first.id)
        .bind(again.id)
        .execute(&mut *conn)
        .await
        .unwrap();
    let looked = run_look(&mut conn, Uuid::nil(), 2.0 * DAY, 10).await.unwrap();
    let shown: Vec<_> = looked.iter().map(|run| (run.id, run.due, run.young, run.jobs)).collect();
    let wanted = [
        (old.id, true, false, 3),
        (young.id, false, true, 0),
        (open.id, false, true, 0),
        (first.id, false, false, 0),
        (again.id, false, false, 0),
    ];
    assert_eq!(shown, wanted);
    let behind = run_look(&mut conn, open.id, 2.0 * DAY, 1).await.unwrap();
    assert_eq!(behind.iter().map(|run| run.id).collect::<Vec<_>>(), [first.id]);
    let everything: Vec<Uuid> = all.iter().map(|run| run.id).collect();
    assert_eq!(run_delete(&mut conn, &[first.id, open.id]).await.unwrap(), 0, "repeated, and open");
    assert!(log_removal_next(&mut conn, Uuid::nil(), 10).await.unwrap().is_empty());
    assert_eq!(run_delete(&mut conn, &[old.id]).await.unwrap(), 1);
    let logs = log_removal_next(&mut conn, Uuid::nil(), 10).await.unwrap();
    assert_eq!(logs, [jobs[1].id, jobs[2].id], "the first job never ran");
    assert_eq!(log_removal_next(&mut conn, logs[0], 10).await.unwrap(), logs[1..]);
    assert_eq!(job_missing(&mut conn, &logs).await.unwrap(), logs);
    log_removal_done(&mut conn, &logs).await.unwrap();
    assert!(log_removal_next(&mut conn, Uuid::nil(), 10).await.unwrap().is_empty());
    assert_eq!(run_delete(&mut conn, &everything).await.unwrap(), 2, "young and again");
    assert_eq!(
        run_delete(&mut conn, &everything).await.unwrap(),
        1,
        "nobody repeats the first any more"
    );
    let look = delivery_look(&mut conn, Uuid::nil(), DAY, 10).await.unwrap();
    assert_eq!((look.last, look.removed), (None, 0));
}

#[tokio::test]
async fn a_workflow_that_is_named_again_is_young_again() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let contents: Vec<Content> =
        (0..3).map(|n| Content { id: Uuid::now_v7(), body: format!("{{\"n\":{n}}}") }).collect();
    definition_insert(&mut conn, &contents).await.unwrap();
    sqlx::query("UPDATE definition SET used_at = now() - interval '3 days'")
        .execute(&mut *conn)
        .await
        .unwrap();
    definition_insert(&mut conn, &contents[..1]).await.unwrap();
    let named = [contents[1].id];
    assert_eq!(definition_delete(&mut conn, 4.0 * DAY, &named, 10).await.unwrap(), 0, "too young");
    assert_eq!(definition_delete(&mut conn, 2.0 * DAY, &named, 10).await.unwrap(), 1);
    let left: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM definition ORDER BY id")
        .fetch_all(&mut *conn)
        .await
        .unwrap();
    assert_eq!(left, [contents[0].id, contents[1].id]);
    definition_insert(&mut conn, &contents).await.unwrap();
    let back: i64 =
        sqlx::query_scalar("SELECT count(*) FROM definition").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(back, 3);
}
