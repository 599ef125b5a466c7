//! `kici-admin source list` and `source get`.

use std::process::ExitCode;

use anyhow::Result;
use kici_model::ids::SourceId;
use kici_protocol::http::sources::SourceView;
use serde_json::json;

use crate::context::Context;
use crate::output::{moment, or_dash};

pub(super) async fn list(
    context: &mut Context,
    org: Option<String>,
    with_deleted: bool,
) -> Result<ExitCode> {
    let client = context.client()?;
    let sources = match &org {
        Some(org) => client.source_list(org, with_deleted).await?.sources,
        None => Vec::new(),
    };
    let out = &mut context.out;
    if out.json(&json!({ "github": [], "generic": &sources }))? {
        return Ok(ExitCode::SUCCESS);
    }
    if sources.is_empty() {
        out.line("No sources configured.")?;
    } else {
        let rows: Vec<[String; 6]> = sources.iter().map(row).collect();
        out.table(["ID", "Name", "Type", "Verification", "Enabled", "Path"], &rows)?;
    }
    if org.is_none() {
        eprintln!("Tip: generic and local sources belong to an organisation: add --org <org>.");
    }
    Ok(ExitCode::SUCCESS)
}

fn row(source: &SourceView) -> [String; 6] {
    let enabled = match (source.deleted_at, source.enabled) {
        (Some(_), _) => "removed",
        (None, true) => "yes",
        (None, false) => "no",
    };
    [
        source.id.to_string(),
        source.name.clone(),
        source.provider_type.clone(),
        source.verification_method.clone(),
        enabled.to_owned(),
        or_dash(source.git_config.as_ref().map(|local| local.repo_base_path.as_str())),
    ]
}

pub(super) async fn get(context: &mut Context, id: SourceId) -> Result<ExitCode> {
    let answer = context.client()?.source_get(id).await?;
    if context.out.json(&answer)? {
        return Ok(ExitCode::SUCCESS);
    }
    let source = answer.source;
    let webhook = webhook_url(context.url(), &source);
    let local = source.git_config.as_ref();
    let headers = &source.verification_config.header_name;
    context.out.fields(&[
        ("ID", Some(source.id.to_string())),
        ("Name", Some(source.name.clone())),
        ("Organisation", Some(source.customer_id.clone())),
        ("Type", Some(source.provider_type.clone())),
        ("Enabled", Some(if source.enabled { "yes" } else { "no" }.into())),
        ("Routing key", Some(source.routing_key.clone())),
        ("Webhook URL", Some(webhook)),
        ("Path", local.map(|local| local.repo_base_path.clone())),
        ("Clone from", local.and_then(|local| local.clone_url_base.clone())),
        ("Verification", Some(source.verification_method.clone())),
        ("Signature header", headers.clone()),
        ("Addresses", source.verification_config.allowlist.map(|list| list.join(", "))),
        ("Event header", source.event_type_header.clone()),
        ("Event path", source.event_type_path.clone()),
        ("Key header", source.idempotency_key_header.clone()),
        ("Key path", source.idempotency_key_path.clone()),
        ("Allowed events", source.allowed_events.map(|events| events.join(", "))),
        ("Dedup window", Some(format!("{} s", source.dedup_window_seconds))),
        ("Largest payload", Some(format!("{} bytes", source.max_payload_bytes))),
        ("Rate limit", Some(format!("{} a minute", source.rate_limit_rpm))),
        ("Created", Some(moment(source.created_at))),
        ("Changed", Some(moment(source.updated_at))),
        ("Removed", source.deleted_at.map(moment)),
    ])?;
    Ok(ExitCode::SUCCESS)
}

/// Where deliveries of a source are sent.
pub(super) fn webhook_url(base: &str, source: &SourceView) -> String {
    let base = base.trim_end_matches('/');
    format!("{base}/webhook/{}/generic/{}", source.customer_id, source.id)
}
