//! A migrated database that tests copy.

use std::time::UNIX_EPOCH;

use sqlx::PgConnection;

use super::{close, connect, database_url, execute};

/// Makes the template of this test program unless another process has; gives its name.
pub(super) async fn ensure<E: std::fmt::Display>(
    server: &str,
    migrate: impl AsyncFnOnce(&str) -> Result<(), E>,
) -> String {
    let name = name();
    let mut connection = connect(server).await;
    if !exists(&mut connection, &name).await {
        // Held by this connection; test processes that come at the same time wait here.
        execute(&mut connection, "SELECT pg_advisory_lock(hashtext('kici-testkit'))".into()).await;
        if !exists(&mut connection, &name).await {
            make(&mut connection, server, &name, migrate).await;
        }
    }
    close(connection).await;
    name
}

async fn make<E: std::fmt::Display>(
    connection: &mut PgConnection,
    server: &str,
    name: &str,
    migrate: impl AsyncFnOnce(&str) -> Result<(), E>,
) {
    let unfinished = format!("{name}_new");
    execute(connection, format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
    execute(connection, format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await;
    if let Err(error) = migrate(&database_url(server, &unfinished)).await {
        panic!("could not migrate the template database: {error}");
    }
    // Renaming and copying need a database without sessions; pools close theirs in the background.
    let sessions = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{unfinished}'"
    );
    execute(connection, sessions).await;
    execute(connection, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
}

/// Differs for each build of each test program, so that no run sees an older build's tables.
fn name() -> String {
    let program = std::env::current_exe().expect("a test program knows its path");
    let built = program
        .metadata()
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos());
    let stem = program.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
    let stem: String = stem.chars().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect();
    format!("template_{stem}_{built:x}").to_lowercase()
}

async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| panic!("could not list databases: {error}"))
}
