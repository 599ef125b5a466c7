//! Jobs: who may have one, and what an old holder may still say.

use std::collections::HashSet;
use std::time::Duration;

use kici_store::Store;
use kici_store::claim::{Claim, Limit, job_candidates, job_claim, waiting_lines};
use kici_store::definition::{Content, selector_insert};
use kici_store::job::{JobEnd, JobRow, job_end, job_insert, job_now};
use kici_store::lease::{
    GiveBack, job_acked, job_adopt, job_agent_lost, job_give_back, job_past_deadline, job_started,
};
use kici_store::run::{RunRow, run_insert};
use uuid::Uuid;

use crate::store;

const ACK: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(60);

fn run() -> RunRow {
    RunRow {
        id: Uuid::now_v7(),
        org_id: "acme".into(),
        delivery: Some(Uuid::now_v7()),
        delivery_id: "d".into(),
        provider: "local".into(),
        workflow_name: "ci".into(),
        state: "pending".into(),
        event: "{}".into(),
        open_jobs: 1,
        ..RunRow::default()
    }
}

/// A run with waiting jobs of one selector.
pub(crate) async fn waiting(store: &Store, selector: Uuid, count: i32) -> Vec<Uuid> {
    let mut conn = store.connection().await.unwrap();
    selector_insert(&mut conn, &[Content { id: selector, body: "{}".into() }]).await.unwrap();
    let run = RunRow { open_jobs: count, ..run() };
    run_insert(&mut conn, std::slice::from_ref(&run)).await.unwrap();
    let jobs: Vec<JobRow> = (0..count)
        .map(|position| JobRow {
            id: Uuid::now_v7(),
            run_id: run.id,
            position,
            name: format!("j{position}"),
            selector,
            state: "queued".into(),
            ..JobRow::default()
        })
        .collect();
    job_insert(&mut conn, &jobs).await.unwrap();
    jobs.into_iter().map(|job| job.id).collect()
}

async fn claim_one(store: &Store, job: Uuid, agent: &str) -> i32 {
    claim_by(store, job, agent, 1).await
}

/// An orchestrator gives a job to an agent of its own; answers the attempt.
pub(crate) async fn claim_by(store: &Store, job: Uuid, agent: &str, owner: i32) -> i32 {
    let mut conn = store.connection().await.unwrap();
    let claim = Claim { job, agent: agent.into() };
    job_claim(&mut conn, owner, ACK, &[claim]).await.unwrap()[0].1
}

fn end(job: Uuid, attempt: i32, from: &str, to: &str) -> JobEnd {
    JobEnd {
        id: job,
        attempt,
        from: from.into(),
        to: to.into(),
        error: None,
        reason: None,
        outputs: None,
    }
}

