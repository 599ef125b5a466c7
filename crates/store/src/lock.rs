//! Shows other orchestrators that this one lives.
//!
//! Each start takes a number and holds an advisory lock of that number on a connection of its own. When the
//! process dies, PostgreSQL drops the lock at once, and whoever looks next ([`crate::delivery::delivery_reclaim`])
//! takes over the work that the dead one had leased. Leases have an end of their own as well, so a lock that
//! was lost with its connection only makes work be looked at twice, which every write guards against.

use sqlx::{Connection as _, PgConnection};

use crate::{Store, StoreError};

/// First key of the advisory locks: the letters `kici`.
pub(crate) const LOCK_CLASS: i32 = 0x6b69_6369;

/// This process's number, and the connection that proves that it lives.
#[derive(Debug)]
pub struct Presence {
    number: i32,
    connection: PgConnection,
}

impl Presence {
    /// Takes a number and its lock.
    pub async fn announce(store: &Store) -> Result<Presence, StoreError> {
        let mut connection = PgConnection::connect_with(store.options())
            .await
            .map_err(StoreError::in_call("presence_announce"))?;
        let number =
            sqlx::query_scalar!(r#"SELECT nextval('orchestrator_number')::int4 AS "number!""#)
                .fetch_one(&mut connection)
                .await
                .map_err(StoreError::in_call("presence_announce"))?;
        let mut presence = Presence { number, connection };
        presence.hold().await?;
        Ok(presence)
    }

    /// This process's number, stored beside what it leases.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Checks that the lock is still held, and takes it again on a new connection when it was lost.
    pub async fn renew(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.connection.ping().await.is_ok() {
            return Ok(());
        }
        self.connection = PgConnection::connect_with(store.options())
            .await
            .map_err(StoreError::in_call("presence_renew"))?;
        self.hold().await
    }

    async fn hold(&mut self) -> Result<(), StoreError> {
        sqlx::query!("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS, self.number)
            .execute(&mut self.connection)
            .await
            .map_err(StoreError::in_call("presence_hold"))?;
        Ok(())
    }

    /// Gives up the number, at an orderly stop.
    pub async fn leave(self) {
        // Nothing to do about a failure: the server drops the lock with the connection.
        let _ = self.connection.close().await;
    }
}
