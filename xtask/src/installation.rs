//! A whole installation for the demo and the benches: PostgreSQL, an orchestrator and agents.
//!
//! Everything is a child of this process and lives in one folder; dropping the installation ends
//! it. The orchestrator is operated as a person would: with `kici-admin`.

mod http;
mod repository;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kici_devdb::{Cluster, Companion, Purpose};
use serde_json::Value;

use crate::shell;
use crate::workspace::{self, Profile};
pub(crate) use http::free_port;
pub(crate) use repository::Repository;

/// The database of the orchestrator.
const DATABASE: &str = "kici";

/// The organisation that sources belong to.
const ORG: &str = "demo";

/// How long a program may take to be of use.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a starting program is asked whether it is ready.
const POLL: Duration = Duration::from_millis(2);

/// Empties a folder below the target folder.
pub(crate) fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("could not empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    Ok(folder)
}

/// Runs `kici compile` in a project; shows what it says only when it fails.
pub(crate) fn compile(profile: Profile, project: &Path) -> Result<()> {
    let mut command = Command::new(profile.program("kici"));
    without_our_variables(&mut command);
    let output = command
        .arg("compile")
        .current_dir(project)
        .env("PATH", workspace::path())
        .output()
        .context("could not run kici; is it built?")?;
    if !output.status.success() {
        bail!(
            "`kici compile` failed in {}:\n{}{}",
            project.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// A program of ours that writes what it prints to a log file.
pub(crate) fn service(program: &Path, log: &Path) -> Result<Command> {
    let log = File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    let mut command = Command::new(program);
    without_our_variables(&mut command);
    command
        .env("PATH", workspace::path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// What the caller's shell has set for an installation of its own must not steer this one.
pub(crate) fn without_our_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"KICI_") {
            command.env_remove(name);
        }
    }
}

/// A running installation. Fields drop in order: the orchestrator ends before its database.
pub(crate) struct Installation {
    orchestrator: Option<Companion>,
    profile: Profile,
    folder: PathBuf,
    port: u16,
    admin_token: String,
    cluster: Cluster,
}

impl Installation {
    /// Starts PostgreSQL and an orchestrator in `folder`.
    pub(crate) fn start(profile: Profile, folder: &Path) -> Result<Self> {
        let cluster = Cluster::start(&folder.join("postgres"), Purpose::Throwaway)?;
        cluster.ensure_database(DATABASE)?;
        let mut installation = Self {
            orchestrator: None,
            profile,
            folder: folder.to_owned(),
            port: free_port()?,
            admin_token: random_hex()?,
            cluster,
        };
        installation.start_orchestrator()?;
        Ok(installation)
    }

    /// Starts the orchestrator and waits until it is ready.
    pub(crate) fn start_orchestrator(&mut self) -> Result<()> {
        let log = self.folder.join("orchestrator.log");
        let mut command = service(&self.profile.program("kici-orchestrator"), &log)?;
        command
            .env("KICI_MODE", "independent")
            .env("KICI_PORT", self.port.to_string())
            .env("KICI_LISTEN_ADDRESS", "127.0.0.1")
            .env("KICI_DATABASE_URL", self.cluster.url(DATABASE))
            .env("KICI_SECRET_KEY", &self.admin_token)
            .env("KICI_BOOTSTRAP_ADMIN_TOKEN", &self.admin_token)
            .env("KICI_DATA_DIR", self.folder.join("orchestrator"))
            .env("KICI_STORAGE_TYPE", "filesystem")
            .env("KICI_STORAGE_FS_PATH", self.folder.join("storage"))
            .env("KICI_QUEUE_MAX_DEPTH", "0")
            .env("KICI_LOG_LEVEL", "info");
        let mut orchestrator =
            Companion::spawn(command).context("could not start the orchestrator")?;
        wait_ready(&mut orchestrator, self.port, &log)?;
        self.orchestrator = Some(orchestrator);
        Ok(())
    }

    /// Ends the orchestrator; the database goes on.
    pub(crate) fn stop_orchestrator(&mut self) {
        self.orchestrator = None;
    }

    /// Makes a token for agents.
    pub(crate) fn agent_token(&self) -> Result<String> {
        let answer = self.admin_json(&["agent", "register"])?;
        let token =
            answer["token"].as_str().context("`kici-admin agent register` gave no token")?;
        Ok(token.to_owned())
    }

    /// Starts an agent and waits until it is registered.
    pub(crate) fn start_agent(&self, id: &str, token: &str) -> Result<Companion> {
        let log = self.folder.join(format!("agent-{id}.log"));
        let port = free_port()?;
        let mut command = service(&self.profile.program("kici-agent"), &log)?;
        command
            .env("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", self.port))
            .env("KICI_AGENT_ID", id)
            .env("KICI_AGENT_TOKEN", token)
            .env("KICI_LABELS", "linux,demo")
            .env("KICI_PORT", port.to_string())
            .env("KICI_DATA_DIR", self.folder.join(format!("agent-{id}")));
        let mut agent = Companion::spawn(command).context("could not start the agent")?;
        wait_ready(&mut agent, port, &log)?;
        Ok(agent)
    }

    /// Registers a repository as local source; gives the source as the server shows it.
    pub(crate) fn add_local_source(&self, repository: &Path) -> Result<Value> {
        let path = repository.to_str().context("the repository's path is not UTF-8")?;
        let answer = self.admin_json(&[
            "source", "add", "local", "--org", ORG, "--name", "demo", "--path", path,
        ])?;
        // The route wraps the source, the command may print it bare.
        Ok(if answer["source"].is_object() { answer["source"].clone() } else { answer })
    }

    /// Runs `kici-admin … --json`.
    pub(crate) fn admin_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = shell::output(self.admin().args(arguments).arg("--json"))?;
        serde_json::from_str(&text).with_context(|| {
            format!("`kici-admin {}` printed no JSON:\n{text}", arguments.join(" "))
        })
    }

    /// `kici-admin`, already told where the orchestrator is.
    pub(crate) fn admin(&self) -> Command {
        let mut command = Command::new(self.profile.program("kici-admin"));
        without_our_variables(&mut command);
        command.env("KICI_ADMIN_URL", self.url()).env("KICI_ADMIN_TOKEN", &self.admin_token);
        command
    }

    /// Asks the orchestrator's database; gives the one value of the one row.
    pub(crate) fn query(&self, sql: &str) -> Result<String> {
        Ok(shell::output(&mut self.psql(sql))?.trim().to_owned())
    }

    /// `psql` with a statement for the orchestrator's database, not running yet.
    pub(crate) fn psql(&self, sql: &str) -> Command {
        let mut psql = self.cluster.client_command("psql");
        psql.args(["--no-psqlrc", "-qAt", "--dbname", DATABASE, "--command", sql]);
        psql
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub(crate) fn orchestrator_pid(&self) -> i32 {
        self.orchestrator.as_ref().map_or(0, Companion::pid)
    }
}

/// Waits until `/ready` says yes; a program that ends or takes too long is an error with its log.
fn wait_ready(program: &mut Companion, port: u16, log: &Path) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let problem = loop {
        if http::status(port, "/ready") == Some(200) {
            return Ok(());
        }
        if let Some(status) = program.wait(POLL) {
            break format!("it ended with {status}");
        }
        if Instant::now() > deadline {
            break format!("it was not ready within {START_LIMIT:?}");
        }
    };
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(20)..].join("\n");
    bail!("{problem}; {} ends with:\n{tail}", log.display())
}

/// 32 random bytes in hexadecimal digits.
pub(crate) fn random_hex() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("could not read random bytes")?;
    Ok(hex::encode(bytes))
}