#[tokio::test]
async fn a_delivery_makes_a_workflow_run_once() {
    let (_db, store) = store().await;
    let mut conn = store.connection().await.unwrap();
    let first = run();
    let again = RunRow { id: Uuid::now_v7(), ..first.clone() };
    let other = RunRow { id: Uuid::now_v7(), workflow_name: "lint".into(), ..first.clone() };
    let made = run_insert(&mut conn, std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(made.iter().map(|run| run.id).collect::<Vec<_>>(), [first.id]);
    let made = run_insert(&mut conn, &[again, other.clone()]).await.unwrap();
    assert_eq!(made.iter().map(|run| run.id).collect::<Vec<_>>(), [other.id]);
    // Runs without a delivery (asked for by hand) are not bound by that.
    let by_hand = |id| RunRow { id, delivery: None, ..first.clone() };
    let (a, b) = (by_hand(Uuid::now_v7()), by_hand(Uuid::now_v7()));
    assert_eq!(run_insert(&mut conn, &[a, b]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_orchestrators_never_claim_the_same_job() {
    let (_db, store) = store().await;
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    waiting(&store, one, 60).await;
    waiting(&store, two, 3).await;
    let mut conn = store.connection().await.unwrap();
    let selectors: HashSet<Uuid> =
        waiting_lines(&mut conn).await.unwrap().into_iter().map(|line| line.selector).collect();
    assert_eq!(selectors, HashSet::from([one, two]));
    let limits: Vec<Limit> = waiting_lines(&mut conn)
        .await
        .unwrap()
        .into_iter()
        .map(|line| Limit { selector: line.selector, share: line.share, jobs: 20 })
        .collect();
    let take = async |owner: i32| {
        let mut tx = store.begin().await.unwrap();
        let found = job_candidates(&mut tx, &limits).await.unwrap();
        let claims: Vec<Claim> = found
            .iter()
            .map(|job| Claim { job: job.id, agent: format!("agent-{owner}") })
            .collect();
        let claimed = job_claim(&mut tx, owner, ACK, &claims).await.unwrap();
        Store::commit(tx).await.unwrap();
        claimed.into_iter().map(|(job, _)| job).collect::<Vec<_>>()
    };
    let (a, b) = tokio::join!(take(1), take(2));
    let mut all = [a, b].concat();
    while all.len() < 63 {
        let more = take(3).await;
        assert!(!more.is_empty(), "{} of 63", all.len());
        all.extend(more);
    }
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 63);
    assert!(waiting_lines(&mut conn).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_old_attempt_changes_nothing() {
    let (_db, store) = store().await;
    let job = waiting(&store, Uuid::now_v7(), 1).await[0];
    let mut conn = store.connection().await.unwrap();
    let old = claim_one(&store, job, "a").await;
    let back = GiveBack {
        job,
        attempt: old,
        delay: Duration::ZERO,
        failed: true,
        refused_by: Some("a".into()),
        why: None,
        only_unacked: true,
    };
    assert!(job_give_back(&mut conn, &back).await.unwrap());
    let new = claim_one(&store, job, "b").await;
    assert_eq!(new, old + 1);
    assert!(!job_give_back(&mut conn, &back).await.unwrap());
    assert!(job_started(&mut conn, &[(job, old)], GRACE).await.unwrap().is_empty());
    assert!(job_end(&mut conn, &[end(job, old, "queued", "success")]).await.unwrap().is_empty());
    assert_eq!(job_started(&mut conn, &[(job, new)], GRACE).await.unwrap().len(), 1);
    let ended = job_end(&mut conn, &[end(job, new, "running", "success")]).await.unwrap();
    assert_eq!(ended.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    assert!(job_end(&mut conn, &[end(job, new, "running", "failed")]).await.unwrap().is_empty());
    let now = &job_now(&mut conn, &[job]).await.unwrap()[0];
    assert_eq!(
        (now.state.as_str(), now.agent_id.as_deref(), now.failures),
        ("success", Some("b"), 1)
    );
}

#[tokio::test]
async fn an_acknowledgement_beats_the_deadline() {
    let (_db, store) = store().await;
    let jobs = waiting(&store, Uuid::now_v7(), 2).await;
    let mut conn = store.connection().await.unwrap();
    let claims: Vec<Claim> =
        jobs.iter().map(|job| Claim { job: *job, agent: "a".into() }).collect();
    let claimed = job_claim(&mut conn, 1, Duration::ZERO, &claims).await.unwrap();
    job_acked(&mut conn, &claimed[..1], Duration::from_secs(60)).await.unwrap();
    let due = job_past_deadline(&mut conn, 1, Duration::from_secs(60), 10).await.unwrap();
    assert_eq!(due.iter().map(|job| job.id).collect::<Vec<_>>(), [claimed[1].0]);
    let back = GiveBack {
        job: claimed[0].0,
        attempt: claimed[0].1,
        delay: Duration::ZERO,
        failed: true,
        refused_by: None,
        why: None,
        only_unacked: true,
    };
    assert!(
        !job_give_back(&mut conn, &back).await.unwrap(),
        "an acknowledged job is not taken back"
    );
}

#[tokio::test]
async fn a_job_is_adopted_by_its_own_agent_or_from_the_queue_only() {
    let (_db, store) = store().await;
    let jobs = waiting(&store, Uuid::now_v7(), 2).await;
    let mut conn = store.connection().await.unwrap();
    let attempt = claim_one(&store, jobs[0], "a").await;
    assert_eq!(job_adopt(&mut conn, jobs[0], "b", 1, GRACE, GRACE).await.unwrap(), None);
    assert_eq!(job_adopt(&mut conn, jobs[0], "a", 1, GRACE, GRACE).await.unwrap(), Some(attempt));
    // It had returned to the queue: a new holder is a new attempt.
    assert_eq!(job_adopt(&mut conn, jobs[1], "b", 1, GRACE, GRACE).await.unwrap(), Some(1));
}

/// Whether the time of a job is up, seen by its owner.
async fn is_due(store: &Store, job: Uuid) -> bool {
    let mut conn = store.connection().await.unwrap();
    let due = job_past_deadline(&mut conn, 1, GRACE, 10).await.unwrap();
    due.iter().any(|due| due.id == job)
}

#[tokio::test]
async fn a_limit_counts_from_the_start_also_for_an_agent_that_was_away() {
    let (_db, store) = store().await;
    let selector = Uuid::now_v7();
    let mut conn = store.connection().await.unwrap();
    for (timeout, due) in [(None, false), (Some(0), true), (Some(i64::MAX), false)] {
        let run = run();
        selector_insert(&mut conn, &[Content { id: selector, body: "{}".into() }]).await.unwrap();
        run_insert(&mut conn, std::slice::from_ref(&run)).await.unwrap();
        let job = JobRow {
            id: Uuid::now_v7(),
            run_id: run.id,
            selector,
            state: "queued".into(),
            timeout_ms: timeout,
            ..JobRow::default()
        };
        job_insert(&mut conn, std::slice::from_ref(&job)).await.unwrap();
        let attempt = claim_one(&store, job.id, "a").await;
        job_started(&mut conn, &[(job.id, attempt)], Duration::ZERO).await.unwrap();
        assert_eq!(is_due(&store, job.id).await, due, "{timeout:?}");
        job_agent_lost(&mut conn, "a", 1, GRACE).await.unwrap();
        assert!(!is_due(&store, job.id).await, "its agent may come back");
        let adopted = job_adopt(&mut conn, job.id, "a", 1, GRACE, Duration::ZERO).await.unwrap();
        assert_eq!(adopted, Some(attempt));
        assert_eq!(is_due(&store, job.id).await, due, "{timeout:?}, back");
        let ended = [end(job.id, attempt, "running", "failed")];
        assert_eq!(job_end(&mut conn, &ended).await.unwrap().len(), 1);
    }
}
