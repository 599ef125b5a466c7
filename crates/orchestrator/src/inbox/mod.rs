//! The durable inbox: a delivery is answered after it is in the table, and worked on from the table.
//!
//! `accept` writes deliveries in groups, `work` takes them through forge, triggers and runs, `process` does that
//! for one delivery without writing anything, `settle` writes what came out for a whole batch.

mod accept;
mod lock_cache;
mod process;
mod settle;
mod work;

use std::time::Duration;

use bytes::Bytes;
use kici_store::delivery::Claimed;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::app::App;
use crate::config::Config;
pub(crate) use accept::accept;

/// A delivery as `webhooks` hands it over, verified and with its identity worked out.
#[derive(Debug, Clone)]
pub(crate) struct NewDelivery {
    /// The organisation.
    pub(crate) org_id: String,
    /// The id that makes it unique in the organisation (`<routing key>:<raw id>`; bare for GitHub).
    pub(crate) delivery_id: String,
    /// Routing key of the source.
    pub(crate) routing_key: String,
    /// `generic`, `local` or `github`.
    pub(crate) provider: String,
    /// The source's row.
    pub(crate) source_id: Option<Uuid>,
    /// Event name as the sender gave it.
    pub(crate) event: String,
    /// Action, when it is cheap to know.
    pub(crate) action: Option<String>,
    /// Content type of the body.
    pub(crate) content_type: Option<String>,
    /// The raw body.
    pub(crate) body: Bytes,
    /// How long the same id is a duplicate.
    pub(crate) dedup_window: Duration,
    /// False for what is only recorded (a ping).
    pub(crate) evaluate: bool,
}

/// The answer to a delivery, given after its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Recorded; it will be processed. Also for one that had failed and is tried again.
    New,
    /// The same id is there already.
    Duplicate,
}

/// Why a delivery could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// More wait than can be written in time: the sender should try again.
    #[error("too many deliveries are waiting to be recorded")]
    Busy,
    /// The orchestrator is stopping.
    #[error("the orchestrator is stopping")]
    Stopping,
    /// The database did not take it.
    #[error("could not record the delivery")]
    Store(#[source] std::sync::Arc<kici_store::StoreError>),
}

/// The sending ends: deliveries to be written, and hints that something is due.
pub(crate) struct Inbox {
    incoming: mpsc::Sender<accept::Waiting>,
    due: tokio::sync::Notify,
    locks: lock_cache::LockCache,
}

/// The receiving ends, turned into tasks by [`Work::spawn`].
pub(crate) struct Work {
    incoming: mpsc::Receiver<accept::Waiting>,
    handed_over: (mpsc::Sender<Claimed>, mpsc::Receiver<Claimed>),
}

/// Requests that may wait for their commit; more are refused with [`AcceptError::Busy`].
const WAITING: usize = 4096;

/// Recorded deliveries that may wait in memory; more stay in the table until the next claim.
const IN_HAND: usize = 2048;

impl Inbox {
    pub(crate) fn new(config: &Config) -> (Inbox, Work) {
        let (incoming, receive) = mpsc::channel(WAITING);
        let locks = lock_cache::LockCache::new(&config.lock_files);
        let inbox = Inbox { incoming, due: tokio::sync::Notify::new(), locks };
        (inbox, Work { incoming: receive, handed_over: mpsc::channel(IN_HAND) })
    }

    /// Says that a delivery became due outside the usual way.
    pub(crate) fn wake(&self) {
        self.due.notify_one();
    }
}

impl Work {
    pub(crate) fn spawn(self, app: &App) {
        let (hand_over, handed_over) = self.handed_over;
        app.spawn(accept::write_groups(app.clone(), self.incoming, hand_over));
        app.spawn(work::run(app.clone(), handed_over));
    }
}
