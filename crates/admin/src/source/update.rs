//! `kici-admin source update-local` and `update-generic`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use kici_model::ids::SourceId;
use kici_protocol::http::sources::{
    LocalConfig, SourceView, UpdateSource, VerificationConfig, VerificationMethod,
};

use super::add::{GenericOptions, absolute, with_secret};
use crate::context::Context;
use crate::secret_input::SecretInput;

#[derive(Debug, Args)]
pub(crate) struct Local {
    /// Its id.
    id: SourceId,
    /// A new name.
    #[arg(long)]
    name: Option<String>,
    /// Another folder.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// What agents clone from; empty for the folder itself.
    #[arg(long, value_name = "URL")]
    clone_url_base: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Generic {
    /// Its id.
    id: SourceId,
    /// A new name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    options: GenericOptions,
}

impl Local {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let mut body = UpdateSource { name: self.name, ..UpdateSource::default() };
        if self.path.is_some() || self.clone_url_base.is_some() {
            let Some(old) = client.source_get(self.id).await?.source.git_config else {
                bail!("source {} is not a local source", self.id);
            };
            let clone_url_base = match self.clone_url_base {
                None => old.clone_url_base,
                Some(url) => Some(url).filter(|url| !url.is_empty()),
            };
            let repo_base_path = match self.path {
                None => old.repo_base_path,
                Some(path) => absolute(&path)?,
            };
            body.local_config = Some(LocalConfig { repo_base_path, clone_url_base });
        }
        let answer = client.source_update(self.id, &body).await?;
        done(context, &answer.source, &answer)
    }
}

impl Generic {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let options = self.options;
        let secret = SecretInput {
            option: "--secret",
            value: options.secret,
            from_env: options.from_env,
            stdin: options.stdin,
        };
        let secret = secret.read()?;
        let mut body = UpdateSource {
            name: self.name,
            verification_method: options.verification.map(Into::into),
            event_type_header: options.event_type_header.map(cleared),
            event_type_path: options.event_type_path.map(cleared),
            idempotency_key_header: options.idempotency_key_header.map(cleared),
            idempotency_key_path: options.idempotency_key_path.map(cleared),
            dedup_window_seconds: options.dedup_window,
            max_payload_bytes: options.max_payload,
            allowed_events: options.allowed_events.map(|events| {
                Some(events.into_iter().filter(|event| !event.is_empty()).collect::<Vec<_>>())
                    .filter(|events| !events.is_empty())
            }),
            strip_headers: options.strip_headers,
            rate_limit_rpm: options.rate_limit,
            ..UpdateSource::default()
        };
        if secret.is_some() || options.signature_header.is_some() || options.allowlist.is_some() {
            let old = client.source_get(self.id).await?.source;
            let stored = VerificationMethod::from_name(&old.verification_method);
            let method = body.verification_method.or(stored);
            let method = method.unwrap_or(VerificationMethod::HmacSha256);
            let kept = if Some(method) == stored {
                old.verification_config
            } else {
                VerificationConfig::default()
            };
            let config = VerificationConfig {
                header_name: options.signature_header.map_or(kept.header_name, cleared),
                allowlist: options.allowlist.or(kept.allowlist),
                // Without a new secret the stored one stays.
                secret: None,
                token: None,
                key: None,
            };
            body.verification_config = Some(with_secret(config, method, secret));
        }
        let answer = client.source_update(self.id, &body).await?;
        done(context, &answer.source, &answer)
    }
}

/// An empty value clears.
fn cleared(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn done(
    context: &mut Context,
    source: &SourceView,
    answer: &impl serde::Serialize,
) -> Result<ExitCode> {
    if !context.out.json(answer)? {
        context.out.line(&format!("Source updated: {} ({})", source.id, source.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
