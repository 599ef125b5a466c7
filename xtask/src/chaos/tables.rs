//! Reads the tables past the programs under test: all SQL of the checker is here, and only reads.
//!
//! The one exception is `audit.sql`, which makes the database of this round write down every change of state.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use kici_devdb::Cluster;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const AUDIT: &str = include_str!("audit.sql");

/// How to ask the database.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    program: OsString,
    variables: Vec<(OsString, Option<OsString>)>,
    database: String,
}

/// A row of `delivery`.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    pub(super) delivery_id: String,
    pub(super) state: String,
    pub(super) open: bool,
    pub(super) error_message: Option<String>,
}

/// A row of `run`.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) delivery_id: String,
    pub(super) workflow_name: String,
    pub(super) state: String,
    pub(super) stop: Option<String>,
    pub(super) failure_reason: Option<String>,
    pub(super) final_state: bool,
}

/// A row of `job`.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) run_id: String,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) attempt: u32,
    pub(super) agent_id: Option<String>,
    pub(super) end_reason: Option<Value>,
    pub(super) wait_reason: Option<Value>,
    pub(super) error_message: Option<String>,
    pub(super) final_state: bool,
}

/// A row of `step`.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) job_id: String,
    pub(super) attempt: u32,
    pub(super) idx: i64,
}

/// A change of state that the audit has seen.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub(super) at_ms: i64,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) was: Option<String>,
    pub(super) became: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) revived: bool,
}

/// How much is open.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Open {
    pub(super) deliveries: u64,
    pub(super) runs: u64,
    pub(super) jobs: u64,
}

impl Open {
    pub(super) fn is_none(self) -> bool {
        self.deliveries == 0 && self.runs == 0 && self.jobs == 0
    }
}

impl Tables {
    pub(super) fn new(cluster: &Cluster, database: &str) -> Self {
        let psql = cluster.client_command("psql");
        let variables = psql
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        let program = psql.get_program().to_owned();
        Self { program, variables, database: database.to_owned() }
    }

    /// Makes the database write down every change of state from now on.
    pub(super) fn audit(&self) -> Result<()> {
        // What a killed process has written is safe with the kernel, and without this PostgreSQL is back sooner.
        let faster = "ALTER SYSTEM SET fsync = off";
        let reload = "SELECT pg_reload_conf()";
        let commands = ["--command", AUDIT, "--command", faster, "--command", reload];
        ask(self.psql().args(commands)).map(drop)
    }

    /// How much is open now.
    pub(super) fn open(&self) -> Result<Open> {
        let rows = self.rows(
            "SELECT (SELECT count(*) FROM delivery WHERE due_at IS NOT NULL) AS deliveries, \
                    (SELECT count(*) FROM run WHERE finished_at IS NULL) AS runs, \
                    (SELECT count(*) FROM job WHERE finished_at IS NULL) AS jobs",
        )?;
        rows.into_iter().next().context("a row of counts")
    }

    /// Running runs of a workflow that nobody has stopped.
    pub(super) fn stoppable(&self, workflow: &str) -> Result<Vec<String>> {
        let rows: Vec<Value> = self.rows(&format!(
            "SELECT id FROM run WHERE workflow_name = '{workflow}' AND finished_at IS NULL AND stop IS NULL"
        ))?;
        Ok(rows.iter().filter_map(|row| Some(row["id"].as_str()?.to_owned())).collect())
    }

    pub(super) fn deliveries(&self) -> Result<Vec<Delivery>> {
        self.rows(
            "SELECT delivery_id, state, due_at IS NOT NULL AS open, error_message FROM delivery",
        )
    }

    pub(super) fn runs(&self) -> Result<Vec<Run>> {
        self.rows(
            "SELECT id, delivery_id, workflow_name, state, stop, failure_reason, \
                    finished_at IS NOT NULL AS final_state FROM run ORDER BY created_at",
        )
    }

    pub(super) fn jobs(&self) -> Result<Vec<Job>> {
        self.rows(
            "SELECT id, run_id, name, state, attempt, agent_id, end_reason, wait_reason, error_message, \
                    finished_at IS NOT NULL AS final_state FROM job ORDER BY created_at, position",
        )
    }

    pub(super) fn steps(&self) -> Result<Vec<Step>> {
        self.rows("SELECT DISTINCT job_id, attempt, idx FROM step WHERE idx >= 0 AND idx < 1000000")
    }

    pub(super) fn changes(&self) -> Result<Vec<Change>> {
        self.rows(
            "SELECT (extract(epoch FROM at) * 1000)::bigint AS at_ms, kind, id, was, became, attempt, \
                    revived FROM chaos.change ORDER BY seq",
        )
    }

    /// Writes the tables to files, for somebody who wants to know more.
    pub(super) fn dump(&self, folder: &Path) -> Result<()> {
        for table in ["delivery", "run", "job", "step", "log_chunk", "chaos.change"] {
            let columns = if table == "delivery" {
                "id, delivery_id, state, due_at, owner, attempts, error_message, received_at"
            } else {
                "*"
            };
            let query = format!("SELECT {columns} FROM {table} ORDER BY 1, 2");
            let mut psql = self.psql();
            let csv = ask(psql.args(["--csv", "--command", &query]))?;
            std::fs::write(folder.join(format!("{table}.csv")), csv)?;
        }
        Ok(())
    }

    fn rows<T: DeserializeOwned>(&self, query: &str) -> Result<Vec<T>> {
        let json =
            format!("SELECT coalesce(json_agg(row_to_json(rows)), '[]') FROM ({query}) AS rows");
        let text = ask(self.psql().args(["--command", &json]))?;
        serde_json::from_str(&text).with_context(|| format!("unexpected rows of: {query}"))
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(&self.program);
        for (name, value) in &self.variables {
            match value {
                Some(value) => psql.env(name, value),
                None => psql.env_remove(name),
            };
        }
        psql.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "--dbname", &self.database]);
        psql
    }
}

/// What psql prints. Its complaints are part of the error: PostgreSQL is down now and then, and nobody wants to read that.
fn ask(psql: &mut Command) -> Result<String> {
    let output = psql.stdin(Stdio::null()).output().context("could not run psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("psql printed no UTF-8")
}
