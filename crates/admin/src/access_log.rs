//! `kici-admin access-log`: who did, or was refused, what.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use kici_client::AccessQuery;
use kici_protocol::http::access_log::AccessEntry;
use uuid::Uuid;

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List entries, newest first.
    List(Box<List>),
    /// Show one entry in full.
    Show {
        /// Its id.
        id: Uuid,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this organisation.
    #[arg(long, visible_alias = "org", value_name = "ORG")]
    org_id: Option<String>,
    /// Only of these actors: user, api_key, service_account, platform_operator, system.
    #[arg(long, value_name = "TYPE")]
    actor_type: Option<String>,
    /// Only of this actor: the id of a token.
    #[arg(long, value_name = "ID")]
    actor_id: Option<String>,
    /// Only this action, such as run.cancel.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only from here: platform_proxy, admin_http, admin_cli, agent.
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only with this outcome: allowed, denied, error.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only about things of this kind, such as run.
    #[arg(long, value_name = "TYPE")]
    target_type: Option<String>,
    /// Only about this thing.
    #[arg(long, value_name = "ID")]
    target_id: Option<String>,
    /// Not before this time, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only with this in the error's text.
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// How many, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// Where to go on, as the last list said.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    match command {
        Command::List(list) => list.run(context).await,
        Command::Show { id } => {
            let entry = context.client()?.access_log_get(id).await?;
            if !context.out.json(&entry)? {
                show(context, &entry)?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl List {
    async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let query = AccessQuery {
            org_id: self.org_id,
            actor_type: self.actor_type,
            actor_id: self.actor_id,
            action: self.action,
            source: self.source,
            outcome: self.outcome,
            target_type: self.target_type,
            target_id: self.target_id,
            from: self.from,
            to: self.to,
            q: self.q,
            limit: Some(self.limit),
            cursor: self.cursor,
        };
        let page = context.client()?.access_log(&query).await?;
        let out = &mut context.out;
        if out.json(&page)? {
            return Ok(ExitCode::SUCCESS);
        }
        if page.items.is_empty() {
            out.line("No entries found.")?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<[String; 6]> = page.items.iter().map(row).collect();
        out.table(["time", "actor", "action", "target", "outcome", "error"], &rows)?;
        if let Some(cursor) = page.next_cursor {
            out.line(&format!("There are more: --cursor {cursor}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(entry: &AccessEntry) -> [String; 6] {
    [
        moment(entry.created_at),
        actor(entry),
        entry.action.clone(),
        or_dash(entry.target_id.as_deref()),
        entry.outcome.clone(),
        entry.error_message.clone().unwrap_or_default(),
    ]
}

/// The label of a token says more than its id.
fn actor(entry: &AccessEntry) -> String {
    let label = entry.actor_meta.as_ref().and_then(|meta| meta.get("label")?.as_str());
    label.unwrap_or(&entry.actor_id).to_owned()
}

fn show(context: &mut Context, entry: &AccessEntry) -> Result<()> {
    let role = entry.actor_meta.as_ref().and_then(|meta| meta.get("role")?.as_str());
    context.out.fields(&[
        ("Entry", Some(entry.id.to_string())),
        ("Time", Some(moment(entry.created_at))),
        ("Actor", Some(format!("{} {}", entry.actor_type, entry.actor_id))),
        ("Label", Some(actor(entry))),
        ("Role", role.map(str::to_owned)),
        ("Action", Some(entry.action.clone())),
        ("Target", entry.target_type.clone()),
        ("Target id", entry.target_id.clone()),
        ("Outcome", Some(entry.outcome.clone())),
        ("Error", entry.error_message.clone()),
        ("Source", Some(entry.source.clone())),
        ("Organisation", entry.org_id.clone()),
        ("Routing key", entry.routing_key.clone()),
        ("Request", entry.request_id.clone()),
    ])
}
