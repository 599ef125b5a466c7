//! Records deliveries in groups: while one commit is under way the next group gathers, so that many senders share
//! one commit. A sender is answered only after the commit that has its delivery.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_store::delivery::{Claimed, DeliveryRow, Known, delivery_insert, delivery_known};
use kici_store::{Store, StoreError, Time};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};
use uuid::Uuid;

use super::{AcceptError, Accepted, NewDelivery};
use crate::app::App;

/// A delivery and who waits for its commit.
pub(super) struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Accepted, AcceptError>>,
}

/// At most this many deliveries share a commit.
const GROUP: usize = 256;

/// How long a group is tried when the database has a passing trouble: senders give up after some ten seconds.
const TRY_FOR: Duration = Duration::from_secs(5);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Records a delivery and returns after its commit. The same id within its window is a duplicate.
pub(crate) async fn accept(app: &App, delivery: NewDelivery) -> Result<Accepted, AcceptError> {
    let (answer, answered) = oneshot::channel();
    app.inbox.incoming.try_send(Waiting { delivery, answer }).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => AcceptError::Busy,
        mpsc::error::TrySendError::Closed(_) => AcceptError::Stopping,
    })?;
    answered.await.unwrap_or(Err(AcceptError::Stopping))
}

/// Writes groups until the orchestrator stops, and then what still waits.
pub(super) async fn write_groups(
    app: App,
    mut incoming: mpsc::Receiver<Waiting>,
    hand_over: mpsc::Sender<Claimed>,
) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        tokio::select! {
            biased;
            taken = incoming.recv_many(&mut group, GROUP) => if taken == 0 { return },
            () = app.stop.cancelled() => {
                incoming.close();
                if incoming.recv_many(&mut group, GROUP).await == 0 { return }
            }
        }
        write_group(&app, std::mem::take(&mut group), &hand_over).await;
    }
}

async fn write_group(app: &App, group: Vec<Waiting>, hand_over: &mpsc::Sender<Claimed>) {
    // A place in memory is reserved before the row says that this process holds it: a row without a place is left
    // to the next claim.
    let mut places = Vec::with_capacity(group.len());
    let rows: Vec<DeliveryRow> = group
        .iter()
        .map(|waiting| {
            let place = if waiting.delivery.evaluate { hand_over.try_reserve().ok() } else { None };
            let row = row(app, &waiting.delivery, place.is_some());
            places.push(place);
            row
        })
        .collect();
    let written = match write(&app.store, &rows).await {
        Ok(written) => written,
        Err(error) => {
            let shared = Arc::new(error);
            error!(error = %crate::logging::Chain(&*shared), deliveries = group.len(), "could not record deliveries");
            for waiting in group {
                // Nobody waits any more when the sender hung up.
                let _ = waiting.answer.send(Err(AcceptError::Store(Arc::clone(&shared))));
            }
            return;
        }
    };
    let mut left = false;
    for (((waiting, row), place), accepted) in group.into_iter().zip(rows).zip(places).zip(written)
    {
        match accepted {
            Written::New => {
                debug!(delivery.id = %row.delivery_id, routing_key = %row.routing_key, event = %row.event,
                      "delivery recorded");
                match place {
                    Some(place) => place.send(claimed(row)),
                    None => left |= row.evaluate,
                }
            }
            Written::Requeued => {
                info!(delivery.id = %row.delivery_id, "failed delivery came again and is due again");
                left = true;
            }
            Written::Duplicate => app.metrics.duplicate(),
        }
        let answer = match accepted {
            Written::New | Written::Requeued => Accepted::New,
            Written::Duplicate => Accepted::Duplicate,
        };
        let _ = waiting.answer.send(Ok(answer));
    }
    if left {
        app.inbox.wake();
    }
}

/// What became of one row of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    New,
    Requeued,
    Duplicate,
}

async fn write(store: &Store, rows: &[DeliveryRow]) -> Result<Vec<Written>, StoreError> {
    let until = Instant::now() + TRY_FOR;
    loop {
        match write_once(store, rows).await {
            Err(error) if error.is_transient() && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await
            }
            done => return done,
        }
    }
}

async fn write_once(store: &Store, rows: &[DeliveryRow]) -> Result<Vec<Written>, StoreError> {
    let mut conn = store.connection().await?;
    // One statement is a transaction of its own: when it returns, it is committed.
    let inserted: HashSet<Uuid> = delivery_insert(&mut conn, rows).await?.into_iter().collect();
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        written.push(match inserted.contains(&row.id) {
            true => Written::New,
            false => known(store, row).await?,
        });
    }
    Ok(written)
}

/// The slow way, for an id that was there: it may have failed, or be out of its window.
async fn known(store: &Store, row: &DeliveryRow) -> Result<Written, StoreError> {
    let mut tx = store.begin().await?;
    let written = match delivery_known(&mut tx, &row.org_id, &row.delivery_id, row.id).await? {
        Known::Inserted => Written::New,
        Known::Duplicate => Written::Duplicate,
        Known::Requeued => Written::Requeued,
        Known::Expired => {
            match delivery_insert(&mut tx, std::slice::from_ref(row)).await?.is_empty() {
                // Another copy was faster.
                true => Written::Duplicate,
                false => Written::New,
            }
        }
    };
    Store::commit(tx).await?;
    Ok(written)
}

fn row(app: &App, delivery: &NewDelivery, in_hand: bool) -> DeliveryRow {
    let too_large = delivery.body.len() > app.config.events.max_payload_bytes;
    DeliveryRow {
        id: Uuid::now_v7(),
        org_id: clean(&delivery.org_id),
        delivery_id: clean(&delivery.delivery_id),
        routing_key: clean(&delivery.routing_key),
        provider: delivery.provider.clone(),
        source_id: delivery.source_id,
        event: clean(&delivery.event),
        action: delivery.action.as_deref().map(clean),
        content_type: delivery.content_type.as_deref().map(clean),
        // Too large for the event log, it is still what the jobs' event is made of.
        payload: Some(delivery.body.to_vec()),
        payload_bytes: i32::try_from(delivery.body.len()).unwrap_or(i32::MAX),
        payload_hash: Sha256::digest(&delivery.body).to_vec(),
        payload_omitted: too_large.then(|| "size_exceeded".to_owned()),
        dedup_window: delivery.dedup_window,
        lease: in_hand.then_some((app.number, app.config.events.lease)),
        evaluate: delivery.evaluate,
    }
}

fn claimed(row: DeliveryRow) -> Claimed {
    Claimed {
        id: row.id,
        org_id: row.org_id,
        delivery_id: row.delivery_id,
        routing_key: row.routing_key,
        provider: row.provider,
        source_id: row.source_id,
        event: row.event,
        content_type: row.content_type,
        payload: row.payload,
        attempts: 1,
        received_at: Time::from_millis(jiff::Timestamp::now().as_millisecond()),
    }
}

/// PostgreSQL has no NUL in text, and a sender must not be able to fail a whole group with one.
fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}
