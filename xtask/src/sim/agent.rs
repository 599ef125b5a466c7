//! One simulated agent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Counts;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How often an agent says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The pause before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long an answer to authentication or registration may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Small: there are ten thousand of them.
const BUFFER: usize = 4 * 1024;

/// See the module.
pub(super) struct Agent {
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) id: String,
    pub(super) labels: Arc<[String]>,
    pub(super) gate: Arc<Semaphore>,
    pub(super) counts: Arc<Counts>,
    /// How long a job takes.
    pub(super) length: Duration,
}

/// What an agent has to know of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    job_id: String,
}

impl Agent {
    /// Connects again and again until the process ends.
    pub(super) async fn run(self) {
        loop {
            match self.enter().await {
                Ok(socket) => {
                    self.counts.registered.fetch_add(1, Ordering::Relaxed);
                    let ended = self.work(socket).await;
                    self.counts.registered.fetch_sub(1, Ordering::Relaxed);
                    self.counts.lost.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = ended {
                        eprintln!("{}: {error:#}", self.id);
                    }
                }
                Err(error) => eprintln!("{}: {error:#}", self.id),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Connects, authenticates and registers.
    async fn enter(&self) -> Result<Socket> {
        let _turn = self.gate.acquire().await.context("the gate is never closed")?;
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let (mut socket, _) = connect_async_with_config(&self.url, Some(config), true)
            .await
            .with_context(|| format!("could not connect to {}", self.url))?;
        if let Some(token) = &self.token {
            say(&mut socket, json!({"type": "auth.request", "token": token, "protocolVersion": 1}))
                .await?;
            expect(&mut socket, "auth.success").await?;
        }
        let labels: &[String] = &self.labels;
        say(
            &mut socket,
            json!({"type": "agent.register", "messageId": format!("register-{}", self.id), "agentId": self.id,
                   "labels": labels, "platform": "linux", "arch": "x64", "version": "sim"}),
        )
        .await?;
        expect(&mut socket, "register.ack").await?;
        Ok(socket)
    }

    /// Answers jobs until the connection ends.
    async fn work(&self, mut socket: Socket) -> Result<()> {
        let mut beats = tokio::time::interval(HEARTBEAT);
        beats.reset();
        let mut number: u64 = 0;
        loop {
            let heard = tokio::select! {
                heard = hear(&mut socket) => heard?,
                _ = beats.tick() => {
                    say(&mut socket, json!({"type": "heartbeat", "timestamp": 0})).await?;
                    continue;
                }
            };
            if heard.kind != "job.dispatch" {
                continue;
            }
            number += 1;
            self.job(&mut socket, &heard, number).await?;
            self.counts.jobs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything that an agent says of a trivial job, in one go if it takes no time.
    async fn job(&self, socket: &mut Socket, job: &Heard, number: u64) -> Result<()> {
        let about = |kind: &str, what: &str, more: Value| {
            let mut message = json!({
                "type": kind, "messageId": format!("{}-{number}-{what}", self.id), "runId": job.run_id,
                "jobId": job.job_id, "timestamp": 0,
            });
            if let (Some(message), Value::Object(more)) = (message.as_object_mut(), more) {
                message.extend(more);
            }
            Message::text(message.to_string())
        };
        let done = json!({"state": "success", "data": {"durationMs": 0, "stepResults": []}});
        socket.feed(about("job.ack", "ack", json!({}))).await?;
        socket.feed(about("job.status", "running", json!({"state": "running"}))).await?;
        if !self.length.is_zero() {
            socket.flush().await?;
            tokio::time::sleep(self.length).await;
        }
        socket.feed(about("job.status", "end", done)).await?;
        let free = json!({"type": "agent.status", "messageId": format!("{}-{number}-free", self.id),
                          "agentId": self.id, "activeJobs": 0});
        socket.send(Message::text(free.to_string())).await?;
        Ok(())
    }
}

async fn say(socket: &mut Socket, message: Value) -> Result<()> {
    socket.send(Message::text(message.to_string())).await.context("the orchestrator hung up")
}

/// The next message; pings are answered on the way.
async fn hear(socket: &mut Socket) -> Result<Heard> {
    loop {
        match socket.next().await.context("the orchestrator hung up")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(frame) => bail!("closed: {frame:?}"),
            _ => {}
        }
    }
}

async fn expect(socket: &mut Socket, kind: &str) -> Result<()> {
    let heard = tokio::time::timeout(PATIENCE, hear(socket)).await.context("no answer")??;
    if heard.kind == kind { Ok(()) } else { bail!("expected {kind}, heard {}", heard.kind) }
}
