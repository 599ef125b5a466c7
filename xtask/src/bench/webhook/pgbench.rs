//! The measure beside ours: committed single-row inserts of the same PostgreSQL.

use std::fs;

use anyhow::{Context, Result, bail};
use kici_devdb::Cluster;

use super::CLIENTS;

/// Seconds of each half.
const SECONDS: u32 = 8;

const DATABASE: &str = "pgbench";
const TABLE: &str = "SET client_min_messages = warning; \
    CREATE TABLE IF NOT EXISTS inserted (id bigserial PRIMARY KEY, payload text)";
const SCRIPT: &str = "INSERT INTO inserted (payload) VALUES (repeat('x', 200));\n";

/// Transactions per second.
pub(super) fn inserts_per_second(cluster: &Cluster) -> Result<f64> {
    cluster.ensure_database(DATABASE)?;
    let mut psql = cluster.client_command("psql");
    crate::shell::output(psql.args(["-qAt", "--dbname", DATABASE, "--command", TABLE]))?;
    let script = cluster.folder().join("insert.sql");
    fs::write(&script, SCRIPT).with_context(|| format!("could not write {}", script.display()))?;
    let output = cluster
        .client_command("pgbench")
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
        .args(["--client", &CLIENTS.to_string(), "--time", &SECONDS.to_string(), "--file"])
        .arg(&script)
        .arg(DATABASE)
        .output()
        .context("could not run pgbench")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    tps(&text).with_context(|| format!("pgbench told no rate:\n{text}"))
}

/// `tps = 8123.456789 (without initial connection time)`.
fn tps(text: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pgbench_prints() {
        let text = "latency average = 0.9 ms\ntps = 8123.45 (without initial connection time)\n";
        assert_eq!(tps(text), Some(8123.45));
        assert_eq!(tps("pgbench: error"), None);
    }
}
