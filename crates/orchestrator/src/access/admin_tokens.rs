//! Checks admin tokens and notes when they were used.
//!
//! A check is one indexed read. The note is kept in memory and written for all tokens at once,
//! because an update for each request would cost more than the request.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use kici_store::admin_token::{admin_token_used, admin_token_verify};
use kici_store::{Store, StoreError, Time};
use tracing::warn;
use uuid::Uuid;

use super::caller::Caller;
use super::token::token_hash;
use crate::app::App;

/// How often uses are written.
const FLUSH: Duration = Duration::from_secs(60);

/// The admin tokens of the database.
#[derive(Debug)]
pub(crate) struct AdminTokens {
    store: Store,
    used: Mutex<HashMap<Uuid, Time>>,
}

impl AdminTokens {
    pub(crate) fn new(store: Store) -> AdminTokens {
        AdminTokens { store, used: Mutex::default() }
    }

    /// Who presents this token; `None` when it is unknown, withdrawn or expired.
    pub(super) async fn verify(&self, presented: &str) -> Result<Option<Caller>, StoreError> {
        let mut conn = self.store.connection().await?;
        let Some(row) = admin_token_verify(&mut conn, &token_hash(presented)).await? else {
            return Ok(None);
        };
        let now = Time::from_millis(jiff::Timestamp::now().as_millisecond());
        self.used.lock().expect("no panic while the lock is held").insert(row.id, now);
        Ok(Some(Caller::new(row)))
    }

    /// Writes the uses since the last time.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let used = std::mem::take(&mut *self.used.lock().expect("no panic while the lock is held"));
        if used.is_empty() {
            return Ok(());
        }
        let (ids, at): (Vec<Uuid>, Vec<Time>) = used.into_iter().unzip();
        let mut conn = self.store.connection().await?;
        admin_token_used(&mut conn, &ids, &at).await
    }
}

/// Writes uses every minute until the process stops, and once more then.
pub(super) async fn keep_flushing(app: App) {
    loop {
        let last = tokio::select! {
            () = app.stop.cancelled() => true,
            () = tokio::time::sleep(FLUSH) => false,
        };
        if let Err(error) = app.access.flush().await {
            let error: &dyn std::error::Error = &error;
            warn!(error, "could not note the use of admin tokens; their last-used times lag");
        }
        if last {
            return;
        }
    }
}
