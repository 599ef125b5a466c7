//! Sources: who may send deliveries, and how each is checked and read.
//!
//! Rows live in the store; every orchestrator keeps them in memory ([`Sources`]), because the webhook
//! route reads nothing from the database. `change` turns requests of the admin API into rows, `view`
//! rows into answers.

mod change;
mod check;
mod registry;
mod source;
mod validate;
mod view;
mod watch;

use kici_store::StoreError;

use crate::app::App;

pub(crate) use change::{ChangeError, create, update};
pub(crate) use check::{Check, network};
pub(crate) use registry::Sources;
pub(crate) use source::{Kind, Source, ValuePath};
pub(crate) use view::view;

/// Reads all sources and starts following their changes.
pub(crate) async fn prepare(app: &App) -> Result<(), StoreError> {
    app.sources.reload(&app.store).await?;
    app.spawn(watch::follow(app.clone()));
    Ok(())
}
