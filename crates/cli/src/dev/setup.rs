//! Brings everything up: the programs, the source, the agent's token.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use kici_client::Client;
use kici_devdb::binaries_or_download;
use kici_model::ids::TokenId;
use kici_protocol::http::agent_tokens::CreateAgentToken;
use kici_protocol::http::sources::{CreateSource, LocalConfig, UpdateSource, VerificationMethod};

use super::folder::Folder;
use super::ready;
use super::services::{Address, Services};

/// The organisation and the name of the source.
pub(super) const ORG: &str = "dev";
pub(super) const SOURCE: &str = "repository";

/// Deliveries in a minute: as many as a person and scripts can make.
const RATE_LIMIT: i32 = 100_000;

/// What has been started so far; also what has to be ended.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// Shared with the blocking threads that start programs: what they started is ended even if
    /// nobody waits for them any more.
    services: Arc<Mutex<Services>>,
    client: Option<Client>,
    agent_token: Option<TokenId>,
}

impl Running {
    /// Starts everything, telling about it on the way.
    pub(super) async fn start(
        &mut self,
        root: &Path,
        folder: &Folder,
        port: u16,
    ) -> Result<(Client, Address)> {
        let binaries = binaries_or_download(&cache_folder(), || {
            eprintln!("This machine has no PostgreSQL; fetching one (once, some 30 MB) …");
        })
        .await?;
        let address =
            Address { port: ready::port_or_free(port)?, admin_token: folder.key("admin-token")? };
        self.blocking({
            let (folder, address) = (folder.clone(), address.clone());
            move |services| {
                services.start_database(binaries, &folder)?;
                services.start_orchestrator(&folder, &address)
            }
        })
        .await?;

        let client = Client::new(&address.url(), Some(&address.admin_token.as_str().into()))?;
        self.client = Some(client.clone());
        register(&client, root).await.context("could not register the repository")?;
        let token = client
            .agent_token_create(&CreateAgentToken {
                created_by: Some("kici dev".into()),
                ..CreateAgentToken::default()
            })
            .await
            .context("could not make a token for the agent")?;
        self.agent_token = Some(token.id);
        self.blocking({
            let (folder, address) = (folder.clone(), address.clone());
            move |services| services.start_agent(&folder, &address, &token.token)
        })
        .await?;
        Ok((client, address))
    }

    /// The name of a program that has ended although it should run, if there is one.
    pub(super) fn ended(&self) -> Option<&'static str> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).ended()
    }

    /// Takes back what the next start would only pile up.
    pub(super) async fn say_goodbye(&mut self) {
        if let (Some(client), Some(token)) = (&self.client, self.agent_token.take()) {
            // An orchestrator that has ended has no use for it either.
            let _gone = client.agent_token_revoke(token).await;
        }
    }

    async fn blocking(
        &self,
        start: impl FnOnce(&mut Services) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let services = self.services.clone();
        tokio::task::spawn_blocking(move || {
            start(&mut services.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .await
        .context("starting a program panicked")?
    }
}

/// Makes the local source of the repository, or points the one from last time to where it is now.
async fn register(client: &Client, root: &Path) -> Result<()> {
    let path = root.to_str().context("the path of the repository is not UTF-8")?;
    let local = LocalConfig { repo_base_path: path.to_owned(), clone_url_base: None };
    let sources = client.source_list(ORG, false).await?.sources;
    match sources.into_iter().find(|source| source.name == SOURCE) {
        Some(source) => {
            let moved = UpdateSource { local_config: Some(local), ..UpdateSource::default() };
            client.source_update(source.id, &moved).await?;
        }
        None => {
            let source = CreateSource {
                org_id: ORG.into(),
                name: SOURCE.into(),
                verification_method: Some(VerificationMethod::None),
                rate_limit_rpm: Some(RATE_LIMIT),
                local_config: Some(local),
                ..CreateSource::default()
            };
            client.source_create(&source).await?;
        }
    }
    Ok(())
}

/// Where downloaded PostgreSQL binaries are kept for all repositories.
fn cache_folder() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("kici")
}
