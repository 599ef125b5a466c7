//! The programs of `kici dev`: PostgreSQL, an orchestrator and an agent, all children of this one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kici_devdb::{Binaries, Cluster, Companion, Purpose};

use super::folder::Folder;
use super::ready;

/// The database of the orchestrator.
const DATABASE: &str = "kici";

/// How long a program may take to be of use.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a starting program is asked whether it is ready.
const POLL: Duration = Duration::from_millis(10);

/// What runs. Fields drop in order: the agent hands back its job while there is an orchestrator,
/// and the orchestrator ends before its database.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) agent: Option<Companion>,
    pub(super) orchestrator: Option<Companion>,
    pub(super) database: Option<Cluster>,
}

/// How to reach the orchestrator.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) port: u16,
    pub(super) admin_token: String,
}

impl Address {
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Services {
    /// Starts the database in the folder.
    pub(super) fn start_database(&mut self, binaries: Binaries, folder: &Folder) -> Result<()> {
        let cluster = Cluster::start_with(binaries, &folder.join("postgres"), Purpose::Keep)?;
        cluster.ensure_database(DATABASE)?;
        self.database = Some(cluster);
        Ok(())
    }

    /// Starts the orchestrator and waits until it is ready.
    pub(super) fn start_orchestrator(&mut self, folder: &Folder, address: &Address) -> Result<()> {
        let database = self.database.as_ref().context("the database was started first")?;
        let log = folder.join("orchestrator.log");
        let mut command = service("kici-orchestrator", &log)?;
        command
            .env("KICI_MODE", "independent")
            .env("KICI_PORT", address.port.to_string())
            // A laptop offers its workflows to nobody else.
            .env("KICI_LISTEN_ADDRESS", "127.0.0.1")
            .env("KICI_DATABASE_URL", database.url(DATABASE))
            .env("KICI_SECRET_KEY", folder.key("secret-key")?)
            .env("KICI_BOOTSTRAP_ADMIN_TOKEN", &address.admin_token)
            .env("KICI_DATA_DIR", folder.join("orchestrator"))
            .env("KICI_STORAGE_TYPE", "filesystem")
            .env("KICI_STORAGE_FS_PATH", folder.join("storage"))
            .env("KICI_LOG_FORMAT", "plain");
        let mut orchestrator = start(command)?;
        wait_ready(&mut orchestrator, address.port, &log)?;
        self.orchestrator = Some(orchestrator);
        Ok(())
    }

    /// Starts the agent and waits until it is registered.
    pub(super) fn start_agent(
        &mut self,
        folder: &Folder,
        address: &Address,
        token: &str,
    ) -> Result<()> {
        let log = folder.join("agent.log");
        let port = ready::free_port()?;
        let mut command = service("kici-agent", &log)?;
        command
            .env("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", address.port))
            .env("KICI_AGENT_ID", "dev")
            .env("KICI_AGENT_TOKEN", token)
            .env("KICI_LABELS", labels())
            .env("KICI_PORT", port.to_string())
            .env("KICI_DATA_DIR", folder.join("agent"))
            .env("KICI_LOG_FORMAT", "plain");
        let mut agent = start(command)?;
        wait_ready(&mut agent, port, &log)?;
        self.agent = Some(agent);
        Ok(())
    }

    /// The name of a program that has ended although it should run, if there is one.
    pub(super) fn ended(&mut self) -> Option<&'static str> {
        let has_ended = |program: &mut Option<Companion>| {
            program.as_mut().is_some_and(|program| program.wait(Duration::ZERO).is_some())
        };
        if has_ended(&mut self.orchestrator) {
            Some("orchestrator")
        } else if has_ended(&mut self.agent) {
            Some("agent")
        } else {
            None
        }
    }
}

/// Labels that workflows commonly ask for: the platform under the names that people use.
fn labels() -> String {
    let platform = match std::env::consts::OS {
        "macos" => "macos,darwin",
        other => other,
    };
    format!("default,local,dev,{platform},{},self-hosted", std::env::consts::ARCH)
}

/// A program that was installed beside this one, writing what it prints to a log file.
fn service(name: &str, log: &Path) -> Result<Command> {
    let program = beside_us(name)?;
    let log = File::create(log).with_context(|| format!("could not write {}", log.display()))?;
    let mut command = Command::new(program);
    // Settings of the caller are meant for an installation of its own, not for this one; those of
    // the JavaScript engine are meant for workflows everywhere.
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("KICI_") && !(name == "kici-agent" && is_for_jobs(&text)) {
            command.env_remove(&variable);
        }
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn is_for_jobs(variable: &str) -> bool {
    matches!(variable, "KICI_JS_ENGINE" | "KICI_NODE" | "KICI_SDK")
}

fn beside_us(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("could not find out where kici is installed")?;
    let program = us.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        bail!(
            "{} is missing: `kici dev` needs {name} in the same folder as kici; install it there \
             (in a checkout: `cargo build`)",
            program.display()
        );
    }
    Ok(program)
}

fn start(command: Command) -> Result<Companion> {
    let program = command.get_program().to_string_lossy().into_owned();
    Companion::spawn(command).with_context(|| format!("could not start {program}"))
}

/// Waits until `/ready` says yes; a program that ends or takes too long is an error with its log.
fn wait_ready(program: &mut Companion, port: u16, log: &Path) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    let problem = loop {
        if ready::status(port) == Some(200) {
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
    let tail = lines[lines.len().saturating_sub(10)..].join("\n");
    bail!("{problem}; {} ends with:\n{tail}", log.display())
}
