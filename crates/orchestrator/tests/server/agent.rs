//! An agent that does what a test says, over a real socket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uuid::Uuid;

use crate::env::LIMIT;

/// See the module.
pub(crate) struct FakeAgent {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) id: String,
    /// What the orchestrator has said to be stored: message ids, and `<job> <seq>` of logs.
    pub(crate) acked: Vec<String>,
}

/// A dispatch that came.
#[derive(Debug, Clone)]
pub(crate) struct Dispatched {
    pub(crate) run: String,
    pub(crate) job: String,
    pub(crate) message: Value,
}

impl Dispatched {
    /// Expanded name of the job.
    pub(crate) fn name(&self) -> &str {
        self.message["jobConfig"]["name"].as_str().unwrap()
    }

    /// What the job is made of.
    pub(crate) fn config(&self) -> &Value {
        &self.message["jobConfig"]
    }
}

impl FakeAgent {
    /// Connects without saying anything.
    pub(crate) async fn connect(port: u16, id: &str) -> FakeAgent {
        let (socket, _) = connect_async(format!("ws://127.0.0.1:{port}/ws")).await.unwrap();
        FakeAgent { socket, id: id.to_owned(), acked: Vec::new() }
    }

    /// Connects and registers with nothing in flight.
    pub(crate) async fn ready(port: u16, id: &str, labels: &[&str]) -> FakeAgent {
        FakeAgent::back(port, id, labels, &[]).await
    }

    /// Connects and registers with these jobs in flight.
    pub(crate) async fn back(
        port: u16,
        id: &str,
        labels: &[&str],
        holding: &[&Dispatched],
    ) -> FakeAgent {
        let mut agent = FakeAgent::connect(port, id).await;
        agent.register(labels, holding).await;
        let ack = agent.next().await;
        assert_eq!(ack["type"], "register.ack", "{ack}");
        agent
    }

    /// Connects and registers with nothing in flight, from a host of this name.
    pub(crate) async fn on_host(port: u16, id: &str, host: &str, labels: &[&str]) -> FakeAgent {
        let mut agent = FakeAgent::connect(port, id).await;
        let facts = json!({"hostname": host, "platform": "linux", "arch": "x64"});
        agent.register_with(labels, &[], facts).await;
        let ack = agent.next().await;
        assert_eq!(ack["type"], "register.ack", "{ack}");
        agent
    }

    /// The same as [`FakeAgent::back`] for an agent that keeps what is not acknowledged.
    pub(crate) async fn keeper(port: u16, id: &str, holding: &[&Dispatched]) -> FakeAgent {
        let mut agent = FakeAgent::connect(port, id).await;
        agent.register_with(&["linux"], holding, json!({"features": ["ack"]})).await;
        let ack = agent.next().await;
        assert_eq!(ack["type"], "register.ack", "{ack}");
        assert!(ack["features"].as_array().unwrap().contains(&json!("ack")));
        agent
    }

    pub(crate) async fn register(&mut self, labels: &[&str], holding: &[&Dispatched]) {
        self.register_with(labels, holding, json!({})).await;
    }

    async fn register_with(&mut self, labels: &[&str], holding: &[&Dispatched], more: Value) {
        let holding: Vec<Value> =
            holding.iter().map(|job| json!({"jobId": job.job, "runId": job.run})).collect();
        let mut message = json!({
            "type": "agent.register", "messageId": format!("register-{}", self.id), "agentId": self.id,
            "labels": labels, "inFlightJobs": holding, "version": "test",
        });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.say(message).await;
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        self.hear().await.unwrap_or_else(|close| panic!("the socket was closed: {close:?}"))
    }

    /// The next message, or the close frame's code and reason.
    pub(crate) async fn hear(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let frame =
                timeout(LIMIT, self.socket.next()).await.expect("the orchestrator says something");
            match frame {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] != "ack" {
                        return Ok(message);
                    }
                    self.note(&message);
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err((1006, format!("{other:?}"))),
            }
        }
    }

    fn note(&mut self, ack: &Value) {
        let list = |key: &str| ack[key].as_array().cloned().unwrap_or_default();
        self.acked.extend(list("messageIds").iter().map(|id| id.as_str().unwrap().to_owned()));
        let stored = list("logs");
        let stored =
            stored.iter().map(|log| format!("{} {}", log["jobId"].as_str().unwrap(), log["seq"]));
        self.acked.extend(stored);
    }

    /// Waits until all of these are acknowledged. Nothing else may come but orders to stop a job that has ended.
    pub(crate) async fn told(&mut self, wanted: &[&str]) {
        while !wanted.iter().all(|id| self.acked.iter().any(|acked| acked == id)) {
            let frame = timeout(LIMIT, self.socket.next()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{wanted:?} of {:?}", self.acked));
            match frame {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    assert!(
                        message["type"] == "ack" || message["type"] == "job.cancel",
                        "{message}"
                    );
                    self.note(&message);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the close frame, whatever comes before.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Err(close) = self.hear().await {
                return close;
            }
        }
    }

    /// The next job.
    pub(crate) async fn take(&mut self) -> Dispatched {
        let message = self.next().await;
        assert_eq!(message["type"], "job.dispatch", "{message}");
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        Dispatched { run: text("runId"), job: text("jobId"), message: message.clone() }
    }

    /// Nothing comes within this time.
    pub(crate) async fn hears_nothing(&mut self, within: Duration) {
        if let Ok(Some(Ok(Message::Text(text)))) = timeout(within, self.socket.next()).await {
            panic!("did not expect {text}");
        }
    }

    /// Says something about a job.
    pub(crate) async fn about(&mut self, kind: &str, job: &Dispatched, more: Value) {
        let mut message = Map::new();
        message.insert("type".into(), kind.into());
        message.insert("messageId".into(), Uuid::new_v4().to_string().into());
        message.insert("runId".into(), job.run.clone().into());
        message.insert("jobId".into(), job.job.clone().into());
        message.insert("timestamp".into(), 1_700_000_000_000_i64.into());
        message.extend(more.as_object().unwrap().clone());
        self.say(Value::Object(message)).await;
    }

    /// Acknowledges and starts.
    pub(crate) async fn start(&mut self, job: &Dispatched) {
        self.about("job.ack", job, json!({})).await;
        self.about("job.status", job, json!({"state": "running"})).await;
    }

    pub(crate) async fn step(&mut self, job: &Dispatched, state: &str, data: Value) {
        let step = json!({"stepIndex": 0, "stepName": "s", "state": state, "data": data});
        self.about("step.status", job, step).await;
    }

    pub(crate) async fn log(&mut self, job: &Dispatched, lines: &[&str]) {
        self.about("log.chunk", job, json!({"stepIndex": 0, "lines": lines})).await;
    }

    /// A numbered log message with one line.
    pub(crate) async fn log_numbered(&mut self, job: &Dispatched, seq: u64, line: &str) {
        let chunk =
            json!({"messageId": format!("log-{seq}"), "stepIndex": 0, "lines": [line], "seq": seq});
        self.about("log.chunk", job, chunk).await;
    }

    pub(crate) async fn end(&mut self, job: &Dispatched, state: &str, data: Value) {
        self.about("job.status", job, json!({"state": state, "data": data})).await;
    }

    /// Takes the next job and ends it at once.
    pub(crate) async fn run(&mut self, name: &str, state: &str, data: Value) -> Dispatched {
        let job = self.take().await;
        assert_eq!(job.name(), name);
        self.start(&job).await;
        self.end(&job, state, data).await;
        job
    }

    /// Goes without a word.
    pub(crate) fn vanish(self) {
        drop(self.socket);
    }
}
