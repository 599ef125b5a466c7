//! What the store promises to several processes at once, on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod agents;
mod deliveries;
mod jobs;
mod leases;
mod logs;
mod retention;

use kici_store::{Connect, Store, StoreError};
use kici_testkit::pg::TestDb;

/// A migrated database and the store on it.
pub(crate) async fn store() -> (TestDb, Store) {
    let db = TestDb::migrated(async |url: &str| -> Result<(), StoreError> {
        let store =
            Store::connect(url, Connect { max_connections: 2, ..Connect::default() }).await?;
        store.migrate().await?;
        store.close().await;
        Ok(())
    })
    .await;
    let store = Store::connect(db.url(), Connect::default()).await.unwrap();
    (db, store)
}
