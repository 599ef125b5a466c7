//! Everything that runs: PostgreSQL, orchestrators, agents, and the lines between them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kici_devdb::{Cluster, Purpose};
use serde_json::Value;
use tokio::runtime::Handle;

use super::http::{self, Answer};
use super::member::Member;
use super::proxy::Proxy;
use super::schedule::{AGENTS, ORCHESTRATORS};
use super::tables::Tables;
use crate::installation;
use crate::workspace::Profile;

const DATABASE: &str = "kici";
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Short windows, so that a round of half a minute sees agents given up and deliveries tried again.
const WINDOWS: &[(&str, &str)] = &[
    ("KICI_DISPATCH_ACK_TIMEOUT_MS", "3000"),
    ("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "5000"),
    ("KICI_JOB_HEARTBEAT_INTERVAL_MS", "2000"),
    ("KICI_STALE_DETECTOR_THRESHOLD_MULTIPLIER", "15"),
    ("KICI_EVENT_ROUTER_RETRY_BASE_BACKOFF_MS", "300"),
    ("KICI_EVENT_ROUTER_RETRY_MAX_BACKOFF_MS", "3000"),
    ("KICI_EVENT_ROUTER_MAX_DISPATCH_ATTEMPTS", "50"),
    ("KICI_EVENT_ROUTER_LEASE_DURATION_MS", "10000"),
    ("KICI_AGENT_LOST_RETRIES", "3"),
];

/// See the module. Fields drop in order: agents first, PostgreSQL last.
pub(super) struct Fleet {
    pub(super) agents: Vec<Member>,
    pub(super) orchestrators: Vec<Member>,
    pub(super) agent_lines: Vec<Arc<Proxy>>,
    pub(super) delivery_lines: Vec<Arc<Proxy>>,
    pub(super) cluster: Cluster,
    admin: Admin,
}

/// How to reach the orchestrators past all lines.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) ports: Vec<u16>,
    pub(super) token: String,
    program: PathBuf,
}

impl Fleet {
    /// Starts everything in `folder`; returns when all orchestrators and agents are ready.
    pub(super) fn start(handle: &Handle, profile: Profile, folder: &Path) -> Result<Self> {
        let cluster = Cluster::start(&folder.join("postgres"), Purpose::Throwaway)?;
        cluster.ensure_database(DATABASE)?;
        let token = installation::random_hex()?;
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs)?;
        let mut ports = Vec::new();
        let mut orchestrators = Vec::new();
        for number in 0..ORCHESTRATORS {
            let port = installation::free_port()?;
            let mut variables = orchestrator(&cluster, folder, &token, port, number)?;
            variables.extend(owned(WINDOWS));
            let program = profile.program("kici-orchestrator");
            let mut member =
                Member::new(&format!("orchestrator-{number}"), program, &logs, variables);
            member.start()?;
            ports.push(port);
            orchestrators.push(member);
        }
        let targets: Vec<SocketAddr> =
            ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let delivery_lines = targets
            .iter()
            .map(|target| Ok(Arc::new(handle.block_on(Proxy::start(vec![*target]))?)))
            .collect::<Result<Vec<_>>>()?;
        let admin = Admin { ports, token, program: profile.program("kici-admin") };
        for port in &admin.ports {
            wait_ready(handle, *port).with_context(|| format!("logs are in {}", logs.display()))?;
        }

        let token = admin.command(&["agent", "register"])?;
        let token = token["token"].as_str().context("`agent register` gave no token")?.to_owned();
        let mut agents = Vec::new();
        let mut agent_lines = Vec::new();
        for number in 0..AGENTS {
            // Each begins with another orchestrator.
            let mut targets = targets.clone();
            targets.rotate_left(number % ORCHESTRATORS);
            let line = Arc::new(handle.block_on(Proxy::start(targets))?);
            let port = installation::free_port()?;
            let variables = agent(folder, &token, line.port(), port, number)?;
            let program = profile.program("kici-agent");
            let mut member = Member::new(&format!("agent-{number}"), program, &logs, variables);
            member.start()?;
            wait_ready(handle, port).with_context(|| format!("logs are in {}", logs.display()))?;
            agents.push(member);
            agent_lines.push(line);
        }
        Ok(Self { agents, orchestrators, agent_lines, delivery_lines, cluster, admin })
    }

    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The tables, read past all orchestrators.
    pub(super) fn tables(&self) -> Tables {
        Tables::new(&self.cluster, DATABASE)
    }

    /// Ends that nobody ordered.
    pub(super) fn surprises(&self) -> Vec<String> {
        let members = self.orchestrators.iter().chain(&self.agents);
        members.flat_map(|member| member.surprises().iter().cloned()).collect()
    }
}

