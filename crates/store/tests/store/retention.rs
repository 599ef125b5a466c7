//! What is removed, and what is not.

use kici_store::retention::{delivery_delete, jobs_of_runs, run_delete, run_expired};
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
    let long_ago = "UPDATE run SET finished_at = now() - interval '3 days' WHERE id = ANY($1)";
    sqlx::query(long_ago).bind(vec![old.id, first.id, again.id]).execute(&mut *conn).await.unwrap();
    sqlx::query("UPDATE run SET parent_run_id = $1, finished_at = now() WHERE id = $2")
        .bind(first.id)
        .bind(again.id)
        .execute(&mut *conn)
        .await
        .unwrap();
    let expired = run_expired(&mut conn, 2.0 * DAY, 10).await.unwrap();
    assert_eq!(expired, vec![old.id]);
    assert!(jobs_of_runs(&mut conn, &expired).await.unwrap().is_empty());
    let everything: Vec<Uuid> = all.iter().map(|run| run.id).collect();
    assert_eq!(run_delete(&mut conn, &[first.id, open.id]).await.unwrap(), 0, "repeated, and open");
    assert_eq!(run_delete(&mut conn, &expired).await.unwrap(), 1);
    assert!(run_expired(&mut conn, 2.0 * DAY, 10).await.unwrap().is_empty());
    assert_eq!(run_delete(&mut conn, &everything).await.unwrap(), 2, "young and again");
    assert_eq!(
        run_delete(&mut conn, &everything).await.unwrap(),
        1,
        "nobody repeats the first any more"
    );
    assert_eq!(delivery_delete(&mut conn, DAY, 10).await.unwrap(), 0);
}
