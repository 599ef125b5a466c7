//! Takes deliveries through their work: those handed over in memory, and those that a claim finds due.
//!
//! Deliveries are worked out concurrently (forges may be slow) and handed to one writer, which writes what has
//! gathered since its last transaction in the next one. Nothing is lost when this process dies in between: the rows
//! are leased, and the lease is taken over.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use kici_store::StoreError;
use kici_store::delivery::{Claimed, delivery_claim};
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;
use uuid::Uuid;

use super::process::{Failure, Processed, process};
use super::settle::settle;
use crate::app::App;
use crate::logging::Chain;

/// Deliveries of one transaction.
const BATCH: usize = 256;

/// Deliveries of one claim.
const CLAIM: usize = 64;

/// Deliveries that are worked out at the same time.
const AT_ONCE: usize = 64;

/// How often the table is looked at for deliveries that nobody holds.
const LOOK: Duration = Duration::from_secs(1);

/// What is being worked on here, so that an overdue lease does not make this process do it twice.
type InHand = Arc<Mutex<HashSet<Uuid>>>;

/// Works until the orchestrator stops; what is in memory then is left to its lease.
pub(super) async fn run(app: App, mut handed_over: mpsc::Receiver<Claimed>) {
    let in_hand = InHand::default();
    let (done, processed) = mpsc::channel(BATCH);
    app.spawn(write(app.clone(), processed, Arc::clone(&in_hand)));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = tokio::select! {
            biased;
            () = app.stop.cancelled() => return,
            _ = look.tick() => claim(&app).await,
            () = app.inbox.due.notified() => claim(&app).await,
            taken = handed_over.recv() => match taken {
                None => return,
                Some(delivery) => vec![delivery],
            },
        };
        if due.len() == CLAIM {
            app.inbox.wake();
        }
        for delivery in due {
            if !in_hand.lock().expect("nothing panics while it is held").insert(delivery.id) {
                continue;
            }
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (app, done) = (app.clone(), done.clone());
            tokio::spawn(async move {
                // Fails only at a stop; the lease brings the delivery back.
                let _ = done.send(worked_out(&app, delivery).await).await;
                drop(place);
            });
        }
    }
}

/// A delivery that trips over a bug fails alone.
async fn worked_out(app: &App, delivery: Claimed) -> Processed {
    let kept = delivery.clone();
    match AssertUnwindSafe(process(app, delivery)).catch_unwind().await {
        Ok(processed) => processed,
        Err(_) => {
            let message =
                "processing the delivery panicked: this is a bug of the orchestrator, see its log";
            Processed {
                delivery: kept,
                result: Err(Failure { message: message.into(), retry: false }),
            }
        }
    }
}

/// Writes what was worked out, as much as there is at a time.
async fn write(app: App, mut processed: mpsc::Receiver<Processed>, in_hand: InHand) {
    let mut batch = Vec::with_capacity(BATCH);
    while processed.recv_many(&mut batch, BATCH).await > 0 {
        let ids: Vec<Uuid> = batch.iter().map(|processed| processed.delivery.id).collect();
        settle(&app, std::mem::take(&mut batch)).await;
        let mut in_hand = in_hand.lock().expect("nothing panics while it is held");
        for id in ids {
            in_hand.remove(&id);
        }
    }
}

async fn claim(app: &App) -> Vec<Claimed> {
    let claimed = async {
        let mut conn = app.store.connection().await?;
        let limit = i64::try_from(CLAIM).expect("a small number");
        delivery_claim(&mut conn, app.number, limit, app.config.events.lease).await
    };
    claimed.await.unwrap_or_else(|error: StoreError| {
        warn!(error = %Chain(&error), "could not look for due deliveries, trying again");
        Vec::new()
    })
}
