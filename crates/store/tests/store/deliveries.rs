//! The inbox: duplicates, windows, claims, and what a dead process leaves behind.

use std::time::Duration;

use kici_store::delivery::{
    DeliveryRow, Known, Settled, delivery_claim, delivery_insert, delivery_known, delivery_reclaim,
    delivery_retry, delivery_settle,
};
use kici_store::{Presence, owner_missing};
use uuid::Uuid;

use crate::store;

fn row(id: &str) -> DeliveryRow {
    DeliveryRow {
        id: Uuid::now_v7(),
        org_id: "acme".into(),
        delivery_id: id.into(),
        routing_key: "generic:acme:x".into(),
        provider: "local".into(),
        source_id: None,
        event: "push".into(),
        action: None,
        content_type: None,
        payload: Some(b"{}".to_vec()),
        payload_bytes: 2,
        payload_hash: vec![0; 32],
        payload_omitted: None,
        dedup_window: Duration::from_secs(60),
        lease: None,
        evaluate: true,
    }
}

fn settled(id: Uuid, state: &'static str, error: Option<&str>) -> Settled {
    Settled {
        id,
        state,
        matched: 0,
        run: None,
        error: error.map(str::to_owned),
        repo: None,
        git_ref: None,
        action: None,
    }
}

#[tokio::test]
async fn one_of_many_copies_goes_in_and_a_group_keeps_its_others() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let (first, copy, other) = (row("a"), row("a"), row("b"));
    let inserted =
        delivery_insert(&mut conn, &[first.clone(), copy.clone(), other.clone()]).await.unwrap();
    assert_eq!(inserted, [first.id, other.id]);
    assert!(delivery_insert(&mut conn, std::slice::from_ref(&copy)).await.unwrap().is_empty());
    assert_eq!(delivery_known(&mut conn, "acme", "a", copy.id).await.unwrap(), Known::Duplicate);
    assert_eq!(delivery_known(&mut conn, "acme", "a", first.id).await.unwrap(), Known::Inserted);
}

#[tokio::test]
async fn an_id_may_come_again_after_its_window() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let old = DeliveryRow { dedup_window: Duration::ZERO, ..row("a") };
    delivery_insert(&mut conn, &[old]).await.unwrap();
    let new = row("a");
    assert!(delivery_insert(&mut conn, std::slice::from_ref(&new)).await.unwrap().is_empty());
    assert_eq!(delivery_known(&mut conn, "acme", "a", new.id).await.unwrap(), Known::Expired);
    assert_eq!(delivery_insert(&mut conn, std::slice::from_ref(&new)).await.unwrap(), [new.id]);
}

#[tokio::test]
async fn a_failed_delivery_is_due_again_when_it_comes_again() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let failed = row("a");
    delivery_insert(&mut conn, std::slice::from_ref(&failed)).await.unwrap();
    delivery_settle(&mut conn, &[settled(failed.id, "failed", Some("no repository"))])
        .await
        .unwrap();
    assert!(delivery_claim(&mut conn, 1, 10, Duration::from_secs(60)).await.unwrap().is_empty());
    assert_eq!(
        delivery_known(&mut conn, "acme", "a", Uuid::now_v7()).await.unwrap(),
        Known::Requeued
    );
    let claimed = delivery_claim(&mut conn, 1, 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claimed.iter().map(|c| (c.id, c.attempts)).collect::<Vec<_>>(), [(failed.id, 1)]);
}

#[tokio::test]
async fn claims_do_not_overlap_and_respect_leases_and_pauses() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let rows: Vec<DeliveryRow> = (0..40).map(|number| row(&format!("d{number}"))).collect();
    let leased = DeliveryRow { lease: Some((7, Duration::from_secs(60))), ..row("leased") };
    let silent = DeliveryRow { evaluate: false, ..row("ping") };
    delivery_insert(&mut conn, &rows).await.unwrap();
    delivery_insert(&mut conn, &[leased, silent]).await.unwrap();
    let claim = async |owner: i32| {
        let mut conn = store.connection().await.unwrap();
        let claimed = delivery_claim(&mut conn, owner, 15, Duration::from_secs(60)).await.unwrap();
        claimed.into_iter().map(|claimed| claimed.id).collect::<Vec<_>>()
    };
    let (a, b, c) = tokio::join!(claim(1), claim(2), claim(3));
    let mut all = [a, b, c].concat();
    let rest = claim(4).await;
    all.extend(rest);
    all.sort();
    let before = all.len();
    all.dedup();
    assert_eq!((before, all.len()), (40, 40));
    delivery_retry(&mut conn, all[0], Duration::from_secs(60), "later").await.unwrap();
    delivery_retry(&mut conn, all[1], Duration::ZERO, "at once").await.unwrap();
    assert_eq!(claim(5).await, [all[1]]);
}

#[tokio::test]
async fn what_a_dead_process_held_is_due_at_once_and_the_living_keep_theirs() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let (dead, living) =
        (Presence::announce(&store).await.unwrap(), Presence::announce(&store).await.unwrap());
    let lease = |number| Some((number, Duration::from_secs(3600)));
    let (a, b) = (
        DeliveryRow { lease: lease(dead.number()), ..row("a") },
        DeliveryRow { lease: lease(living.number()), ..row("b") },
    );
    delivery_insert(&mut conn, &[a.clone(), b]).await.unwrap();
    assert!(owner_missing(&mut conn).await.unwrap().is_empty());
    let gone = dead.number();
    dead.leave().await;
    kici_testkit::wait_until(Duration::from_secs(10), "the lock to go", async || {
        match owner_missing(&mut conn).await.unwrap() {
            missing if missing == [gone] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(delivery_reclaim(&mut conn, &[gone]).await.unwrap(), 1);
    let claimed =
        delivery_claim(&mut conn, living.number(), 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claimed.iter().map(|c| (c.id, c.attempts)).collect::<Vec<_>>(), [(a.id, 2)]);
}

#[tokio::test]
async fn a_settled_delivery_stays_as_it_is() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let one = row("a");
    delivery_insert(&mut conn, std::slice::from_ref(&one)).await.unwrap();
    delivery_settle(&mut conn, &[settled(one.id, "processed", None)]).await.unwrap();
    delivery_settle(&mut conn, &[settled(one.id, "failed", Some("late"))]).await.unwrap();
    assert_eq!(
        delivery_known(&mut conn, "acme", "a", Uuid::now_v7()).await.unwrap(),
        Known::Duplicate
    );
}
