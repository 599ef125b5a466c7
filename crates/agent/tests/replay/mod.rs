//! Plays the orchestrator's side of a recording and compares the agent's.

mod compare;
mod script;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::common::{Agent, Link, Orchestrator, get};
use compare::compare;

/// What our agent does otherwise, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Differs {
    /// It does not run build, init and generator jobs in the recorded way; they are left out.
    NoSpecialJobs,
    /// It has no cache storage yet: cache requests and their timeline events are left out.
    NoCaches,
    /// It says `cancelling` when a graceful cancel begins, which the recorded one does not have.
    SaysCancelling,
    /// It tells what the recorded one lost when the link broke: more messages are right there.
    Cut,
}

/// Their order says nothing: they are sent by the clock, or gathered, or cross a dispatch.
const UNORDERED: &[&str] = &[
    "log.chunk",
    "agent.log",
    "agent.metrics",
    "agent.status",
    "heartbeat",
    "job.heartbeat",
    "config.ack",
];

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/fixtures/agent-protocol")
}

/// Replays a recording; the answer is how many messages were compared.
pub(crate) async fn play(
    name: &'static str,
    connection: Option<u64>,
    differs: &'static [Differs],
) -> usize {
    let lines = read(name);
    let lines = lines.into_iter().filter(|line| {
        connection.is_none_or(|wanted| line["conn"].as_u64().is_none_or(|conn| conn == wanted))
    });
    play_lines(name, lines.collect(), differs).await
}

/// Replays a recording that was changed.
pub(crate) async fn play_changed(name: &str, change: impl Fn(&mut Value)) {
    let mut lines = read(name);
    // The script still says what was recorded.
    let script = lines.clone();
    lines.iter_mut().for_each(change);
    Player::start(name, &script, &[]).await.run(lines).await;
}

