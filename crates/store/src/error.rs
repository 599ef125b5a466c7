//! What can go wrong in a call of the store.

/// A call of the store that did not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached.
    #[error("could not connect to the database at {place}")]
    Connect {
        /// Host, port and database, without the password.
        place: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The address is not one of PostgreSQL.
    #[error(
        "the database address is not usable: expected postgres://user:password@host:port/database"
    )]
    Address {
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed.
    #[error("could not migrate the database")]
    Migrate {
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database refused {call}")]
    Call {
        /// The function of this crate.
        call: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not of the form that this version writes.
    #[error("{call} read a value that this version does not know: {what}")]
    Unknown {
        /// The function of this crate.
        call: &'static str,
        /// The value and its column.
        what: String,
    },
}

impl StoreError {
    /// Names the function in whose statement an error came up.
    pub fn in_call(call: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
        move |source| StoreError::Call { call, source }
    }

    /// True when the same call may work later: the connection broke, or the server is starting, stopping or
    /// out of resources.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Connect { .. } => true,
            StoreError::Call { source, .. } => match source {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
                // Classes 08 connection, 40 rollback, 53 resources, 57 operator intervention.
                sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                }),
                _ => false,
            },
            StoreError::Address { .. }
            | StoreError::Migrate { .. }
            | StoreError::Unknown { .. } => false,
        }
    }

    /// True when a unique index refused a row.
    pub fn is_conflict(&self) -> bool {
        matches!(self, StoreError::Call { source: sqlx::Error::Database(error), .. } if error.is_unique_violation())
    }
}