impl Admin {
    /// Runs `kici-admin … --json` against the first orchestrator.
    pub(super) fn command(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        installation::without_our_variables(&mut command);
        let command = command
            .env("KICI_ADMIN_URL", format!("http://127.0.0.1:{}", self.ports[0]))
            .env("KICI_ADMIN_TOKEN", &self.token)
            .args(arguments)
            .arg("--json");
        Ok(serde_json::from_str(&crate::shell::output(command)?)?)
    }

    /// Reads from one orchestrator.
    pub(super) async fn get(&self, number: usize, path: &str) -> Result<Answer> {
        http::request(self.ports[number], "GET", path, &self.head(), "").await
    }

    /// Asks one orchestrator for something.
    pub(super) async fn post(&self, number: usize, path: &str, body: &Value) -> Result<Answer> {
        http::request(self.ports[number], "POST", path, &self.head(), &body.to_string()).await
    }

    fn head(&self) -> String {
        format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", self.token)
    }
}

fn orchestrator(
    cluster: &Cluster,
    folder: &Path,
    token: &str,
    port: u16,
    number: usize,
) -> Result<Vec<(String, String)>> {
    let storage = text(&folder.join("storage"))?;
    let data = text(&folder.join(format!("orchestrator-{number}")))?;
    let (port, url) = (port.to_string(), cluster.url(DATABASE));
    let name = format!("orchestrator-{number}");
    Ok(owned(&[
        ("KICI_MODE", "independent"),
        ("KICI_PORT", &port),
        ("KICI_LISTEN_ADDRESS", "127.0.0.1"),
        ("KICI_DATABASE_URL", &url),
        ("KICI_SECRET_KEY", token),
        ("KICI_BOOTSTRAP_ADMIN_TOKEN", token),
        ("KICI_CLUSTER_INSTANCE_ID", &name),
        ("KICI_DATA_DIR", &data),
        ("KICI_STORAGE_TYPE", "filesystem"),
        ("KICI_STORAGE_FS_PATH", &storage),
        ("KICI_LOG_LEVEL", "debug"),
    ]))
}

fn agent(
    folder: &Path,
    token: &str,
    line: u16,
    port: u16,
    number: usize,
) -> Result<Vec<(String, String)>> {
    let data = text(&folder.join(format!("agent-{number}")))?;
    let (url, name) = (format!("ws://127.0.0.1:{line}/ws"), format!("chaos-{number}"));
    // Its name tells steps on which agent they are.
    let scratch = folder.join("tmp").join(&name);
    std::fs::create_dir_all(&scratch)?;
    let (scratch, port) = (text(&scratch)?, port.to_string());
    Ok(owned(&[
        ("KICI_ORCHESTRATOR_URL", &url),
        ("KICI_AGENT_ID", &name),
        ("KICI_AGENT_TOKEN", token),
        ("KICI_LABELS", "chaos"),
        ("KICI_PORT", &port),
        ("KICI_DATA_DIR", &data),
        ("KICI_JOB_HEARTBEAT_INTERVAL_MS", "2000"),
        ("KICI_AGENT_SHUTDOWN_GRACE_MS", "2000"),
        ("KICI_LOG_LEVEL", "debug"),
        ("TMPDIR", &scratch),
    ]))
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn text(path: &Path) -> Result<String> {
    Ok(path.to_str().context("the target folder's path is not UTF-8")?.to_owned())
}

fn wait_ready(handle: &Handle, port: u16) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let answer = handle.block_on(http::request(port, "GET", "/ready", "", ""));
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(()),
            _ if Instant::now() > deadline => {
                bail!("the program at port {port} was not ready within {START_LIMIT:?}")
            }
            _ => std::thread::park_timeout(POLL),
        }
    }
}