fn read(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn play_lines(name: &str, lines: Vec<Value>, differs: &[Differs]) -> usize {
    // Refused attempts to connect are for the agent's patience, not for this test.
    let refused: HashSet<u64> = lines
        .iter()
        .filter(|line| line["event"] == "connect-refused")
        .filter_map(|line| line["conn"].as_u64())
        .collect();
    let left_out = left_out(&lines, differs);
    let lines: Vec<Value> = lines
        .into_iter()
        .filter(|line| !left_out(line))
        .filter(|line| line["conn"].as_u64().is_none_or(|conn| !refused.contains(&conn)))
        .collect();
    Player::start(name, &lines, differs).await.run(lines).await
}

/// Lines that are not replayed.
fn left_out(lines: &[Value], differs: &[Differs]) -> impl Fn(&Value) -> bool + use<> {
    let special: HashSet<String> = lines
        .iter()
        .filter(|line| line["msg"]["type"] == "job.dispatch")
        .filter(|line| {
            let config = &line["msg"]["jobConfig"];
            ["buildOnly", "initOnly", "dynamicJobFn"].iter().any(|flag| config[*flag] == true)
        })
        .map(|line| line["msg"]["jobId"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        special.is_empty() || differs.contains(&Differs::NoSpecialJobs),
        "special jobs have to be named as a difference"
    );
    // Replies to requests that are left out.
    let dropped: HashSet<String> = lines
        .iter()
        .filter(|line| line["msg"]["type"].as_str().is_some_and(|kind| kind.starts_with("cache.")))
        .filter_map(|line| line["msg"]["messageId"].as_str().map(str::to_owned))
        .collect();
    let no_caches = differs.contains(&Differs::NoCaches);
    let status_of_special = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line["msg"]["type"] == "agent.status")
        .filter(|(index, _)| {
            let before = lines[..*index].iter().rev();
            let mut named = before.filter_map(|line| line["msg"]["jobId"].as_str());
            named.next().is_some_and(|job| special.contains(job))
        })
        .map(|(_, line)| line["msg"]["messageId"].as_str().unwrap().to_owned())
        .collect::<HashSet<_>>();
    move |line: &Value| {
        let message = &line["msg"];
        let kind = message["type"].as_str().unwrap_or_default();
        let of_special = message["jobId"].as_str().is_some_and(|job| special.contains(job));
        let status = message["messageId"].as_str().is_some_and(|id| status_of_special.contains(id));
        let cache = kind.starts_with("cache.")
            || message["eventType"].as_str().is_some_and(|kind| kind.starts_with("cache."))
            || message["requestId"].as_str().is_some_and(|id| dropped.contains(id));
        of_special || status || (cache && (no_caches || kind.starts_with("cache.upload")))
    }
}

struct Player {
    name: String,
    differs: Vec<Differs>,
    orchestrator: Orchestrator,
    agent: Agent,
    link: Option<Link>,
    /// Recorded request ids to ours.
    ids: HashMap<String, String>,
    /// Log lines so far, recorded and ours, by job and step.
    recorded_log: BTreeMap<(String, i64), Vec<String>>,
    our_log: BTreeMap<(String, i64), Vec<String>>,
    /// Ours that were read while something else was waited for.
    early: VecDeque<Value>,
    gates: script::Gates,
    compared: usize,
}

impl Player {
    async fn start(name: &str, lines: &[Value], differs: &[Differs]) -> Self {
        let gates = script::Gates::new();
        let script = script::of(lines, &gates);
        let orchestrator = Orchestrator::start().await;
        let agent = Agent::start(&orchestrator, &script).await;
        Self {
            name: name.to_owned(),
            differs: differs.to_vec(),
            orchestrator,
            agent,
            link: None,
            ids: HashMap::new(),
            recorded_log: BTreeMap::new(),
            our_log: BTreeMap::new(),
            early: VecDeque::new(),
            gates,
            compared: 0,
        }
    }

    async fn run(mut self, lines: Vec<Value>) -> usize {
        let begins_connected = lines.first().is_some_and(|line| line["event"] != "open");
        if begins_connected {
            let mut link = self.orchestrator.accept().await;
            link.greet().await;
            self.link = Some(link);
        }
        for line in &lines {
            if line.get("dir").is_none() {
                // A note: only one kind means something to the link.
                if line["note"].as_str().is_some_and(|note| note.contains("goes down")) {
                    self.cut(1006, "").await;
                }
                continue;
            }
            match (line["dir"].as_str().unwrap(), line.get("msg")) {
                ("orch->agent", Some(message)) => self.say(message).await,
                ("agent->orch", Some(message)) => self.hear(message).await,
                ("agent->orch", None) if line["event"] == "open" && self.link.is_none() => {
                    self.link = Some(self.orchestrator.accept().await);
                }
                (_, None) if line["event"] == "close" => {
                    let code = u16::try_from(line["code"].as_u64().unwrap()).unwrap();
                    self.cut(code, line["reason"].as_str().unwrap_or_default()).await;
                }
                _ => {}
            }
        }
        // Also of a job whose end the recording does not have.
        self.catch_up().await;
        self.compared
    }

    async fn say(&mut self, message: &Value) {
        let mut message = message.clone();
        if let Some(id) = message["requestId"].as_str().and_then(|id| self.ids.get(id)) {
            message["requestId"] = id.clone().into();
        }
        if let Some(link) = &mut self.link {
            link.send(message).await;
        }
    }

    async fn hear(&mut self, recorded: &Value) {
        let kind = recorded["type"].as_str().unwrap();
        match kind {
            "log.chunk" => return add_lines(&mut self.recorded_log, recorded),
            "agent.log" | "heartbeat" | "job.heartbeat" => return,
            "agent.metrics" => return self.metrics_look_the_same(recorded).await,
            _ => {}
        }
        if kind == "job.status" && recorded["state"] != "running" {
            self.gates.open_all();
        }
        let ours = self.next(kind).await;
        if let (Some(theirs), Some(our)) = (id_of(recorded), id_of(&ours)) {
            self.ids.insert(theirs.to_owned(), our.to_owned());
        }
        let problems = compare(recorded, &ours);
        assert!(
            problems.is_empty(),
            "{}: {problems:#?}\nrecorded {recorded}\nours {ours}",
            self.name
        );
        self.compared += 1;
        if kind == "job.status" && recorded["state"] != "running" {
            // All of a job's log comes before its end.
            self.check_log_of(recorded["jobId"].as_str().unwrap());
        }
    }

    /// Our next message of this type. Only messages whose order says nothing may come before it.
    async fn next(&mut self, kind: &str) -> Value {
        if UNORDERED.contains(&kind)
            && let Some(index) = self.early.iter().position(|early| early["type"] == kind)
        {
            return self.early.remove(index).unwrap();
        }
        loop {
            let link = self.link.as_mut().expect("the recording says something without a link");
            let ours = link.next().await;
            if ours["type"] == "log.chunk" {
                add_lines(&mut self.our_log, &ours);
                continue;
            }
            if self.differs.contains(&Differs::SaysCancelling) && ours["state"] == "cancelling" {
                continue;
            }
            if ours["type"] == kind {
                return ours;
            }
            let name = &self.name;
            assert!(
                UNORDERED.contains(&ours["type"].as_str().unwrap()),
                "{name}: our agent said {ours} instead of {kind}"
            );
            self.early.push_back(ours);
        }
    }

    async fn cut(&mut self, code: u16, reason: &str) {
        // What was said before is on the socket; without acknowledgements it would be gone.
        self.catch_up().await;
        if let Some(link) = self.link.take()
            && code != 1006
        {
            let reason = reason.to_owned();
            tokio::spawn(async move { link.close(code, &reason).await });
        }
        self.gates.open_all();
    }

    /// Reads until ours has said as much log as the recorded one has.
    async fn catch_up(&mut self) {
        while self.is_behind() {
            let Some(link) = &mut self.link else { return };
            let ours = link.next().await;
            if ours["type"] == "log.chunk" {
                add_lines(&mut self.our_log, &ours);
            } else {
                self.early.push_back(ours);
            }
        }
    }

    /// Whether the recorded agent has said more log so far.
    fn is_behind(&self) -> bool {
        let ours = |key| self.our_log.get(key).map_or(0, Vec::len);
        self.recorded_log.iter().any(|(key, lines)| lines.len() > ours(key))
    }

    async fn metrics_look_the_same(&mut self, recorded: &Value) {
        let page = get(&self.agent.health, "/metrics").await.1;
        for metric in recorded["metrics"].as_array().unwrap() {
            let name = metric["name"].as_str().unwrap();
            if name.starts_with("kici_agent_") {
                assert!(page.contains(name), "no {name} in\n{page}");
                self.compared += 1;
            }
        }
    }

    fn check_log_of(&self, job: &str) {
        let of_job = |log: &BTreeMap<(String, i64), Vec<String>>| {
            let of_job = log.iter().filter(|((name, _), _)| name == job);
            of_job.map(|((_, step), lines)| json!([step, lines])).collect::<Vec<_>>()
        };
        let (recorded, ours) = (of_job(&self.recorded_log), of_job(&self.our_log));
        assert_eq!(recorded, ours, "{}: the log of job {job}", self.name);
    }
}

fn add_lines(log: &mut BTreeMap<(String, i64), Vec<String>>, chunk: &Value) {
    let key = (chunk["jobId"].as_str().unwrap().to_owned(), chunk["stepIndex"].as_i64().unwrap());
    let lines = chunk["lines"].as_array().unwrap().iter();
    log.entry(key).or_default().extend(lines.map(|line| line.as_str().unwrap().to_owned()));
}

fn id_of(message: &Value) -> Option<&str> {
    message["requestId"].as_str().or_else(|| message["messageId"].as_str())
}
