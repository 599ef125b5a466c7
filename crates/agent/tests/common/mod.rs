//! An orchestrator and a job process that do what a test says, over real sockets and pipes.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod real;
pub mod script;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use kici_agent::{Config, Exit, Launcher, Signal};
use kici_protocol::agent::{FromAgent, Parsed};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// For anything that should happen soon, on a loaded machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Listens for agents.
pub struct Orchestrator {
    listener: TcpListener,
}

/// One connection of an agent.
pub struct Link {
    socket: WebSocketStream<TcpStream>,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl Orchestrator {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.listener.local_addr().unwrap())
    }

    /// The next connection.
    pub async fn accept(&self) -> Link {
        let (stream, _) =
            timeout(SOON, self.listener.accept()).await.expect("the agent connects").unwrap();
        Link { socket: tokio_tungstenite::accept_async(stream).await.unwrap() }
    }

    /// The next connection, greeted and registered; also gives the registration.
    pub async fn accept_registered(&self) -> (Link, Value) {
        let mut link = self.accept().await;
        let registration = link.greet().await;
        (link, registration)
    }

    /// Whether nobody connects for that long.
    pub async fn is_left_alone(&self, how_long: Duration) -> bool {
        timeout(how_long, self.listener.accept()).await.is_err()
    }
}

impl Link {
    /// Authentication and registration; gives the registration.
    pub async fn greet(&mut self) -> Value {
        self.greet_with(json!({})).await
    }

    /// The same with more fields in `register.ack`.
    pub async fn greet_with(&mut self, more: Value) -> Value {
        let auth = self.next().await;
        assert_eq!(auth["type"], "auth.request", "{auth}");
        self.send(json!({ "type": "auth.success", "connectionId": "c" })).await;
        let registration = self.next().await;
        assert_eq!(registration["type"], "agent.register", "{registration}");
        let mut ack = json!({
            "type": "register.ack", "agentId": registration["agentId"],
            "labels": registration["labels"], "scalerManaged": false,
        });
        for (key, value) in more.as_object().unwrap() {
            ack[key] = value.clone();
        }
        self.send(ack).await;
        registration
    }

    pub async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message, which has to be valid.
    pub async fn next(&mut self) -> Value {
        match self.event().await {
            Ok(message) => message,
            Err(closed) => panic!("the agent closed: {closed:?}"),
        }
    }

    /// The next message or the close.
    pub async fn event(&mut self) -> Result<Value, Closed> {
        // Around the whole loop, because pings come all the time.
        timeout(SOON, self.event_at_any_time()).await.expect("the agent says something")
    }

    async fn event_at_any_time(&mut self) -> Result<Value, Closed> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    match FromAgent::parse(&text) {
                        Ok(Parsed::Known(_)) => {}
                        other => panic!("the agent sent {text}: {other:?}"),
                    }
                    return Ok(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.expect("a close frame with a code");
                    let closed =
                        Closed { code: frame.code.into(), reason: frame.reason.to_string() };
                    return Err(closed);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Closed { code: 1006, reason: String::new() }),
            }
        }
    }

    /// Messages up to and including the first that is wanted.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut messages = Vec::new();
        let deadline = Instant::now() + SOON;
        loop {
            let message = self.next().await;
            assert!(Instant::now() < deadline, "the agent only said {messages:#?}");
            let found = wanted(&message);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    /// The next message of a type, skipping others.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        self.until(|message| message["type"] == kind).await.pop().unwrap()
    }

    /// Everything of a job up to its `agent.status`.
    pub async fn whole_job(&mut self) -> Vec<Value> {
        self.until(|message| message["type"] == "agent.status").await
    }

    /// Messages until the close, and the close.
    pub async fn until_close(&mut self) -> (Vec<Value>, Closed) {
        let mut messages = Vec::new();
        loop {
            match self.event().await {
                Ok(message) => messages.push(message),
                Err(closed) => return (messages, closed),
            }
        }
    }

    pub async fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        // The other side answers; whether it says more before does not matter.
        let _ =
            timeout(SOON, async { while self.socket.next().await.is_some_and(|f| f.is_ok()) {} })
                .await;
    }
}

/// An agent in this process.
pub struct Agent {
    task: JoinHandle<Exit>,
    signals: mpsc::Sender<Signal>,
    pub health: String,
    _data: tempfile::TempDir,
}

impl Agent {
    /// Starts an agent whose jobs run a shell script.
    pub async fn start(orchestrator: &Orchestrator, script: &str) -> Self {
        Self::start_with(orchestrator, script, &[]).await
    }

    /// The same with more variables.
    pub async fn start_with(
        orchestrator: &Orchestrator,
        script: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let url = orchestrator.url();
        let vars = [
            ("KICI_ORCHESTRATOR_URL", url.as_str()),
            ("KICI_AGENT_ID", "a1"),
            ("KICI_AGENT_TOKEN", "kat_secret"),
            ("KICI_LABELS", "linux"),
            ("KICI_PORT", "0"),
            ("KICI_DATA_DIR", data.path().to_str().unwrap()),
            ("KICI_AGENT_WARM_PROCESS", "false"),
        ];
        let config = Config::read(
            vars.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
        .unwrap();
        let args = ["-c", script].map(OsString::from);
        let prepared =
            kici_agent::prepare(config, Launcher::new("/bin/sh", args, None)).await.unwrap();
        let health = format!("http://127.0.0.1:{}", prepared.address().port());
        let (signals, signals_out) = mpsc::channel(4);
        let task = tokio::spawn(prepared.run(signals_out));
        Self { task, signals, health, _data: data }
    }

    pub async fn signal(&self, signal: Signal) {
        self.signals.send(signal).await.unwrap();
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> Exit {
        timeout(SOON, &mut self.task).await.expect("the agent ends").unwrap()
    }

    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Status code and body of a page.
pub async fn get(base: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A dispatch of a job that the scripts can pretend to run.
pub fn dispatch(job: &str) -> Value {
    json!({
        "type": "job.dispatch", "messageId": "d", "runId": "run-1", "jobId": job,
        "repoUrl": "file:///nowhere", "ref": "main", "sha": "abc", "lockFileUrl": "",
        "timestamp": 1, "jobConfig": {
            "workflowName": "w", "name": "build", "baseJobName": "build",
            "source": { "file": ".kici/workflows/w.ts", "export": "#default" },
        },
    })
}

/// All log lines of a step, in order.
pub fn lines_of(messages: &[Value], step: i64) -> Vec<String> {
    messages
        .iter()
        .filter(|message| message["type"] == "log.chunk" && message["stepIndex"] == step)
        .flat_map(|message| message["lines"].as_array().unwrap())
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

/// The states that a job went through.
pub fn job_states(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .filter(|message| message["type"] == "job.status")
        .map(|message| message["state"].as_str().unwrap())
        .collect()
}

/// The terminal status.
pub fn terminal(messages: &[Value]) -> &Value {
    messages
        .iter()
        .find(|message| {
            message["type"] == "job.status"
                && ["success", "failed", "cancelled"].contains(&message["state"].as_str().unwrap())
        })
        .expect("a terminal job.status")
}
