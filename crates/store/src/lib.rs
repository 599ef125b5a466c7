//! All SQL and all migrations. One file per table family; free functions take a connection, so that a caller
//! can join several of them in one transaction that it begins and commits itself.
//!
//! Queries are checked at compile time against `.sqlx` (see `docs/design/database.md` for renewing it).

mod connect;
mod error;
mod listen;
mod lock;
mod time;

pub mod access_log;
pub mod admin_token;
pub mod agent;
pub mod agent_token;
pub mod attempt;
pub mod claim;
pub mod definition;
pub mod delivery;
pub mod delivery_log;
pub mod grow;
pub mod hold;
pub mod hold_view;
pub mod job;
pub mod leader;
pub mod lease;
pub mod log_chunk;
pub mod log_removal;
pub mod org_setting;
pub mod queue;
pub mod queue_view;
pub mod rerun;
pub mod retention;
pub mod retention_view;
pub mod roster;
pub mod run;
pub mod send;
pub mod share;
pub mod slot;
pub mod source;
pub mod step;
pub mod stop_order;
pub mod view;
pub mod window;

pub use connect::{Connect, Migrations, Store};
pub use error::StoreError;
pub use listen::{Heard, Listener};
pub use lock::{Presence, owner_missing};
pub use sqlx::PgConnection;
pub use time::Time;
