//! State of the database schema.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Answer of `POST /api/v1/admin/db/migrate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Migrated {
    /// How many migrations this call applied.
    pub applied: usize,
    /// Their names, in order.
    pub migrations: Vec<String>,
}

/// Whether a migration is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MigrationState {
    /// Applied.
    Applied,
    /// Waits to be applied.
    Pending,
}

/// One migration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationView {
    /// Its number and title.
    pub name: String,
    /// Whether it is in the database.
    pub status: MigrationState,
    /// Since when.
    pub applied_at: Option<Timestamp>,
}

/// Answer of `GET /api/v1/admin/db/migrate/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MigrationList {
    /// All that this program knows, in order.
    pub migrations: Vec<MigrationView>,
}
