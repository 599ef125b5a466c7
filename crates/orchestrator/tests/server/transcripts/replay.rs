//! Plays the agent's side of a recording and compares what our orchestrator says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Cursor, Read as _};

use kici_testkit::{Process, wait_until};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use zip::ZipArchive;

use super::{Scenario, folder};
use crate::agent::{Dispatched, FakeAgent};
use crate::crash;
use crate::env::{ADMIN, Env, LIMIT, job, lock};

/// Here the orchestrator is killed: it is the real program.
const KILLED: &str = "orchestrator-kill9-midjob";

pub(super) struct Replay<'a> {
    scenario: &'a Scenario,
    env: Env,
    token: String,
    token_id: String,
    lines: Vec<Value>,
    connections: HashMap<i64, FakeAgent>,
    /// By recorded job.
    jobs: HashMap<String, Dispatched>,
    runs: HashSet<String>,
    /// Recorded build jobs, and what was asked about them.
    left_out: HashSet<String>,
    /// Expected ends by our job.
    ends: BTreeMap<String, String>,
    /// Our jobs by name.
    named: HashMap<String, String>,
    /// Ids of recorded requests of the orchestrator, and ours.
    requests: HashMap<String, String>,
    /// Ids of the agents' messages.
    said: HashSet<String>,
    /// The real program, for a recording in which it is killed.
    process: Option<Process>,
    /// The orchestrator has been stopped.
    away: bool,
    /// A request for log bundles.
    bundle: Option<JoinHandle<Vec<u8>>>,
}

