//! `kici-admin debug-bundle --fleet` and `inspect-bundle`: the log bundles of agents in one ZIP.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use kici_protocol::http::fleet::{FleetBundleRequest, FleetKind, FleetManifest, FleetStatus};
use kici_protocol::http::time::Timestamp;
use serde_json::json;
use zip::ZipArchive;

use crate::context::Context;
use crate::output::or_dash;

const MANIFEST: &str = "fleet-manifest.json";

#[derive(Debug, Args)]
pub(crate) struct DebugBundle {
    /// Ask connected agents for their bundles. Needed: a bundle of the orchestrator alone cannot be made yet.
    #[arg(long, required = true)]
    fleet: bool,
    /// Only show who is there.
    #[arg(long, conflicts_with_all = ["pick", "output"])]
    list: bool,
    /// Only these agents: ids, globs over ids and host names (`web-*`), or `label:key=value`.
    #[arg(long, value_name = "SELECTOR,…", value_delimiter = ',')]
    pick: Vec<String>,
    /// Seconds that one agent may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    fleet_timeout: u64,
    /// How many hours logs go back.
    #[arg(long, value_name = "HOURS", default_value_t = 4)]
    log_window: u64,
    /// The file to write. It must not be there.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(context: &mut Context, wanted: DebugBundle) -> Result<ExitCode> {
    if wanted.list {
        return list(context).await;
    }
    let request = FleetBundleRequest {
        selectors: wanted.pick,
        log_window_hours: Some(wanted.log_window),
        timeout_seconds: Some(wanted.fleet_timeout),
    };
    let path = wanted.output.unwrap_or_else(|| {
        format!("kici-fleet-bundle-{}.zip", Timestamp::now().unix_micros()).into()
    });
    // Before agents are asked; readable by nobody else.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("could not make {}", path.display()))?;
    let written = async {
        let bytes = context.client()?.fleet_bundle(&request).await?;
        file.write_all(&bytes).with_context(|| format!("could not write {}", path.display()))
    };
    if let Err(error) = written.await {
        // Nothing is in there.
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    let manifest = manifest(&mut open(&path)?)?;
    let out = &mut context.out;
    if !out.json(&json!({"path": path, "manifest": manifest}))? {
        show(context, &manifest)?;
        context.out.text(&format!("Written to {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what a bundle has.
pub(crate) fn inspect(context: &mut Context, path: &Path) -> Result<ExitCode> {
    let mut zip = open(path)?;
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let file = zip.by_index(index).with_context(|| unreadable(path))?;
        files.push((String::from_utf8_lossy(file.name_raw()).into_owned(), file.size()));
    }
    let fleet = files.iter().any(|(name, _)| name == MANIFEST);
    let manifest = if fleet { Some(manifest(&mut zip)?) } else { None };
    let listed: Vec<_> =
        files.iter().map(|(name, size)| json!({"name": name, "bytes": size})).collect();
    if context.out.json(&json!({"files": listed, "manifest": manifest}))? {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(manifest) = manifest {
        show(context, &manifest)?;
        context.out.line("")?;
    }
    let rows: Vec<[String; 2]> =
        files.into_iter().map(|(name, size)| [name, size.to_string()]).collect();
    context.out.table(["File", "Bytes"], &rows)?;
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &mut Context) -> Result<ExitCode> {
    let topology = context.client()?.fleet_topology().await?;
    let out = &mut context.out;
    if out.json(&topology)? {
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<[String; 5]> = topology
        .nodes
        .into_iter()
        .map(|node| {
            let labels: Vec<String> =
                node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            [
                kind(node.kind).to_owned(),
                node.id,
                or_dash(node.hostname),
                or_dash(node.parent_id),
                if labels.is_empty() { "-".to_owned() } else { labels.join(",") },
            ]
        })
        .collect();
    out.table(["Kind", "Id", "Host", "Orchestrator", "Labels"], &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn show(context: &mut Context, manifest: &FleetManifest) -> Result<()> {
    let rows: Vec<[String; 5]> = manifest
        .nodes
        .iter()
        .map(|node| {
            [
                kind(node.kind).to_owned(),
                node.id.clone(),
                node.status.as_str().to_owned(),
                or_dash(node.bytes.map(|bytes| bytes.to_string())),
                or_dash(node.message.clone()),
            ]
        })
        .collect();
    context.out.table(["Kind", "Id", "Status", "Bytes", "Why"], &rows)?;
    let failed = manifest.nodes.iter().filter(|node| node.status != FleetStatus::Ok).count();
    if failed > 0 {
        eprintln!("{failed} of {} nodes gave no bundle.", manifest.nodes.len());
    }
    Ok(())
}

fn kind(kind: FleetKind) -> &'static str {
    match kind {
        FleetKind::Orchestrator => "orchestrator",
        FleetKind::Agent => "agent",
    }
}

fn open(path: &Path) -> Result<ZipArchive<File>> {
    let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    ZipArchive::new(file).with_context(|| unreadable(path))
}

fn unreadable(path: &Path) -> String {
    format!("{} is no readable bundle", path.display())
}

fn manifest(zip: &mut ZipArchive<File>) -> Result<FleetManifest> {
    let mut text = String::new();
    zip.by_name(MANIFEST)
        .with_context(|| format!("the bundle has no {MANIFEST}"))?
        .read_to_string(&mut text)
        .with_context(|| format!("could not read {MANIFEST}"))?;
    serde_json::from_str(&text).with_context(|| format!("{MANIFEST} is not as expected"))
}
