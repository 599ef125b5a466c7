//! Takes deliveries through their work: those handed over in memory, and those that a claim finds due.
//!
//! A batch is worked out concurrently (forges may be slow), then written in one transaction. Nothing is lost when
//! this process dies in between: the rows are leased, and the lease is taken over.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use kici_store::StoreError;
use kici_store::delivery::{Claimed, delivery_claim};
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;
use uuid::Uuid;

use super::process::{Processed, process};
use super::settle::settle;
use crate::app::App;
use crate::logging::Chain;

/// Deliveries of one transaction.
const BATCH: usize = 256;

/// Deliveries whose forge is asked at the same time.
const AT_ONCE: usize = 16;

/// Batches that may be under way: one may wait for a slow forge.
const BATCHES: usize = 4;

/// How often the table is looked at for deliveries that nobody holds.
const LOOK: Duration = Duration::from_secs(1);

/// What is being worked on here, so that an overdue lease does not make this process do it twice.
type InHand = Arc<Mutex<HashSet<Uuid>>>;

/// Works until the orchestrator stops; what is in memory then is left to its lease.
pub(super) async fn run(app: App, mut handed_over: mpsc::Receiver<Claimed>) {
    let in_hand = InHand::default();
    let slots = Arc::new(Semaphore::new(BATCHES));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        tokio::select! {
            biased;
            () = app.stop.cancelled() => return,
            taken = handed_over.recv_many(&mut batch, BATCH) => if taken == 0 { return },
            () = app.inbox.due.notified() => batch = claim(&app).await,
            _ = look.tick() => batch = claim(&app).await,
        }
        let mut taken = std::mem::take(&mut batch);
        if taken.len() == BATCH {
            app.inbox.wake();
        }
        {
            let mut in_hand = in_hand.lock().expect("nothing panics while it is held");
            taken.retain(|delivery| in_hand.insert(delivery.id));
        }
        if taken.is_empty() {
            continue;
        }
        let (app_of_batch, in_hand) = (app.clone(), Arc::clone(&in_hand));
        app.spawn(async move {
            let ids: Vec<Uuid> = taken.iter().map(|delivery| delivery.id).collect();
            work(&app_of_batch, taken).await;
            let mut in_hand = in_hand.lock().expect("nothing panics while it is held");
            ids.iter().for_each(|id| {
                in_hand.remove(id);
            });
            drop(slot);
        });
    }
}

async fn work(app: &App, batch: Vec<Claimed>) {
    let processed: Vec<Processed> = futures_util::stream::iter(batch)
        .map(|delivery| process(app, delivery))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    settle(app, processed).await;
}

async fn claim(app: &App) -> Vec<Claimed> {
    let claimed = async {
        let mut conn = app.store.connection().await?;
        let limit = i64::try_from(BATCH).expect("a small number");
        delivery_claim(&mut conn, app.number, limit, app.config.events.lease).await
    };
    claimed.await.unwrap_or_else(|error: StoreError| {
        warn!(error = %Chain(&error), "could not look for due deliveries, trying again");
        Vec::new()
    })
}
