//! Who does what only one orchestrator may do.
//!
//! The leader holds a row until a time that it keeps moving on. A process that hangs past that time and wakes up
//! again still believes in its lease; therefore the lease is a value with a fencing number, and whatever the leader
//! writes begins with [`leader_confirm`] in the same transaction.

use std::time::Duration;

use sqlx::PgConnection;

use crate::StoreError;
use crate::lock::LOCK_CLASS;

/// The right to do leader-only work. Only [`leader_take`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    name: String,
    owner: i32,
    fence: i64,
}

impl Leader {
    /// Grows with every change of hands.
    pub fn fence(&self) -> i64 {
        self.fence
    }
}

/// Takes the lease, or prolongs it. `None`: another orchestrator that lives has it.
pub async fn leader_take(
    conn: &mut PgConnection,
    name: &str,
    owner: i32,
    lease: Duration,
) -> Result<Option<Leader>, StoreError> {
    let fence = sqlx::query_scalar!(
        "INSERT INTO leader AS l (name, owner, fence, until)
         VALUES ($1, $2, 1, now() + make_interval(secs => $3))
         ON CONFLICT (name) DO UPDATE
            SET owner = $2, fence = l.fence + CASE WHEN l.owner = $2 THEN 0 ELSE 1 END,
                until = now() + make_interval(secs => $3)
          WHERE l.owner = $2 OR l.until < now() OR l.owner NOT IN (
                SELECT objid::int4 FROM pg_locks
                 WHERE locktype = 'advisory' AND classid::int4 = $4 AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
         RETURNING fence",
        name,
        owner,
        lease.as_secs_f64(),
        LOCK_CLASS,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("leader_take"))?;
    Ok(fence.map(|fence| Leader { name: name.to_owned(), owner, fence }))
}

/// Whether the lease is still this one; if so, nobody else becomes leader before the transaction ends.
pub async fn leader_confirm(conn: &mut PgConnection, leader: &Leader) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT fence AS "fence!" FROM leader WHERE name = $1 AND owner = $2 AND fence = $3 FOR SHARE"#,
        leader.name,
        leader.owner,
        leader.fence,
    )
    .fetch_optional(conn)
    .await
    .map(|row| row.is_some())
    .map_err(StoreError::in_call("leader_confirm"))
}

/// Gives the lease back, at an orderly stop.
pub async fn leader_leave(conn: &mut PgConnection, leader: &Leader) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE leader SET until = now() WHERE name = $1 AND owner = $2 AND fence = $3",
        leader.name,
        leader.owner,
        leader.fence,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("leader_leave"))?;
    Ok(())
}
