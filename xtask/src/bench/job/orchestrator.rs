//! The orchestrator's side of the agent link, just enough to hand out jobs one by one.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use kici_protocol::agent::{
    AuthSuccess, FromAgent, JobConfig, JobDispatch, JobState, JobStatus, Parsed, RegisterAck,
    ToAgent,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// What the agent presents; any token is accepted.
pub(super) const TOKEN: &str =
    "kat_0000000000000000000000000000000000000000000000000000000000000000";

/// How long any single answer of the agent may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job to hand out again and again.
pub(super) struct Dispatch {
    template: JobDispatch,
}

impl Dispatch {
    /// The first job of the first workflow in a repository's lock file.
    pub(super) fn from_lock(repository: &Path, sha: &str) -> Result<Self> {
        let path = repository.join(".kici/kici.lock.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let lock: Value = serde_json::from_str(&text)?;
        let workflow = &lock["workflows"][0];
        let job = &workflow["jobs"][0];
        let config: JobConfig = serde_json::from_value(json!({
            "workflowName": workflow["name"],
            "name": job["name"],
            "baseJobName": job["name"],
            "source": workflow["source"],
            "contentHash": workflow["contentHash"],
            "steps": job["steps"],
            "provider": "local",
            "event": {
                "type": "push", "targetBranch": "main", "sourceBranch": "main",
                "payload": { "ref": "refs/heads/main", "after": sha },
            },
        }))?;
        let template = JobDispatch {
            repo_url: format!("file://{}", repository.display()),
            reference: "main".into(),
            sha: sha.into(),
            job_config: config,
            ..JobDispatch::default()
        };
        Ok(Self { template })
    }

    fn with_ids(&self, name: &str) -> JobDispatch {
        JobDispatch {
            message_id: format!("dispatch {name}"),
            run_id: format!("run {name}"),
            job_id: format!("job {name}"),
            timestamp: now_ms(),
            ..self.template.clone()
        }
    }
}

/// Waits for an agent.
pub(super) struct Listening {
    listener: TcpListener,
    url: String,
}

/// Has an agent.
pub(super) struct Orchestrator {
    socket: WebSocketStream<TcpStream>,
}

impl Orchestrator {
    pub(super) async fn listen() -> Result<Listening> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("ws://{}/ws", listener.local_addr()?);
        Ok(Listening { listener, url })
    }

    /// Hands out a job and gives the time until its terminal status has arrived.
    pub(super) async fn run_job(&mut self, dispatch: &Dispatch, name: &str) -> Result<Duration> {
        let message = ToAgent::JobDispatch(Box::new(dispatch.with_ids(name)));
        let started = Instant::now();
        self.send(&message).await?;
        let took = loop {
            match self.receive().await? {
                FromAgent::JobStatus(status) if status.state.is_terminal() => {
                    expect_success(&status)?;
                    break started.elapsed();
                }
                FromAgent::JobReject(reject) => bail!("the agent refused {name}: {reject:?}"),
                _ => {}
            }
        };
        // The agent is free again only when it says so.
        while !matches!(self.receive().await?, FromAgent::AgentStatus(status) if status.active_jobs == 0)
        {
        }
        Ok(took)
    }

    async fn send(&mut self, message: &ToAgent) -> Result<()> {
        self.socket.send(Message::text(message.to_text())).await.context("the agent hung up")
    }

    async fn receive(&mut self) -> Result<FromAgent> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .with_context(|| format!("the agent said nothing for {PATIENCE:?}"))?
                .context("the agent hung up")??;
            let Message::Text(text) = frame else { continue };
            match FromAgent::parse(text.as_str())? {
                Parsed::Known(message) => return Ok(message),
                Parsed::Unknown { kind } => eprintln!("the agent sent an unknown {kind}"),
            }
        }
    }
}

impl Listening {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Takes the agent's connection through authentication and registration.
    pub(super) async fn accept(self) -> Result<Orchestrator> {
        let (stream, _) = tokio::time::timeout(PATIENCE, self.listener.accept())
            .await
            .context("the agent did not connect")??;
        stream.set_nodelay(true)?;
        let socket = tokio_tungstenite::accept_async(stream).await?;
        let mut orchestrator = Orchestrator { socket };
        loop {
            match orchestrator.receive().await? {
                FromAgent::AuthRequest(_) => {
                    let connection_id = "bench".to_owned();
                    orchestrator.send(&ToAgent::AuthSuccess(AuthSuccess { connection_id })).await?;
                }
                FromAgent::Register(register) => {
                    let ack = RegisterAck {
                        agent_id: register.agent_id,
                        labels: register.labels,
                        features: [RegisterAck::NO_RATE_LIMIT, RegisterAck::RECONCILED]
                            .map(str::to_owned)
                            .into(),
                        ..RegisterAck::default()
                    };
                    orchestrator.send(&ToAgent::RegisterAck(ack)).await?;
                    return Ok(orchestrator);
                }
                other => bail!("the agent sent {} before it was registered", other.kind()),
            }
        }
    }
}

fn expect_success(status: &JobStatus) -> Result<()> {
    if status.state == JobState::Success {
        return Ok(());
    }
    let data = status.data.clone().map(Value::Object).unwrap_or_default();
    bail!("the job ended as {:?}: {data}", status.state)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
