//! A database of its own for each test.
//!
//! All tests share one PostgreSQL: the one named by `TESTKIT_DATABASE_URL` (which `cargo xtask
//! test` sets), or one that the first test process starts (`shared`). A migrated database is copied
//! from a template, which takes some ten milliseconds.

mod shared;
mod template;

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// A fresh database, dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    server: String,
    name: String,
    url: String,
}

impl TestDb {
    /// An empty database.
    pub async fn new() -> Self {
        Self::copy_of("template0").await
    }

    /// A database prepared by `migrate`, which gets the URL of an empty one.
    ///
    /// `migrate` runs once per test program and PostgreSQL; further calls copy its result, so each
    /// test program must always pass the same preparation.
    pub async fn migrated<E: std::fmt::Display>(
        migrate: impl AsyncFnOnce(&str) -> Result<(), E>,
    ) -> Self {
        let server = shared::server_url().await;
        Self::copy_of(&template::ensure(&server, migrate).await).await
    }

    /// The URL to connect with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cuts every connection to it, as a restart of PostgreSQL would.
    pub async fn cut_connections(&self) {
        let mut connection = connect(&self.server).await;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ";
        execute(&mut connection, format!("{cut}'{}'", self.name)).await;
        close(connection).await;
    }

    async fn copy_of(template: &str) -> Self {
        let server = shared::server_url().await;
        let name = format!("t_{}", Uuid::new_v4().simple());
        let mut connection = connect(&server).await;
        execute(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        close(connection).await;
        Self { url: database_url(&server, &name), server, name }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let server = self.server.clone();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test's own runtime may be the current thread, which must not wait for itself.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
                anyhow::Ok(())
            })
        })
        .join();
        if !std::thread::panicking() {
            match dropped {
                Ok(Ok(())) => {}
                Ok(Err(error)) => panic!("could not drop the database {}: {error:#}", self.name),
                Err(_) => panic!("dropping the database {} panicked", self.name),
            }
        }
    }
}

/// The URL of another database of the same server.
fn database_url(server: &str, name: &str) -> String {
    // The path ends at the query, which names the socket folder.
    let (before, query) = server.split_once('?').unwrap_or((server, ""));
    let base = before.rsplit_once('/').map_or(before, |(base, _)| base);
    if query.is_empty() { format!("{base}/{name}") } else { format!("{base}/{name}?{query}") }
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url)
        .unwrap_or_else(|error| panic!("TESTKIT_DATABASE_URL is no PostgreSQL URL: {error}"));
    PgConnection::connect_with(&options)
        .await
        .unwrap_or_else(|error| panic!("could not connect to the test PostgreSQL: {error}"))
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn close(connection: PgConnection) {
    connection.close().await.expect("a connection that just worked closes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn databases_do_not_see_each_other() {
        let (one, other) = (TestDb::new().await, TestDb::new().await);
        let mut connection = connect(one.url()).await;
        execute(&mut connection, "CREATE TABLE only_here ()".into()).await;
        let mut connection = connect(other.url()).await;
        let seen: bool = sqlx::query_scalar("SELECT to_regclass('only_here') IS NOT NULL")
            .fetch_one(&mut connection)
            .await
            .expect("a query");
        assert!(!seen);
    }

    #[tokio::test]
    async fn a_migrated_database_is_a_copy_and_goes_at_the_end() {
        let migrate = async |url: &str| {
            let mut connection = connect(url).await;
            execute(&mut connection, "CREATE TABLE t AS SELECT 1 AS n".into()).await;
            anyhow::Ok(())
        };
        let first = TestDb::migrated(migrate).await;
        let second = TestDb::migrated(migrate).await;
        execute(&mut connect(first.url()).await, "INSERT INTO t VALUES (2)".into()).await;
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t")
            .fetch_one(&mut connect(second.url()).await)
            .await
            .expect("a query");
        assert_eq!(rows, 1);

        let (server, name) = (first.server.clone(), first.name.clone());
        drop(first);
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_one(&mut connect(&server).await)
            .await
            .expect("a query");
        assert_eq!(left, 0);
    }

    #[test]
    fn names_another_database_of_the_same_server() {
        assert_eq!(
            database_url("postgres://kici@localhost:5432/postgres?host=%2Ftmp", "t"),
            "postgres://kici@localhost:5432/t?host=%2Ftmp"
        );
        assert_eq!(database_url("postgres://u:p@h/postgres", "t"), "postgres://u:p@h/t");
    }
}