impl<'a> Replay<'a> {
    pub(super) async fn new(scenario: &'a Scenario) -> Replay<'a> {
        let mut env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
        let made = env.admin_post("/api/v1/agent-tokens", &json!({"labels": scenario.scope})).await;
        let made: Value = made.json().await.unwrap();
        let mut process = None;
        if scenario.name == KILLED {
            env.stop().await;
            process = Some(crash::start(&mut env));
        }
        let text = std::fs::read_to_string(folder().join(format!("{}.jsonl", scenario.name)));
        Replay {
            scenario,
            env,
            token: made["token"].as_str().unwrap().to_owned(),
            token_id: made["id"].as_str().unwrap().to_owned(),
            lines: text.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            connections: HashMap::new(),
            jobs: HashMap::new(),
            runs: HashSet::new(),
            left_out: HashSet::new(),
            ends: BTreeMap::new(),
            named: HashMap::new(),
            requests: HashMap::new(),
            said: HashSet::new(),
            process,
            away: false,
            bundle: None,
        }
    }

    pub(super) async fn play(mut self) {
        let refused: HashSet<i64> = self
            .lines
            .iter()
            .filter(|line| line["event"] == "connect-refused")
            .filter_map(|line| line["conn"].as_i64())
            .collect();
        for (number, line) in self.lines.clone().iter().enumerate() {
            let at = format!("{}:{}", self.scenario.name, number + 1);
            let Some(connection) = line["conn"].as_i64() else { continue };
            if refused.contains(&connection) {
                continue;
            }
            // Shown with the failure of a test that waits in vain.
            eprintln!("{at}");
            match (line["dir"].as_str(), line["event"].as_str()) {
                (Some("agent->orch"), Some("open")) => self.open(connection).await,
                (Some("agent->orch"), Some("close")) => drop(self.connections.remove(&connection)),
                (Some("orch->agent"), Some("close")) => self.closed(connection, line, &at).await,
                (Some("agent->orch"), None) => self.say(connection, &line["msg"]).await,
                (Some("orch->agent"), None) => self.hear(connection, &line["msg"], &at).await,
                _ => {}
            }
        }
        if let Some(bundle) = self.bundle.take() {
            let mut zip = ZipArchive::new(Cursor::new(bundle.await.unwrap())).unwrap();
            let mut agents = zip.by_name("agents/a1.zip").unwrap();
            let mut bytes = Vec::new();
            agents.read_to_end(&mut bytes).unwrap();
            assert_eq!(ZipArchive::new(Cursor::new(bytes)).unwrap().len(), 0);
        }
        for (name, state, _) in self.scenario.ends {
            self.ends.insert(self.named[*name].clone(), (*state).to_owned());
        }
        for (job, state) in &self.ends {
            self.ended(job, state).await;
        }
        self.env.stop().await;
    }

    async fn open(&mut self, connection: i64) {
        if std::mem::take(&mut self.away) {
            match &mut self.process {
                Some(process) => *process = crash::start(&mut self.env),
                None => self.env.boot().await,
            }
        }
        let id = format!("a{connection}");
        let agent = FakeAgent::connect(self.env.port(), &id).await;
        self.connections.insert(connection, agent);
    }

    /// The connection, which is opened here when the recording begins after that.
    async fn on(&mut self, connection: i64) -> &mut FakeAgent {
        if !self.connections.contains_key(&connection) {
            self.open(connection).await;
            let auth = json!({"type": "auth.request", "token": self.token, "protocolVersion": 1});
            let agent = self.connections.get_mut(&connection).unwrap();
            agent.say(auth).await;
            assert_eq!(agent.next().await["type"], "auth.success");
            agent.register(&["linux"], &[]).await;
            assert_eq!(agent.next().await["type"], "register.ack");
        }
        self.connections.get_mut(&connection).unwrap()
    }

    async fn say(&mut self, connection: i64, message: &Value) {
        let mut message = message.clone();
        if message["jobId"].as_str().is_some_and(|job| self.left_out.contains(job)) {
            self.left_out.extend(message["messageId"].as_str().map(str::to_owned));
            return;
        }
        if message["type"] == "auth.request" && self.scenario.name != "auth-bad-token" {
            message["token"] = json!(self.token);
        }
        if message["type"] == "job.status"
            && is_end(&message["state"])
            && let Some(job) = self.jobs.get(message["jobId"].as_str().unwrap())
        {
            let state = message["state"].as_str().unwrap().to_owned();
            // The first end counts.
            self.ends.entry(job.job.clone()).or_insert(state);
        }
        self.said.extend(message["messageId"].as_str().map(str::to_owned));
        self.rename(&mut message);
        self.on(connection).await.say(message).await;
    }

    /// Ids of the recording become those of this run.
    fn rename(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                let ours =
                    map.get("jobId").and_then(Value::as_str).and_then(|id| self.jobs.get(id));
                if let Some(ours) = ours {
                    let (run, job) = (json!(ours.run), json!(ours.job));
                    map.insert("runId".into(), run);
                    map.insert("jobId".into(), job);
                }
                let request = map.get("requestId").and_then(Value::as_str);
                if let Some(ours) = request.and_then(|request| self.requests.get(request)) {
                    map.insert("requestId".into(), json!(ours));
                }
                map.values_mut().for_each(|value| self.rename(value));
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.rename(value)),
            _ => {}
        }
    }

    async fn hear(&mut self, connection: i64, recorded: &Value, at: &str) {
        let kind = recorded["type"].as_str().unwrap();
        if self.scenario.without.iter().any(|(without, _)| *without == kind) {
            return;
        }
        if recorded["requestId"].as_str().is_some_and(|id| self.left_out.contains(id)) {
            return;
        }
        match kind {
            "job.dispatch" => return self.dispatched(connection, recorded, at).await,
            // What it does by itself takes no command.
            "job.cancel" if recorded["reason"] == "dispatch ack timeout" => {}
            "job.cancel" => self.cancel(recorded).await,
            "fleet.logs.request" => self.ask_for_bundle(connection).await,
            "auth.failure" if recorded["reason"] == "Token revoked" => self.revoke().await,
            _ => {}
        }
        let heard = match self.on(connection).await.hear().await {
            Ok(heard) => heard,
            Err(close) => panic!("{at}: closed with {close:?} instead of {recorded}"),
        };
        assert_eq!(heard["type"], recorded["type"], "{at}: {heard}");
        assert_eq!(heard.get("action"), recorded.get("action"), "{at}: {heard}");
        if kind == "fleet.logs.request" {
            let id = |message: &Value| message["requestId"].as_str().unwrap().to_owned();
            self.requests.insert(id(recorded), id(&heard));
        }
        let answered = recorded["requestId"]
            .as_str()
            .is_some_and(|id| self.scenario.answered.iter().any(|(other, _)| *other == id));
        if answered && kind == "job.concurrency.ack" {
            assert!(self.said.contains(heard["requestId"].as_str().unwrap()), "{at}: {heard}");
            return;
        }
        let mut wanted = recorded.clone();
        self.rename(&mut wanted);
        for id in ["requestId", "runId", "jobId"] {
            // Ours may name more than the recorded one, not less or others.
            if wanted.get(id).is_some() || id == "requestId" {
                assert_eq!(heard.get(id), wanted.get(id), "{at}: {heard}");
            }
        }
        if answered {
            return;
        }
        same_shape(&wanted, &heard, at);
        let exact = [
            "reason",
            "code",
            "agentId",
            "labels",
            "error",
            "hit",
            "skip",
            "force",
            "logWindowHours",
            "maxBytes",
        ];
        for text in exact {
            assert_eq!(heard.get(text), wanted.get(text), "{at}: {heard}");
        }
    }

    async fn closed(&mut self, connection: i64, line: &Value, at: &str) {
        let stops = line["reason"] == "Server shutting down";
        let killed = line["code"] == 1006 && self.process.is_some();
        if !stops && !killed && self.is_without("close") {
            return;
        }
        if stops {
            self.on(connection).await;
        }
        let mut agent = self.connections.remove(&connection).unwrap();
        if let Some(process) = self.process.as_mut().filter(|_| killed) {
            process.kill();
            self.away = true;
            return agent.vanish();
        }
        if line["code"] == 1006 {
            // The network was cut: neither side said so.
            return agent.vanish();
        }
        self.away = stops;
        let stop = async {
            if stops {
                self.env.stop().await;
            }
        };
        let (close, ()) = tokio::join!(agent.hear(), stop);
        let close = close.expect_err(at);
        let wanted = (line["code"].as_u64().unwrap(), line["reason"].as_str().unwrap().to_owned());
        assert_eq!((u64::from(close.0), close.1), wanted, "{at}");
    }

    /// A job that the recorded orchestrator gave out; ours gets a workflow that has it.
    async fn dispatched(&mut self, connection: i64, recorded: &Value, at: &str) {
        if recorded["jobConfig"]["buildOnly"] == true {
            self.left_out.insert(recorded["jobId"].as_str().unwrap().to_owned());
            return;
        }
        let run = recorded["runId"].as_str().unwrap().to_owned();
        self.on(connection).await;
        if self.runs.insert(run.clone()) {
            let in_run = |line: &&Value| {
                line["msg"]["type"] == "job.dispatch" && line["msg"]["runId"] == run.as_str()
            };
            let configs: BTreeMap<&str, &Value> = self
                .lines
                .iter()
                .filter(in_run)
                .map(|line| &line["msg"]["jobConfig"])
                .filter_map(|config| Some((config["name"].as_str()?, config)))
                .collect();
            let jobs: Vec<Value> = configs
                .into_iter()
                .map(|(name, config)| match config["needs"].as_array() {
                    Some(needs) => job(name, json!({"needs": needs})),
                    None => job(name, json!({})),
                })
                .collect();
            let mut file = lock(json!(jobs));
            if self.lines.iter().any(|line| line["msg"]["type"] == "job.concurrency.report") {
                let policy = json!({"hasGroup": true, "cancelInProgress": false});
                file["workflows"][0]["concurrency"] = policy;
            }
            let sha = self.env.commit_lock(&file.to_string());
            assert_eq!(self.env.push(&run, &sha).await.status(), 202);
        }
        let ours = self.on(connection).await.take().await;
        assert_eq!(ours.message["jobConfig"]["name"], recorded["jobConfig"]["name"], "{at}");
        for field in ["messageId", "repoUrl", "ref", "sha", "lockFileUrl", "jobConfig", "timestamp"]
        {
            assert_eq!(kind(&ours.message[field]), kind(&recorded[field]), "{at}: {field}");
        }
        for field in ["upstreamJobOutputs", "upstreamJobStatuses", "secrets"] {
            if recorded.get(field).is_some() && !self.is_without(field) {
                assert_eq!(ours.message[field], recorded[field], "{at}: {field}");
            }
        }
        self.named.insert(ours.name().to_owned(), ours.job.clone());
        self.jobs.insert(recorded["jobId"].as_str().unwrap().to_owned(), ours);
    }

    fn is_without(&self, what: &str) -> bool {
        self.scenario.without.iter().any(|(without, _)| *without == what)
    }

    /// What made the recorded orchestrator ask for logs.
    async fn ask_for_bundle(&mut self, connection: i64) {
        self.on(connection).await;
        let url = self.env.url("/admin/fleet-bundle");
        let post = self.env.client.post(url).bearer_auth(ADMIN);
        self.bundle = Some(tokio::spawn(async move {
            let response = post.send().await.unwrap();
            assert_eq!(response.status(), 200);
            response.bytes().await.unwrap().to_vec()
        }));
    }

    /// What made the recorded orchestrator cancel.
    async fn cancel(&mut self, recorded: &Value) {
        let job = &self.jobs[recorded["jobId"].as_str().unwrap()];
        let path = format!("/api/v1/admin/runs/{}/cancel", job.run);
        let force = json!({"force": recorded["force"] == true});
        assert_eq!(self.env.admin_post(&path, &force).await.status(), 200);
    }

    async fn revoke(&mut self) {
        let path = self.env.url(&format!("/api/v1/agent-tokens/{}", self.token_id));
        let request = self.env.client.delete(path).bearer_auth(crate::env::ADMIN);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    async fn ended(&self, job: &str, state: &str) {
        wait_until(LIMIT, &format!("{job} to be {state}"), async || {
            let mut shown = Vec::new();
            for run in self.env.runs().await {
                shown.extend(self.env.jobs(&run).await);
            }
            let found = shown.iter().find(|known| known["jobId"] == job);
            match found.map(|found| &found["status"]) {
                Some(status) if status == state => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

fn is_end(state: &Value) -> bool {
    ["success", "failed", "cancelled"].iter().any(|end| state == end)
}

/// Every field of the recorded message is there, with a value of the same kind.
fn same_shape(recorded: &Value, ours: &Value, at: &str) {
    let empty = Map::new();
    for (name, wanted) in recorded.as_object().unwrap_or(&empty) {
        let found = ours.get(name).unwrap_or_else(|| panic!("{at}: {name} is missing in {ours}"));
        assert_eq!(kind(found), kind(wanted), "{at}: {name} in {ours}");
        if wanted.is_object() {
            same_shape(wanted, found, at);
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
