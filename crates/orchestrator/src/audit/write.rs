//! Writes entries of the access log in batches. What does not fit into the channel is counted and left out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kici_store::StoreError;
use kici_store::access_log::{AccessRow, access_log_insert};
use tokio::sync::mpsc;
use tracing::warn;
use uuid::Uuid;

use crate::app::App;
use crate::logging::Chain;

/// Entries that may wait.
const WAITING: usize = 2048;

/// Entries of one statement.
const BATCH: usize = 256;

/// Entries about unknown tokens in a second: whoever tries many must not fill the table.
const STRANGERS: u32 = 10;

/// Tries to write a batch while the database is away.
const TRIES: u32 = 5;

/// The sending end.
pub(crate) struct Audit {
    entries: mpsc::Sender<AccessRow>,
    dropped: AtomicU64,
    strangers: Mutex<(Instant, u32)>,
}

/// The receiving end.
pub(crate) struct Work(mpsc::Receiver<AccessRow>);

impl Audit {
    pub(crate) fn new() -> (Audit, Work) {
        let (entries, receive) = mpsc::channel(WAITING);
        let strangers = Mutex::new((Instant::now(), 0));
        (Audit { entries, dropped: AtomicU64::new(0), strangers }, Work(receive))
    }

    /// Writes an entry soon.
    pub(crate) fn write(&self, row: AccessRow) {
        if self.entries.try_send(row).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The same for somebody unknown, of whom only so many are written.
    pub(super) fn write_of_stranger(&self, row: AccessRow) {
        {
            let mut second = self.strangers.lock().expect("nothing panics while it is held");
            if second.0.elapsed() > Duration::from_secs(1) {
                *second = (Instant::now(), 0);
            }
            second.1 += 1;
            if second.1 > STRANGERS {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.write(row);
    }

    /// What the orchestrator itself, or a job on an agent, did to a hold.
    pub(crate) fn hold(&self, hold: Uuid, action: &str, agent: Option<&str>) {
        self.write(AccessRow {
            id: Uuid::now_v7(),
            actor_type: "system".to_owned(),
            actor_id: agent.unwrap_or("kici").to_owned(),
            action: action.to_owned(),
            target_type: Some("held_run".to_owned()),
            target_id: Some(hold.to_string()),
            source: if agent.is_some() { "agent" } else { "admin_http" }.to_owned(),
            outcome: "allowed".to_owned(),
            ..AccessRow::default()
        });
    }
}

impl Work {
    pub(crate) fn spawn(self, app: &App) {
        app.spawn(run(app.clone(), self.0));
    }
}

async fn run(app: App, mut entries: mpsc::Receiver<AccessRow>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let stopping = tokio::select! {
            _ = entries.recv_many(&mut batch, BATCH) => false,
            () = app.stop.cancelled() => true,
        };
        if stopping {
            while let Ok(row) = entries.try_recv() {
                batch.push(row);
            }
        }
        for rows in batch.chunks(BATCH) {
            if let Err(error) = write(&app, rows).await {
                warn!(error = %Chain(&error), entries = rows.len(), "entries of the access log are lost");
            }
        }
        batch.clear();
        let dropped = app.audit.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            warn!(
                entries = dropped,
                "too many entries for the access log at once, these are missing"
            );
        }
        if stopping {
            return;
        }
    }
}

async fn write(app: &App, rows: &[AccessRow]) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let written = async {
            let mut conn = app.store.connection().await?;
            access_log_insert(&mut conn, rows).await
        };
        match written.await {
            Err(error) if error.is_transient() && tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(100 << tries)).await;
            }
            done => return done,
        }
    }
}
