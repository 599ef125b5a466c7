//! A private PostgreSQL for one purpose: `kici dev`, the demo, the benches and the tests.
//!
//! It uses the PostgreSQL binaries of the machine ([`Binaries`]), makes a cluster in a folder that
//! the caller names, listens on a private socket only, and ends with the process that started it
//! ([`Cluster`]). PostgreSQL refuses to run as root, so a root caller's cluster runs as another
//! user (`identity`). Servers in production use `KICI_DATABASE_URL` and never this crate.

mod binaries;
mod cluster;
mod companion;
#[cfg(feature = "download")]
mod download;
mod error;
mod identity;
mod layout;
mod server;

pub use binaries::Binaries;
pub use cluster::{Cluster, Purpose};
pub use companion::Companion;
#[cfg(feature = "download")]
pub use download::{DownloadError, binaries_or_download};
pub use error::DevDbError;
