//! `kici-admin event-log`: deliveries as they came, and what became of them.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use kici_client::DeliveriesQuery;
use kici_protocol::http::deliveries::{DeliveryDetail, DeliveryList, DeliveryView};

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List deliveries, newest first.
    List(List),
    /// Show one delivery.
    Show(Show),
    /// Process a stored delivery once more, under an id of its own.
    Replay(One),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this organisation.
    #[arg(long, alias = "org-id", value_name = "ORG")]
    org: Option<String>,
    /// Only of this source.
    #[arg(long, value_name = "KEY")]
    routing_key: Option<String>,
    /// Only this event.
    #[arg(long)]
    event: Option<String>,
    /// Only this action.
    #[arg(long)]
    action: Option<String>,
    /// Only in this state: received, processed, lockfile_missing, lockfile_corrupt, failed.
    #[arg(long)]
    status: Option<String>,
    /// Only from this time on, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only ids with this in them.
    #[arg(long, value_name = "TEXT")]
    delivery_id: Option<String>,
    /// How many, at most 200.
    #[arg(long, default_value_t = 50)]
    limit: i64,
    /// How many to skip.
    #[arg(long, default_value_t = 0)]
    offset: i64,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id, as `event-log list` shows it.
    delivery_id: String,
    /// The organisation whose source received it.
    #[arg(long, value_name = "ORG")]
    org: String,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    one: One,
    /// Also show the body.
    #[arg(long)]
    include_payload: bool,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let query = DeliveriesQuery {
                org_id: list.org,
                routing_key: list.routing_key,
                event: list.event,
                action: list.action,
                status: list.status,
                from: list.from,
                to: list.to,
                delivery_id: list.delivery_id,
                limit: Some(list.limit),
                offset: Some(list.offset),
            };
            show_list(context, client.delivery_list(&query).await?)?;
        }
        Command::Show(Show { one, include_payload }) => {
            let detail = client.delivery_get(&one.org, &one.delivery_id, include_payload).await?;
            show_one(context, &detail)?;
        }
        Command::Replay(one) => {
            let done = client.delivery_replay(&one.org, &one.delivery_id).await?;
            if !context.out.json(&done)? {
                context.out.line(&format!("Replayed as: {}", done.delivery_id))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show_list(context: &mut Context, list: DeliveryList) -> Result<()> {
    let out = &mut context.out;
    if out.json(&list)? {
        return Ok(());
    }
    if list.deliveries.is_empty() {
        return out.line("No deliveries found.");
    }
    let shown = list.deliveries.len();
    let rows: Vec<[String; 7]> = list.deliveries.into_iter().map(row).collect();
    out.table(["Received", "Event", "Status", "Matched", "Repo", "Ref", "Delivery"], &rows)?;
    let (total, limit, offset) = (list.total, list.limit, list.offset);
    out.line(&format!("Showing {shown} of {total} (offset {offset}, limit {limit})"))
}

fn row(delivery: DeliveryView) -> [String; 7] {
    [
        moment(delivery.received_at),
        match delivery.action {
            Some(action) => format!("{}.{action}", delivery.event),
            None => delivery.event,
        },
        delivery.status,
        delivery.matched_count.to_string(),
        or_dash(delivery.repo_identifier),
        or_dash(delivery.git_ref),
        delivery.delivery_id,
    ]
}

fn show_one(context: &mut Context, detail: &DeliveryDetail) -> Result<()> {
    let out = &mut context.out;
    if out.json(detail)? {
        return Ok(());
    }
    let delivery = &detail.delivery;
    out.fields(&[
        ("Delivery", Some(delivery.delivery_id.clone())),
        ("Organisation", Some(delivery.org_id.clone())),
        ("Routing key", Some(delivery.routing_key.clone())),
        ("Event", Some(delivery.event.clone())),
        ("Action", delivery.action.clone()),
        ("Provider", Some(delivery.provider.clone())),
        ("Repository", delivery.repo_identifier.clone()),
        ("Ref", delivery.git_ref.clone()),
        ("Status", Some(delivery.status.clone())),
        ("Matched", Some(delivery.matched_count.to_string())),
        ("First run", delivery.run_id.map(|run| run.to_string())),
        ("Error", delivery.error_message.clone()),
        ("Received", Some(moment(delivery.received_at))),
        ("Size", Some(format!("{} bytes", delivery.payload_size_bytes))),
        ("SHA-256", Some(delivery.payload_hash.clone())),
        ("Payload", detail.payload_read_error.clone()),
    ])?;
    if let Some(payload) = &detail.payload {
        out.line("")?;
        out.line(&serde_json::to_string_pretty(payload)?)?;
    }
    Ok(())
}
