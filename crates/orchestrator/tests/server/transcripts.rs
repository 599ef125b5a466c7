//! Recorded conversations of the TypeScript implementation, with their agent's side played against our orchestrator.
//!
//! Every message of the recorded orchestrator has to come from ours, on the same connection, in the same order, with
//! the same fields and the ids of the request. What is different on purpose is listed with each scenario; a
//! recording that is not played is listed with the reason. Build jobs, which archive sources for later jobs, are left
//! out of all recordings: our agents check out by themselves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use kici_testkit::wait_until;
use serde_json::{Map, Value, json};

use crate::agent::{Dispatched, FakeAgent};
use crate::env::{Env, LIMIT, job};

/// A recording and what is different with us.
struct Scenario {
    name: &'static str,
    /// The labels of the token; any without.
    scope: &'static [&'static str],
    /// Types of messages (or `close`) that ours does not send, and why.
    without: &'static [(&'static str, &'static str)],
    /// Request ids whose answer is another, and why.
    answered: &'static [(&'static str, &'static str)],
}

const fn same(name: &'static str) -> Scenario {
    Scenario { name, scope: &[], without: &[], answered: &[] }
}

const PLAYED: &[Scenario] = &[
    same("connect-register"),
    same("heartbeat-and-metrics"),
    same("auth-bad-token"),
    same("auth-first-message-wrong"),
    same("auth-timeout"),
    same("register-timeout"),
    same("register-privileged-root-violation"),
    Scenario { scope: &["linux", "x64"], ..same("register-label-scope-violation") },
    same("re-register"),
    same("token-revoked"),
    same("ownership-violation"),
    Scenario {
        without: &[("close", "an unknown type is answered, and the connection stays open")],
        ..same("invalid-message")
    },
    Scenario {
        answered: &[("r3", "hosts cannot be rebooted yet: an unknown method")],
        ..same("agent-api")
    },
    same("success"),
    same("failure"),
    same("job-heartbeat"),
    same("cancel-graceful"),
    same("cancel-force"),
    same("agent-drain"),
    same("network-cut-reconnect"),
    Scenario {
        without: &[("rate.limit.warning", "nothing is dropped: the socket is read more slowly")],
        ..same("log-flood-rate-limit")
    },
];

/// Recordings that are not played, and why.
const NOT_PLAYED: &[(&str, &str)] = &[
    (
        "agent-sigterm-midjob",
        "about the agent: the orchestrator only sees a lost connection, as in agent-kill9-midjob",
    ),
    (
        "agent-kill9-midjob",
        "a job that its agent lost ends when the agent is back, not 120 s later: see `reconnect`",
    ),
    (
        "cache-build-upload-and-save",
        "there are no build jobs; caches are answered as missing, see `agents::answers`",
    ),
    ("cache-restore-hit", "there is no storage for caches yet"),
    (
        "cancel-while-agent-offline",
        "shows a cancel that is forgotten; ours is told when the agent registers: see `cluster`",
    ),
    (
        "concurrency-wait",
        "shows a wake-up that the agent cannot take; groups wait in the queue with us",
    ),
    ("dispatch-ack-timeout", "takes 10 s of waiting; played with a shorter deadline in `agents`"),
    (
        "dynamic-init-build-and-reject-busy",
        "shows two dispatches for one place, which a claim rules out",
    ),
    (
        "false-ack-timeout-of-acked-job",
        "shows a job cancelled that was acknowledged; ruled out in `agents`",
    ),
    ("fleet-logs", "starts with an operator's request for log bundles, which there is not yet"),
    (
        "hooks-parallel-emit-api",
        "needs storage for caches and internal events for its order of answers",
    ),
    (
        "job-finishes-while-offline",
        "shows an end that is lost; ours is taken: see `reconnect` and `acks`",
    ),
    (
        "needs-cold-source-cache",
        "there are no build jobs; its second half is needs-outputs-and-secret-outputs",
    ),
    (
        "needs-outputs-and-secret-outputs",
        "secret outputs are not carried yet; plain ones in `needs`",
    ),
    (
        "orchestrator-graceful-restart-midjob",
        "shows a running job that is lost; ours goes on: see `reconnect`",
    ),
    (
        "orchestrator-kill9-midjob",
        "shows a running job that is lost; ours goes on: see `acks` and `cluster`",
    ),
    ("orchestrator-restart-idle", "about the agent: its pauses between attempts"),
    ("reject-exhausts-attempts", "shows five dispatches in 30 ms; ours pause, see `agents`"),
    ("step-approval-unavailable", "approvals are available here: see the tests of held runs"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/fixtures/agent-protocol")
}

#[test]
fn every_recording_is_played_or_says_why_not() {
    let mut known: Vec<&str> = PLAYED.iter().map(|scenario| scenario.name).collect();
    known.extend(NOT_PLAYED.iter().map(|(name, _)| *name));
    known.sort_unstable();
    let mut tests: Vec<String> = TESTS.iter().map(|name| name.replace('_', "-")).collect();
    let mut played: Vec<&str> = PLAYED.iter().map(|scenario| scenario.name).collect();
    tests.sort_unstable();
    played.sort_unstable();
    assert_eq!(tests, played);
    let mut there: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|file| {
            Some(file.unwrap().file_name().to_str()?.strip_suffix(".jsonl")?.to_owned())
        })
        .collect();
    there.sort_unstable();
    assert_eq!(known, there);
}

