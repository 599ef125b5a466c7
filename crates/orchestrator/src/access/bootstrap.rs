//! The first admin token: given by the configuration, or made once and printed.

use kici_store::admin_token::{admin_token_bootstrap, admin_token_first};
use kici_store::{Store, StoreError};
use secrecy::{ExposeSecret as _, SecretString};
use tracing::debug;
use uuid::Uuid;

use super::token::{Credential, token_hash};
use crate::app::App;

enum Bootstrap {
    /// The configured token is in force; it is not to be printed.
    Configured,
    /// There was no usable token: this one was made, and is to be printed this once.
    Generated(SecretString),
    /// Tokens exist; nothing was done.
    Unneeded,
}

/// Makes sure that somebody can come in, and prints the token when it had to be made.
pub(super) async fn announce(app: &App) -> Result<(), StoreError> {
    let configured = app.config.server.bootstrap_admin_token.as_ref();
    match bootstrap(&app.store, configured).await? {
        Bootstrap::Configured => debug!("the bootstrap admin token follows the configuration"),
        Bootstrap::Unneeded => {}
        // On stdout and not in the log, which is kept and shipped.
        Bootstrap::Generated(token) => println!("KICI Admin Token: {}", token.expose_secret()),
    }
    Ok(())
}

/// Several starts at once make one token: the row has a unique label, and only the start that wrote
/// it prints.
async fn bootstrap(
    store: &Store,
    configured: Option<&SecretString>,
) -> Result<Bootstrap, StoreError> {
    let mut conn = store.connection().await?;
    let id = Uuid::now_v7();
    if let Some(token) = configured {
        admin_token_bootstrap(&mut conn, id, &token_hash(token.expose_secret())).await?;
        return Ok(Bootstrap::Configured);
    }
    let made = Credential::generate("");
    Ok(match admin_token_first(&mut conn, id, &made.hash).await? {
        true => Bootstrap::Generated(made.secret),
        false => Bootstrap::Unneeded,
    })
}
