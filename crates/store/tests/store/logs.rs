//! The index of logs: who may add to which attempt.

use std::time::Duration;

use kici_store::Store;
use kici_store::lease::{GiveBack, job_give_back};
use kici_store::log_chunk::{LogChunkRow, log_chunk_extent, log_chunk_insert, log_chunk_take_over};
use uuid::Uuid;

use crate::leases::{claim_by, waiting};
use crate::store;

fn lines(job: Uuid, attempt: i32, first_line: i64, writer: i32) -> LogChunkRow {
    LogChunkRow {
        job_id: job,
        attempt,
        step: 0,
        first_line,
        lines: 2,
        object: 0,
        start_byte: 0,
        bytes: 10,
        seq: first_line + 2,
        writer,
    }
}

async fn add(store: &Store, row: LogChunkRow) -> bool {
    let mut conn = store.connection().await.unwrap();
    let refused = log_chunk_insert(&mut conn, row.writer, &[row]).await.unwrap();
    refused.is_empty()
}

async fn stored(store: &Store, job: Uuid, attempt: i32) -> i64 {
    let mut conn = store.connection().await.unwrap();
    log_chunk_extent(&mut conn, job, attempt).await.unwrap().seq
}

#[tokio::test]
async fn one_orchestrator_writes_an_attempt_and_all_may_add_to_earlier_ones() {
    let (_db, store) = store().await;
    let job = waiting(&store, Uuid::now_v7(), 1).await[0];
    assert_eq!(claim_by(&store, job, "a", 1).await, 1);
    assert!(add(&store, lines(job, 1, 0, 1)).await);
    assert!(add(&store, lines(job, 1, 0, 1)).await, "the same again is fine");
    assert!(!add(&store, lines(job, 1, 2, 2)).await, "its agent is not at this orchestrator");
    let back = GiveBack {
        job,
        attempt: 1,
        delay: Duration::ZERO,
        failed: false,
        refused_by: None,
        why: None,
        only_unacked: false,
    };
    let mut conn = store.connection().await.unwrap();
    assert!(job_give_back(&mut conn, &back).await.unwrap());
    drop(conn);
    assert_eq!(claim_by(&store, job, "b", 2).await, 2);

    // What the first agent still has to say, wherever it is connected now.
    assert!(add(&store, lines(job, 1, 2, 3)).await);
    assert_eq!(stored(&store, job, 1).await, 4);
    assert!(!add(&store, lines(job, 1, 2, 1)).await, "these lines came from elsewhere");

    assert!(!add(&store, lines(job, 2, 0, 1)).await);
    assert!(add(&store, lines(job, 2, 0, 2)).await);
    let mut conn = store.connection().await.unwrap();
    let extent = log_chunk_take_over(&mut conn, job, 2, 3).await.unwrap();
    assert!(extent.taken_over && extent.seq == 2, "{extent:?}");
    drop(conn);
    assert!(!add(&store, lines(job, 2, 2, 2)).await);
    assert!(add(&store, lines(job, 2, 2, 3)).await);
}
