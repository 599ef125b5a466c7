//! Shows other orchestrators that this one lives.
//!
//! Each start takes a number, writes it beside everything that it leases, and holds an advisory lock of that number
//! on a connection of its own. When the process dies, PostgreSQL drops the lock at once, and others find leases whose
//! number nobody holds ([`owner_missing`]). A lock is also lost with its connection, and all are when PostgreSQL
//! restarts; so whoever looks waits for a moment before it believes that a process is gone, and the process takes
//! back what was taken over all the same ([`crate::lease::job_reclaim`]).

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

    /// Checks that the lock is still held, and takes it again on a new connection when it was lost. `true`: it was,
    /// and others may have taken over what this process holds.
    pub async fn renew(&mut self, store: &Store) -> Result<bool, StoreError> {
        if self.connection.ping().await.is_ok() {
            return Ok(false);
        }
        self.connection = PgConnection::connect_with(store.options())
            .await
            .map_err(StoreError::in_call("presence_renew"))?;
        self.hold().await?;
        Ok(true)
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

/// Numbers that hold leases, of jobs or deliveries, although no process holds their lock.
pub async fn owner_missing(conn: &mut PgConnection) -> Result<Vec<i32>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT o.owner AS "owner!"
             FROM (SELECT owner FROM job WHERE agent_id IS NOT NULL AND finished_at IS NULL
                   UNION SELECT owner FROM delivery WHERE due_at > now() AND owner <> 0) o
            WHERE o.owner NOT IN (
                  SELECT objid::int4 FROM pg_locks
                   WHERE locktype = 'advisory' AND classid::int4 = $1 AND granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"#,
        LOCK_CLASS,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("owner_missing"))
}
