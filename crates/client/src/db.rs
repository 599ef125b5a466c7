//! State of the database schema.

use kici_protocol::http::db::{Migrated, MigrationList};
use reqwest::Method;

use crate::{Client, ClientError};

impl Client {
    /// Applies the migrations that are missing.
    pub async fn db_migrate(&self) -> Result<Migrated, ClientError> {
        let path = ["api", "v1", "admin", "db", "migrate"];
        self.json(self.request(Method::POST, &path), &path).await
    }

    /// Which migrations are applied.
    pub async fn db_migrate_status(&self) -> Result<MigrationList, ClientError> {
        self.get(&["api", "v1", "admin", "db", "migrate", "status"], &()).await
    }
}
