//! Connecting and migrating.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Postgres, Transaction};

use crate::{StoreError, Time};

/// The embedded migrations.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    // The previous release must be able to start on a database that a newer one has migrated.
    migrator.set_ignore_missing(true);
    migrator
}

/// A connection that was idle for this long is tried before it is used.
const RESTED: Duration = Duration::from_millis(200);

/// What every session runs with.
///
/// Every statement here is a lookup by index, so its plan must not depend on when statistics were gathered: on a
/// table that was empty when a plan was cached, PostgreSQL would keep reading the whole table for the first minute of
/// a burst. One plan for each statement, made of index lookups, also saves planning, which cost as much as the work.
const SESSION: [(&str, &str); 6] = [
    ("idle_in_transaction_session_timeout", "60s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // It judges by cost, and what is switched off above counts as very costly where there is no other way.
    ("jit", "off"),
];

/// The database, as a pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    options: PgConnectOptions,
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct Connect {
    /// At most this many connections.
    pub max_connections: u32,
    /// How long a caller waits for a connection.
    pub wait: Duration,
    /// Shown in `pg_stat_activity`.
    pub application: String,
}

impl Default for Connect {
    fn default() -> Self {
        Connect { max_connections: 10, wait: Duration::from_secs(10), application: "kici".into() }
    }
}

/// Which migrations a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Applied, oldest first: number, name and when.
    pub applied: Vec<(i64, String, Time)>,
    /// Known to this version but not applied, oldest first.
    pub pending: Vec<(i64, String)>,
}

impl Store {
    /// Connects, and fails at once when the database is not reachable.
    pub async fn connect(url: &str, how: Connect) -> Result<Store, StoreError> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|source| StoreError::Address { source })?
            .application_name(&how.application)
            .options(SESSION);
        let place = place(&options);
        let pool = PgPoolOptions::new()
            .max_connections(how.max_connections)
            .acquire_timeout(how.wait)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    // One that was just in use is fine; asking each time would cost a round trip for each statement.
                    if meta.idle_for < RESTED {
                        Ok(true)
                    } else {
                        Ok(connection.ping().await.is_ok())
                    }
                })
            })
            .connect_with(options.clone())
            .await
            .map_err(|source| StoreError::Connect { place, source })?;
        Ok(Store { pool, options })
    }

    /// A connection, returned to the pool when dropped.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(StoreError::in_call("connection"))
    }

    /// Begins a transaction; dropping it rolls back.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        // After a restart of the server every pooled connection is dead; nothing has been done on one yet.
        let mut spares = self.pool.size();
        loop {
            match self.pool.begin().await {
                Err(sqlx::Error::Io(_)) if spares > 0 => spares -= 1,
                begun => return begun.map_err(StoreError::in_call("begin")),
            }
        }
    }

    /// Commits a transaction that [`Store::begin`] began.
    pub async fn commit(transaction: Transaction<'static, Postgres>) -> Result<(), StoreError> {
        transaction.commit().await.map_err(StoreError::in_call("commit"))
    }

    /// Asks the database for an answer, for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query_scalar!("SELECT 1")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::in_call("ping"))?;
        Ok(())
    }

    /// Applies what is missing. Several starts at once wait for each other (advisory lock).
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // The common case, an up-to-date database, needs one read and no lock.
        if self.migrations().await?.pending.is_empty() {
            return Ok(());
        }
        migrator().run(&self.pool).await.map_err(|source| StoreError::Migrate { source })
    }

    /// What is applied and what is missing; changes nothing.
    pub async fn migrations(&self) -> Result<Migrations, StoreError> {
        let mut conn = self.connection().await?;
        // Checked at run time: on an empty database the table does not exist yet.
        let known: Option<String> =
            sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
                .fetch_one(&mut *conn)
                .await
                .map_err(StoreError::in_call("migrations"))?;
        let applied: Vec<(i64, String, Time)> = match known {
            None => Vec::new(),
            Some(_) => sqlx::query_as(
                "SELECT version, description, installed_on FROM _sqlx_migrations WHERE success ORDER BY version",
            )
            .fetch_all(&mut *conn)
            .await
            .map_err(StoreError::in_call("migrations"))?,
        };
        let pending = migrator()
            .iter()
            .filter(|known| !applied.iter().any(|(version, ..)| *version == known.version))
            .map(|missing| (missing.version, missing.description.to_string()))
            .collect();
        Ok(Migrations { applied, pending })
    }

    /// Closes all connections and waits for them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// For a connection of its own, outside the pool.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

fn place(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(default)");
    match options.get_socket() {
        Some(socket) => format!("{}, database {database}", socket.display()),
        None => format!("{}:{}, database {database}", options.get_host(), options.get_port()),
    }
}
