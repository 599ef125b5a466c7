//! An orchestrator under test and the program that talks to it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use kici_orchestrator::{Config, Server, Start};
use kici_store::{Connect, Store};
use kici_testkit::pg::TestDb;
use kici_testkit::wait_until;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The token of every orchestrator here.
pub(crate) const OWNER: &str = "the-owner-of-this-test";

/// A running orchestrator. Tests are plain functions, as they wait for programs.
pub(crate) struct World {
    server: Option<Server>,
    pub(crate) url: String,
    _db: TestDb,
    _data: TempDir,
    runtime: Runtime,
}

impl World {
    pub(crate) fn start() -> World {
        let runtime = Runtime::new().unwrap();
        let data = tempfile::tempdir().unwrap();
        let (server, db) = runtime.block_on(async {
            let db = TestDb::migrated(async |url| {
                let store = Store::connect(url, Connect::default()).await?;
                store.migrate().await?;
                store.close().await;
                Ok::<_, kici_store::StoreError>(())
            })
            .await;
            let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
            let vars = [
                ("KICI_MODE", "independent"),
                ("KICI_PORT", "0"),
                ("KICI_DATABASE_URL", db.url()),
                ("KICI_SECRET_KEY", key),
                ("KICI_DATA_DIR", data.path().to_str().unwrap()),
                ("KICI_BOOTSTRAP_ADMIN_TOKEN", OWNER),
            ];
            let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let (config, _) = Config::from_vars(vars).unwrap();
            (Start { config }.run().await.unwrap(), db)
        });
        let url = format!("http://127.0.0.1:{}", server.address.port());
        World { server: Some(server), url, _db: db, _data: data, runtime }
    }

    /// Ends the orchestrator; its address stays the same and nobody is there.
    pub(crate) fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// The program with the orchestrator's address and a token.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(args);
        command.env("KICI_ADMIN_URL", &self.url).env("KICI_ADMIN_TOKEN", OWNER);
        command
    }

    /// What the program printed; it must have ended well.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same with `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let printed = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("no JSON: {printed}"))
    }

    /// What the program said on standard error; it must have failed with 1.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        failed(self.command(args).output().unwrap())
    }

    /// Adds a local source and gives its id.
    pub(crate) fn local_source(&self, path: &Path) -> String {
        let path = path.to_str().unwrap();
        let made = self.json(&["source", "add", "local", "--org", "acme", "--path", path]);
        made["source"]["id"].as_str().unwrap().to_owned()
    }

    /// The runs, once there are this many.
    pub(crate) fn runs(&self, count: usize) -> Vec<Value> {
        self.wait(&format!("{count} runs"), || {
            let list = self.json(&["runs", "list"]);
            let runs = list["runs"].as_array().unwrap();
            if runs.len() == count { Ok(runs.clone()) } else { Err(list.to_string()) }
        })
    }

    /// Looks until it gets what it waits for.
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
        self.runtime.block_on(wait_until(LIMIT, what, async || look()))
    }
}

/// The program with nothing in its environment that would matter.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici-admin"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KICI_")) {
        command.env_remove(name);
    }
    command
}

/// What a program that must have failed with 1 said.
pub(crate) fn failed(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}
