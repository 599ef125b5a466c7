//! Closes the connections of agents whose token was withdrawn or has expired.
//!
//! NOTIFY says so at once, from whichever orchestrator took the request; a look at the table every few
//! seconds catches what was missed, and expiry.

use std::collections::HashSet;
use std::time::Duration;

use kici_model::ids::TokenId;
use kici_store::agent_token::agent_token_dead;
use kici_store::{Heard, StoreError};
use tracing::warn;

use crate::app::App;

/// How often the table is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Runs until the process stops.
pub(super) async fn kick_revoked(app: App) {
    let mut listener = None;
    loop {
        if listener.is_none() {
            listener = app.store.listen(&["agent_token_revoked"]).await.ok();
        }
        let heard = async {
            match &mut listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        let looked = tokio::select! {
            () = app.stop.cancelled() => return,
            heard = heard => match heard {
                Ok(Heard::Said { payload, .. }) => {
                    if let Ok(token) = payload.parse() {
                        app.agents.kick(token);
                    }
                    Ok(())
                }
                Ok(Heard::Gap) => look(&app).await,
                Err(error) => {
                    listener = None;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err(error)
                }
            },
            () = tokio::time::sleep(LOOK) => look(&app).await,
        };
        if let Err(error) = looked {
            let error: &dyn std::error::Error = &error;
            warn!(error, "could not look for withdrawn agent tokens; trying again");
        }
    }
}

async fn look(app: &App) -> Result<(), StoreError> {
    let held: HashSet<TokenId> = app.agents.tokens();
    if held.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = held.into_iter().map(|token| token.0).collect();
    let mut conn = app.store.connection().await?;
    for dead in agent_token_dead(&mut conn, &ids).await? {
        app.agents.kick(TokenId(dead));
    }
    Ok(())
}
