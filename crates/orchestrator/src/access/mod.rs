//! Who may do what: admin tokens with roles, and agent tokens.
//!
//! Credentials are 32 random bytes, shown once and stored as SHA-256. Handlers of the admin API take a
//! [`Caller`]; the agent link asks [`agent_token_verify`].

mod admin_tokens;
mod agents;
mod bootstrap;
mod caller;
mod extract;
mod permission;
mod revoked;
mod token;

use kici_store::StoreError;
pub(crate) use kici_store::admin_token::BOOTSTRAP_LABEL;

use crate::app::App;

pub(crate) use admin_tokens::AdminTokens;
pub(crate) use agents::{AgentIdentity, agent_token_create, agent_token_verify};
pub(crate) use caller::{Caller, Denied};
pub use permission::Permission;
pub(crate) use token::Credential;

/// Makes sure that somebody can come in, and starts what keeps tokens up to date.
pub(crate) async fn prepare(app: &App) -> Result<(), StoreError> {
    bootstrap::announce(app).await?;
    app.spawn(admin_tokens::keep_flushing(app.clone()));
    app.spawn(revoked::kick_revoked(app.clone()));
    Ok(())
}
