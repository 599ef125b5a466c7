//! Jobs: making them.

use kici_model::state::JobKind;
use kici_store::Store;
use kici_store::job::{JobRow, job_insert, job_insert_plain};
use kici_store::run::{RunRow, run_insert};
use uuid::Uuid;

use crate::store;

#[tokio::test]
async fn a_plain_job_is_the_same_however_it_is_made() {
    let (_db, store) = store().await;
    let run = RunRow {
        id: Uuid::now_v7(),
        org_id: "acme".into(),
        repo: "acme/app".into(),
        state: "pending".into(),
        event: "{}".into(),
        open_jobs: 4,
        ..RunRow::default()
    };
    let job = |name: &str, state: &str, open_needs: i32, wait: Option<&str>| JobRow {
        id: Uuid::now_v7(),
        run_id: run.id,
        position: 3,
        name: name.into(),
        base_name: "base".into(),
        lock_index: Some(7),
        selector: Uuid::from_u128(5),
        state: state.into(),
        open_needs,
        wait_reason: wait.map(str::to_owned),
        ..JobRow::default()
    };
    let wait = Some(r#"{"kind":"needs","upstreams":["a"]}"#);
    let plain = [job("a", "queued", 0, None), job("b", "pending", 2, wait)];
    let same = [job("a again", "queued", 0, None), job("b again", "pending", 2, wait)];
    assert!(plain.iter().all(JobRow::is_plain));

    // One transaction, so that the time is the same.
    let mut tx = store.begin().await.unwrap();
    let made = run_insert(&mut tx, std::slice::from_ref(&run)).await.unwrap();
    let plain: Vec<(&JobRow, i64)> = plain.iter().map(|job| (job, made[0].share)).collect();
    job_insert_plain(&mut tx, &plain).await.unwrap();
    job_insert(&mut tx, &same).await.unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, (to_jsonb(j) - 'id' - 'name')::text FROM job j ORDER BY name")
            .fetch_all(&mut *tx)
            .await
            .unwrap();
    let [(_, a), (_, a_again), (_, b), (_, b_again)] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!(a, a_again);
    assert_eq!(b, b_again);
    Store::commit(tx).await.unwrap();
}

#[test]
fn what_a_plain_job_cannot_say_makes_it_another() {
    let plain = || JobRow { state: "queued".into(), ..JobRow::default() };
    assert!(plain().is_plain());
    let text = || Some("x".to_owned());
    let others = [
        JobRow { matrix: text(), ..plain() },
        JobRow { variant_kind: text(), ..plain() },
        JobRow { variant_label: text(), ..plain() },
        JobRow { fanout_index: Some(0), ..plain() },
        JobRow { fanout_total: Some(2), ..plain() },
        JobRow { max_parallel: Some(1), ..plain() },
        JobRow { fail_fast: true, ..plain() },
        JobRow { gated: true, ..plain() },
        JobRow { environment: text(), ..plain() },
        JobRow { env: text(), ..plain() },
        JobRow { body: text(), ..plain() },
        JobRow { hold: true, ..plain() },
        JobRow { slot: true, ..plain() },
        JobRow { end_reason: text(), ..plain() },
        JobRow { error_message: text(), ..plain() },
        JobRow { init_failure: text(), ..plain() },
        JobRow { kind: JobKind::Init, ..plain() },
        JobRow { priority: 1, ..plain() },
        JobRow { timeout_ms: Some(1), ..plain() },
        JobRow { state: "success".into(), ..plain() },
        JobRow { state: "held".into(), ..plain() },
        JobRow { state: "waiting".into(), ..plain() },
    ];
    for job in others {
        assert!(!job.is_plain(), "{job:?}");
    }
}
