//! What commands share: the orchestrator to ask, and how to print.

use anyhow::{Result, bail};
use kici_client::Client;
use secrecy::SecretString;

use crate::args::Global;
use crate::output::Output;

/// The options of a call and its output.
pub(crate) struct Context {
    url: String,
    token: Option<SecretString>,
    pub(crate) out: Output,
}

impl Context {
    pub(crate) fn new(global: Global) -> Context {
        Context { url: global.url, token: global.token, out: Output::new(global.json) }
    }

    /// The orchestrator's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A client with the token, without which no command works.
    pub(crate) fn client(&self) -> Result<Client> {
        let Some(token) = &self.token else {
            bail!("--token or KICI_ADMIN_TOKEN is required");
        };
        Ok(Client::new(&self.url, Some(token))?)
    }

    /// A client that may have no token.
    pub(crate) fn any_client(&self) -> Result<Client> {
        Ok(Client::new(&self.url, self.token.as_ref())?)
    }
}
