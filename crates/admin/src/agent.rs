//! `kici-admin agent`: the tokens that let agents in, and (`roster`) who is there.

mod roster;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use kici_model::ids::TokenId;
use kici_protocol::http::agent_tokens::{AgentTokenView, CreateAgentToken};

use crate::context::Context;
use crate::output::{moment, or_dash};

/// The label of agents that may run privileged jobs.
const PRIVILEGED_ROOT: &str = "kici:privileged:root";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token for agents. It is shown once; any number of agents may use it.
    Register {
        /// The labels that agents may offer with it; any, when not given.
        #[arg(long, value_name = "LABEL,…", value_delimiter = ',')]
        labels: Vec<String>,
        /// A label that every job on such an agent must ask for. May be repeated.
        #[arg(long = "mandatory-label", value_name = "LABEL")]
        mandatory_labels: Vec<String>,
        /// For agents that run as root: adds the mandatory label kici:privileged:root.
        #[arg(long)]
        privileged_root: bool,
    },
    /// List the tokens that work, newest first, and the agents of all orchestrators.
    List {
        /// Only the agents.
        #[arg(long, conflicts_with_all = ["kind", "include_pending"])]
        agents: bool,
        /// Only those made by operators, or only those made for one machine.
        #[arg(long = "type", value_enum)]
        kind: Option<Kind>,
        /// Also list connections that have not said who they are.
        #[arg(long)]
        include_pending: bool,
    },
    /// Withdraw a token at once. Agents that are connected with it are cut off.
    Revoke {
        /// Its id, as `agent list` shows it.
        id: TokenId,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Static,
    Ephemeral,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::Register { labels, mut mandatory_labels, privileged_root } => {
            if privileged_root {
                mandatory_labels.push(PRIVILEGED_ROOT.into());
            }
            let labels = labels.into_iter().map(|label| label.trim().to_owned());
            let labels = labels.filter(|label| !label.is_empty()).collect();
            register(context, CreateAgentToken { labels, mandatory_labels, created_by: None }).await
        }
        Command::List { agents: true, .. } => roster::list(context).await,
        Command::List { kind, include_pending, .. } => list(context, kind, include_pending).await,
        Command::Revoke { id } => {
            let done = context.client()?.agent_token_revoke(id).await?;
            if !context.out.json(&done)? {
                context.out.line(&format!("Agent token revoked: {id}"))?;
                context.out.line(&format!("Connections closed: {}", done.kicked))?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn register(context: &mut Context, body: CreateAgentToken) -> Result<ExitCode> {
    let made = context.client()?.agent_token_create(&body).await?;
    let socket = socket_url(context.url());
    let out = &mut context.out;
    if !out.json(&made)? {
        out.line(&format!("Token ID: {}", made.id))?;
        out.line(&format!("Token:    {}", made.token))?;
        if !made.labels.is_empty() {
            out.line(&format!("Labels:   {}", made.labels.join(", ")))?;
        }
        out.line("Save this token -- it will not be shown again. Start an agent with it:")?;
        let mut settings = format!("KICI_ORCHESTRATOR_URL={socket} KICI_AGENT_TOKEN=<token>");
        if !made.labels.is_empty() {
            settings.push_str(&format!(" KICI_LABELS={}", offered(&made.labels)));
            // Agents offer the roles' labels by themselves, which a token without them forbids.
            if !made.labels.iter().any(|label| label.starts_with("kici:role:")) {
                settings.push_str(" KICI_ROLES=");
            }
        }
        out.line(&format!("  {settings} kici-agent"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    context: &mut Context,
    kind: Option<Kind>,
    include_pending: bool,
) -> Result<ExitCode> {
    let client = context.client()?;
    let kind = kind.map(|kind| match kind {
        Kind::Static => "static",
        Kind::Ephemeral => "ephemeral",
    });
    let list = client.agent_token_list(kind).await?;
    let agents = client.agent_list().await?;
    let pending = match include_pending {
        true => Some(client.agent_pending().await?.pending),
        false => None,
    };
    let out = &mut context.out;
    if out.is_json() {
        let mut answer = serde_json::to_value(&list)?;
        answer["agents"] = serde_json::to_value(&agents)?;
        if let Some(pending) = &pending {
            answer["pending"] = serde_json::to_value(pending)?;
        }
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    if list.tokens.is_empty() {
        out.line("No agent tokens found.")?;
    } else {
        let rows: Vec<[String; 7]> = list.tokens.into_iter().map(row).collect();
        out.table(["ID", "Prefix", "Labels", "Type", "Created", "Last Seen", "Expires"], &rows)?;
    }
    out.line("")?;
    roster::print(out, agents)?;
    if let Some(pending) = pending {
        out.line("")?;
        if pending.is_empty() {
            out.line("No pending connections found.")?;
        } else {
            let rows: Vec<[String; 3]> = pending
                .into_iter()
                .map(|one| [one.connection_id, one.remote_address, moment(one.connected_at)])
                .collect();
            out.table(["Connection", "Address", "Connected"], &rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(token: AgentTokenView) -> [String; 7] {
    let labels = token.labels.iter().map(|label| {
        let star = if token.mandatory_labels.contains(label) { "*" } else { "" };
        format!("{label}{star}")
    });
    let labels: Vec<String> = labels.collect();
    [
        token.id.to_string(),
        token.token_prefix,
        if labels.is_empty() { "-".to_owned() } else { labels.join(",") },
        token.agent_type,
        moment(token.created_at),
        or_dash(token.last_seen_at.map(moment)),
        or_dash(token.expires_at.map(moment)),
    ]
}

/// The labels that an operator sets on the agent; those of KiCI itself come by other ways.
fn offered(labels: &[String]) -> String {
    let own: Vec<&str> =
        labels.iter().map(String::as_str).filter(|label| !label.starts_with("kici:")).collect();
    own.join(",")
}

/// The address that agents connect to.
fn socket_url(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let rest = url.strip_prefix("http").unwrap_or(url);
    format!("ws{rest}/ws")
}
