//! `kici-admin source add`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use kici_protocol::http::sources::{
    CreateSource, LocalConfig, ProviderType, SourceAnswer, VerificationConfig, VerificationMethod,
};

use super::show;
use crate::context::Context;
use crate::secret_input::SecretInput;

#[derive(Debug, Subcommand)]
pub(crate) enum Add {
    /// Git repositories on the orchestrator's own disk.
    Local(Local),
    /// Anything that can post JSON or forms.
    Generic(Box<Generic>),
}

#[derive(Debug, Args)]
pub(crate) struct Local {
    /// The organisation that owns it.
    #[arg(long, value_name = "ORG")]
    org: String,
    /// A git repository, or a folder of <owner>/<name> repositories, on the orchestrator's machine.
    #[arg(long, value_name = "FOLDER")]
    path: PathBuf,
    /// Its name, unique in the organisation.
    #[arg(long, default_value = "local")]
    name: String,
    /// What agents clone from, if they cannot read the folder.
    #[arg(long, value_name = "URL")]
    clone_url_base: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Generic {
    /// The organisation that owns it.
    #[arg(long, value_name = "ORG")]
    org: String,
    /// Its name, unique in the organisation.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    options: GenericOptions,
}

/// What `source add generic` and `source update-generic` can set.
#[derive(Debug, Args)]
pub(crate) struct GenericOptions {
    /// How deliveries prove where they come from.
    #[arg(long, value_enum)]
    pub(super) verification: Option<Verification>,
    /// The secret of that proof, or @file.
    #[arg(long, value_name = "SECRET|@FILE")]
    pub(super) secret: Option<String>,
    /// Take the secret from this environment variable.
    #[arg(long, value_name = "VARIABLE")]
    pub(super) from_env: Option<String>,
    /// Take the secret from standard input.
    #[arg(long)]
    pub(super) stdin: bool,
    /// The header that carries the proof.
    #[arg(long, value_name = "NAME")]
    pub(super) signature_header: Option<String>,
    /// The addresses and networks of ip_allowlist.
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub(super) allowlist: Option<Vec<String>>,
    /// The header that carries the event's name.
    #[arg(long, value_name = "NAME")]
    pub(super) event_type_header: Option<String>,
    /// Where the body says the event's name, such as $.action.
    #[arg(long, value_name = "JSONPATH")]
    pub(super) event_type_path: Option<String>,
    /// The header that carries the idempotency key.
    #[arg(long, value_name = "NAME")]
    pub(super) idempotency_key_header: Option<String>,
    /// Where the body says the idempotency key.
    #[arg(long, value_name = "JSONPATH")]
    pub(super) idempotency_key_path: Option<String>,
    /// How long an idempotency key is remembered.
    #[arg(long, value_name = "SECONDS")]
    pub(super) dedup_window: Option<i32>,
    /// The largest body that is taken.
    #[arg(long, value_name = "BYTES")]
    pub(super) max_payload: Option<i32>,
    /// The events that are taken.
    #[arg(long, value_name = "EVENT,…", value_delimiter = ',')]
    pub(super) allowed_events: Option<Vec<String>>,
    /// Headers that are never shown to a workflow.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(super) strip_headers: Option<Vec<String>>,
    /// How many deliveries are taken in a minute.
    #[arg(long, value_name = "PER_MINUTE")]
    pub(super) rate_limit: Option<i32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Verification {
    HmacSha256,
    BearerToken,
    ApiKey,
    IpAllowlist,
    None,
}

impl From<Verification> for VerificationMethod {
    fn from(wanted: Verification) -> Self {
        match wanted {
            Verification::HmacSha256 => VerificationMethod::HmacSha256,
            Verification::BearerToken => VerificationMethod::BearerToken,
            Verification::ApiKey => VerificationMethod::ApiKey,
            Verification::IpAllowlist => VerificationMethod::IpAllowlist,
            Verification::None => VerificationMethod::None,
        }
    }
}

impl Add {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let client = context.client()?;
        let body = match self {
            Add::Local(local) => local.body()?,
            Add::Generic(generic) => generic.body()?,
        };
        let answer = client.source_create(&body).await?;
        if !context.out.json(&answer)? {
            created(context, &answer)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Local {
    fn body(self) -> Result<CreateSource> {
        let repo_base_path = absolute(&self.path)?;
        Ok(CreateSource {
            org_id: self.org,
            name: self.name,
            provider_type: Some(ProviderType::Local),
            verification_method: Some(VerificationMethod::None),
            local_config: Some(LocalConfig { repo_base_path, clone_url_base: self.clone_url_base }),
            ..CreateSource::default()
        })
    }
}

/// The path as the orchestrator needs it. One that is not here may be on its machine.
pub(super) fn absolute(path: &std::path::Path) -> Result<String> {
    let full = match path.canonicalize() {
        Ok(full) => full,
        Err(_) if path.is_absolute() => {
            eprintln!(
                "Warning: {} is not on this machine; it must be on the orchestrator's.",
                path.display()
            );
            path.to_owned()
        }
        Err(error) => {
            return Err(error).with_context(|| format!("could not find {}", path.display()));
        }
    };
    let text = full.into_os_string().into_string();
    text.map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.to_string_lossy()))
}

impl Generic {
    fn body(self) -> Result<CreateSource> {
        let options = self.options;
        let method = options.verification.map_or(VerificationMethod::HmacSha256, Into::into);
        let secret = SecretInput {
            option: "--secret",
            value: options.secret,
            from_env: options.from_env,
            stdin: options.stdin,
        };
        let config = VerificationConfig {
            header_name: options.signature_header,
            allowlist: options.allowlist,
            ..VerificationConfig::default()
        };
        Ok(CreateSource {
            org_id: self.org,
            name: self.name,
            verification_method: Some(method),
            verification_config: Some(with_secret(config, method, secret.read()?)),
            event_type_header: options.event_type_header,
            event_type_path: options.event_type_path,
            idempotency_key_header: options.idempotency_key_header,
            idempotency_key_path: options.idempotency_key_path,
            dedup_window_seconds: options.dedup_window,
            max_payload_bytes: options.max_payload,
            allowed_events: options.allowed_events,
            strip_headers: options.strip_headers,
            rate_limit_rpm: options.rate_limit,
            ..CreateSource::default()
        })
    }
}

/// Puts a secret into the field of its method.
pub(super) fn with_secret(
    mut config: VerificationConfig,
    method: VerificationMethod,
    secret: Option<String>,
) -> VerificationConfig {
    match method {
        VerificationMethod::HmacSha256 => config.secret = secret,
        VerificationMethod::BearerToken => config.token = secret,
        VerificationMethod::ApiKey => config.key = secret,
        VerificationMethod::IpAllowlist | VerificationMethod::None => {}
    }
    config
}

fn created(context: &mut Context, answer: &SourceAnswer) -> Result<()> {
    let source = &answer.source;
    let webhook = show::webhook_url(context.url(), source);
    let out = &mut context.out;
    out.line(&format!("Source created: {}", source.id))?;
    out.line(&format!("Routing key: {}", source.routing_key))?;
    out.line(&format!("Webhook URL: {webhook}"))?;
    if source.provider_type == "local" {
        out.line(&format!(
            "Next: kici-admin source install-hook {} --repo <repository>",
            source.id
        ))?;
    }
    Ok(())
}
