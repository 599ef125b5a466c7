//! Reads the tables past the programs under test: all SQL of the checker is here, and only reads.
//!
//! The one exception is `audit.sql`, which makes the database of this round write down every change of state.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use kici_devdb::Cluster;
use serde::de::DeserializeOwned;

use super::rows::{Change, Delivery, Hold, Job, Look, Open, Place, Run, Step, Waiter};

const AUDIT: &str = include_str!("audit.sql");

/// How to ask the database.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    program: OsString,
    variables: Vec<(OsString, Option<OsString>)>,
    database: String,
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

    /// Looks at everything that somebody may want to do something about, and writes down who waits for a place.
    pub(super) fn look(&self) -> Result<Look> {
        let rows = self.rows(
            "SELECT (SELECT count(*) FROM delivery WHERE due_at IS NOT NULL) AS deliveries, \
                    (SELECT coalesce(json_agg(r), '[]') FROM ( \
                        SELECT id, workflow_name, finished_at IS NOT NULL AS ended, stop IS NOT NULL AS stopped, \
                               parent_run_id IS NOT NULL AS repeats FROM run) r) AS runs, \
                    (SELECT coalesce(json_agg(id), '[]') FROM hold WHERE state = 'pending') AS holds, \
                    chaos.see_waiters() IS NULL AS seen",
        )?;
        rows.into_iter().next().context("one row")
    }

    pub(super) fn deliveries(&self) -> Result<Vec<Delivery>> {
        self.rows(
            "SELECT delivery_id, state, due_at IS NOT NULL AS open, error_message FROM delivery",
        )
    }

    pub(super) fn runs(&self) -> Result<Vec<Run>> {
        self.rows(
            "SELECT id, delivery_id, workflow_name, state, stop, failure_reason, \
                    finished_at IS NOT NULL AS final_state, parent_run_id, rerun_scope, rerun_key \
               FROM run ORDER BY created_at",
        )
    }

    pub(super) fn jobs(&self) -> Result<Vec<Job>> {
        self.rows(
            "SELECT id, run_id, name, state, attempt, agent_id, end_reason, wait_reason, error_message, \
                    finished_at IS NOT NULL AS final_state, reused_from FROM job ORDER BY created_at, position",
        )
    }

    pub(super) fn holds(&self) -> Result<Vec<Hold>> {
        self.rows(
            "SELECT id, run_id, job_id, scope, state, (extract(epoch FROM resolved_at) * 1000)::bigint AS resolved_ms \
               FROM hold ORDER BY created_at",
        )
    }

    pub(super) fn places(&self) -> Result<Vec<Place>> {
        self.rows(
            "SELECT holder, group_key, (extract(epoch FROM began) * 1000000)::bigint AS began_us, \
                    (extract(epoch FROM at) * 1000000)::bigint AS at_us FROM chaos.place ORDER BY at",
        )
    }

    pub(super) fn waiters(&self) -> Result<Vec<Waiter>> {
        self.rows(
            "SELECT holder, group_key, run_id, position, (extract(epoch FROM seen) * 1000000)::bigint AS seen_us \
               FROM chaos.waiter ORDER BY run_id, position",
        )
    }

    pub(super) fn steps(&self) -> Result<Vec<Step>> {
        self.rows("SELECT DISTINCT job_id, attempt, idx FROM step WHERE idx >= 0 AND idx < 1000000")
    }

    pub(super) fn changes(&self) -> Result<Vec<Change>> {
        self.rows(
            "SELECT (extract(epoch FROM at) * 1000)::bigint AS at_ms, kind, id, was, became, attempt, \
                    agent, revived FROM chaos.change ORDER BY seq",
        )
    }

    /// Writes the tables to files, for somebody who wants to know more.
    pub(super) fn dump(&self, folder: &Path) -> Result<()> {
        for table in [
            "delivery",
            "run",
            "job",
            "job_need",
            "step",
            "attempt",
            "hold",
            "slot",
            "log_chunk",
            "chaos.change",
            "chaos.place",
            "chaos.waiter",
        ] {
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