macro_rules! played {
    ($($name:ident)*) => {
        /// One test for each, named as the recording.
        const TESTS: &[&str] = &[$(stringify!($name)),*];

        $(#[tokio::test]
        async fn $name() {
            let name = stringify!($name).replace('_', "-");
            let scenario = PLAYED.iter().find(|scenario| scenario.name == name).unwrap();
            Replay::new(scenario).await.play().await;
        })*
    };
}

played! {
    agent_api agent_drain auth_bad_token auth_first_message_wrong auth_timeout cancel_force cancel_graceful
    connect_register failure heartbeat_and_metrics invalid_message job_heartbeat log_flood_rate_limit
    network_cut_reconnect ownership_violation re_register register_label_scope_violation
    register_privileged_root_violation register_timeout success token_revoked
}

struct Replay<'a> {
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
}

impl<'a> Replay<'a> {
    async fn new(scenario: &'a Scenario) -> Replay<'a> {
        let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
        let made = env.admin_post("/api/v1/agent-tokens", &json!({"labels": scenario.scope})).await;
        let made: Value = made.json().await.unwrap();
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
        }
    }

    async fn play(mut self) {
        for (number, line) in self.lines.clone().iter().enumerate() {
            let at = format!("{}:{}", self.scenario.name, number + 1);
            let Some(connection) = line["conn"].as_i64() else { continue };
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
        for (job, state) in &self.ends {
            self.ended(job, state).await;
        }
        self.env.stop().await;
    }

    async fn open(&mut self, connection: i64) {
        let agent = FakeAgent::connect(self.env.port(), "a1").await;
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
            "job.cancel" => self.cancel(recorded).await,
            "auth.failure" if recorded["reason"] == "Token revoked" => self.revoke().await,
            _ => {}
        }
        let heard = match self.on(connection).await.hear().await {
            Ok(heard) => heard,
            Err(close) => panic!("{at}: closed with {close:?} instead of {recorded}"),
        };
        assert_eq!(heard["type"], recorded["type"], "{at}: {heard}");
        let mut wanted = recorded.clone();
        self.rename(&mut wanted);
        for id in ["requestId", "runId", "jobId"] {
            assert_eq!(heard.get(id), wanted.get(id), "{at}: {heard}");
        }
        if self.scenario.answered.iter().any(|(id, _)| wanted["requestId"] == *id) {
            return;
        }
        same_shape(&wanted, &heard, at);
        for text in ["reason", "code", "agentId", "labels", "error", "hit", "skip", "force"] {
            assert_eq!(heard.get(text), wanted.get(text), "{at}: {heard}");
        }
    }

    async fn closed(&mut self, connection: i64, line: &Value, at: &str) {
        if self.scenario.without.iter().any(|(without, _)| *without == "close") {
            return;
        }
        let mut agent = self.connections.remove(&connection).unwrap();
        if line["code"] == 1006 {
            // The network was cut: neither side said so.
            return agent.vanish();
        }
        let close = agent.hear().await.expect_err(at);
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
            let names: HashSet<&str> = self
                .lines
                .iter()
                .filter(in_run)
                .filter_map(|line| line["msg"]["jobConfig"]["name"].as_str())
                .collect();
            let jobs: Vec<Value> = names.into_iter().map(|name| job(name, json!({}))).collect();
            let sha = self.env.commit_jobs(json!(jobs));
            assert_eq!(self.env.push(&run, &sha).await.status(), 202);
        }
        let ours = self.on(connection).await.take().await;
        assert_eq!(ours.message["jobConfig"]["name"], recorded["jobConfig"]["name"], "{at}");
        for field in ["messageId", "repoUrl", "ref", "sha", "lockFileUrl", "jobConfig", "timestamp"]
        {
            assert_eq!(kind(&ours.message[field]), kind(&recorded[field]), "{at}: {field}");
        }
        self.jobs.insert(recorded["jobId"].as_str().unwrap().to_owned(), ours);
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
