//! Keeps the sources in memory up to date with the database.
//!
//! NOTIFY says so at once, from whichever orchestrator took the change; a cheap look every few seconds
//! catches what was missed while the connection was down.

use std::time::Duration;

use kici_store::Heard;
use tracing::warn;

use crate::app::App;

/// Written by the trigger of the table.
const CHANNEL: &str = "generic_sources_change";
/// How often the table is looked at.
const LOOK: Duration = Duration::from_secs(3);

/// Runs until the process stops.
pub(super) async fn follow(app: App) {
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = app.store.listen(&[CHANNEL]).await.ok();
        }
        let heard = async {
            match &mut listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        let done = tokio::select! {
            () = app.stop.cancelled() => return,
            heard = heard => match heard {
                // The announcements of a script that changes many sources cost one cheap look each.
                Ok(Heard::Said { .. } | Heard::Gap) => {
                    app.sources.reload_if_changed(&app.store).await
                }
                Err(error) => {
                    listener = None;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err(error)
                }
            },
            () = tokio::time::sleep(LOOK) => app.sources.reload_if_changed(&app.store).await,
        };
        if let Err(error) = done {
            let error: &dyn std::error::Error = &error;
            warn!(error, "could not read the sources again; the known ones stay in use");
        }
    }
}
