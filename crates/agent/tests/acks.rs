//! Links that break at the worst moments, and orchestrators that acknowledge late, twice or never: every
//! line arrives once and in order after the repeats are dropped, and every end is told.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;

use std::collections::{BTreeMap, HashSet};

use common::script::{ended, log, prints, says, started, success};
use common::{Agent, Link, Orchestrator, dispatch, get};
use serde_json::{Value, json};

/// What an orchestrator that acknowledges has stored.
#[derive(Debug, Default)]
struct Store {
    /// Lines by step, without repeats.
    lines: BTreeMap<i64, Vec<String>>,
    /// Highest `seq` of the job.
    seq: u64,
    facts: HashSet<String>,
    steps: Vec<String>,
    end: Option<Value>,
    repeats: usize,
}

impl Store {
    fn take(&mut self, message: &Value) {
        if message["type"] == "log.chunk" {
            let seq = message["seq"].as_u64().unwrap();
            if seq <= self.seq {
                self.repeats += 1;
                return;
            }
            assert_eq!(seq, self.seq + 1, "no chunk may be missing: {message}");
            self.seq = seq;
            let lines = message["lines"].as_array().unwrap();
            let stored = self.lines.entry(message["stepIndex"].as_i64().unwrap()).or_default();
            stored.extend(lines.iter().map(|line| line.as_str().unwrap().to_owned()));
            return;
        }
        let facts = ["job.ack", "job.status", "step.status", "run.event"];
        let is_fact = facts.iter().any(|kind| message["type"] == *kind);
        let Some(id) = message["messageId"].as_str().filter(|_| is_fact) else { return };
        if !self.facts.insert(id.to_owned()) {
            self.repeats += 1;
            return;
        }
        match message["type"].as_str().unwrap() {
            "step.status" => {
                self.steps.push(format!("{} {}", message["stepIndex"], message["state"]))
            }
            "job.status" if message["state"] != "running" => {
                assert_eq!(self.end, None, "one end");
                self.end = Some(message.clone());
            }
            _ => {}
        }
    }

    /// The acknowledgement of everything that is stored.
    fn ack(&self) -> Value {
        let ids: Vec<&String> = self.facts.iter().collect();
        json!({ "type": "ack", "messageIds": ids, "logs": [{ "jobId": "one", "seq": self.seq }] })
    }
}

const STEPS: i64 = 5;
const LINES: usize = 200;

/// A job that says much, in many small events.
fn talkative() -> String {
    let mut events = Vec::new();
    for step in 0..STEPS {
        let name = format!("s{step}");
        events.push(started(step, &name));
        for line in (0..LINES).step_by(4) {
            let lines: Vec<String> = (line..line + 4).map(|n| format!("{step}:{n}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            events.push(log(step, &lines));
        }
        events.push(ended(step, &name));
    }
    events.push(success());
    says(&events)
}

fn check(store: &Store) {
    for step in 0..STEPS {
        let expected: Vec<String> = (0..LINES).map(|n| format!("{step}:{n}")).collect();
        assert_eq!(store.lines[&step], expected);
    }
    let steps: Vec<String> = (0..STEPS)
        .flat_map(|step| [format!("{step} \"running\""), format!("{step} \"success\"")])
        .collect();
    assert_eq!(store.steps, steps);
    assert_eq!(store.end.as_ref().unwrap()["state"], "success");
}

async fn connect(orchestrator: &Orchestrator) -> (Link, Value) {
    let mut link = orchestrator.accept().await;
    let features = json!({ "features": ["ack", "reconciled", "no-rate-limit"] });
    let registration = link.greet_with(features).await;
    (link, registration)
}

/// Takes that many messages of the job; true if the link ended before.
async fn take(link: &mut Link, store: &mut Store, messages: usize) -> bool {
    for _ in 0..messages {
        match link.event().await {
            Ok(message) => store.take(&message),
            Err(_) => return true,
        }
        if store.end.is_some() {
            return false;
        }
    }
    false
}

#[tokio::test]
async fn a_link_that_breaks_all_the_time_loses_and_doubles_nothing() {
    // Breaks after so many messages of each connection; every third connection acknowledges.
    for breaks in [[0, 1, 2, 3, 5], [7, 1, 4, 1, 11], [2, 13, 3, 6, 1]] {
        let orchestrator = Orchestrator::start().await;
        let _agent = Agent::start(&orchestrator, &talkative()).await;
        let mut store = Store::default();
        let (mut link, _) = connect(&orchestrator).await;
        link.send(dispatch("one")).await;
        for (round, messages) in breaks.into_iter().enumerate() {
            take(&mut link, &mut store, messages).await;
            if round % 3 == 0 {
                link.send(store.ack()).await;
            }
            drop(link);
            let registration;
            (link, registration) = connect(&orchestrator).await;
            if registration.get("inFlightJobs").is_none() {
                // Cut before the dispatch was read: it goes again, as an orchestrator does.
                link.send(dispatch("one")).await;
            }
        }
        while store.end.is_none() {
            assert!(!take(&mut link, &mut store, 1).await, "the link holds now");
        }
        check(&store);

        // Until it is acknowledged, it comes again.
        drop(link);
        let (mut link, registration) = connect(&orchestrator).await;
        assert_eq!(registration["inFlightJobs"][0]["jobId"], "one");
        link.send(store.ack()).await;
        link.send(dispatch("two")).await;
        link.until(|m| m["jobId"] == "two" && m["state"] == "success").await;
    }
}

#[tokio::test]
async fn an_orchestrator_that_never_acknowledges_gets_everything_again() {
    let orchestrator = Orchestrator::start().await;
    let agent = Agent::start(&orchestrator, &talkative()).await;
    let (mut link, _) = connect(&orchestrator).await;
    link.send(dispatch("one")).await;
    let mut store = Store::default();
    while store.end.is_none() {
        assert!(!take(&mut link, &mut store, 1).await);
    }
    // The slot is free although nothing is acknowledged.
    link.send(dispatch("two")).await;
    link.until(|m| m["jobId"] == "two" && m["state"] == "success").await;
    let (_, health) = get(&agent.health, "/health").await;
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["outbox"]["storage"], "disk");
    assert_eq!(health["outbox"]["jobs"], 2);
    drop(link);

    let (mut link, registration) = connect(&orchestrator).await;
    assert_eq!(registration["inFlightJobs"].as_array().unwrap().len(), 2);
    let mut again = Store::default();
    while again.end.is_none() {
        let message = link.next().await;
        if message["jobId"] == "one" {
            again.take(&message);
        }
    }
    check(&again);
    assert_eq!(again.facts, store.facts, "the same messages");
}

#[tokio::test]
async fn late_and_repeated_acknowledgements_are_fine() {
    let orchestrator = Orchestrator::start().await;
    let mut agent = Agent::start(&orchestrator, &talkative()).await;
    let (mut link, _) = connect(&orchestrator).await;
    link.send(dispatch("one")).await;
    let mut store = Store::default();
    take(&mut link, &mut store, 5).await;
    let early = store.ack();
    while store.end.is_none() {
        assert!(!take(&mut link, &mut store, 1).await);
    }
    link.send(early.clone()).await;
    link.send(store.ack()).await;
    link.send(early).await;
    link.send(json!({ "type": "ack", "messageIds": ["never-sent"],
                      "logs": [{ "jobId": "unknown", "seq": 9 }, { "jobId": "one", "seq": 99_999 }] }))
        .await;
    check(&store);
    // Nothing is kept: draining ends at once.
    agent.signal(kici_agent::Signal::Drain).await;
    assert_eq!(link.until_close().await.1.code, 1000);
    drop(link);
    assert_eq!(agent.exit().await, kici_agent::Exit::Clean);
}

#[tokio::test]
async fn a_new_attempt_of_a_job_is_not_ended_by_the_last_one() {
    let orchestrator = Orchestrator::start().await;
    let script = format!("{}{}", says(&[log(0, &["line"])]), prints(&[success()]));
    let _agent = Agent::start(&orchestrator, &script).await;
    let (mut link, _) = connect(&orchestrator).await;
    link.send(dispatch("one")).await;
    let first = link.until(|message| message["state"] == "success").await.pop().unwrap();
    // The orchestrator never stored that end and gives the job out anew.
    drop(link);
    let mut link = orchestrator.accept().await;
    link.greet_with(json!({ "features": ["ack"] })).await;
    link.send(dispatch("one")).await;
    link.until(|message| message["type"] == "job.ack").await;
    let second = link.until(|message| message["state"] == "success").await;
    assert!(second.iter().all(|message| message["messageId"] != first["messageId"]), "{second:#?}");
    let chunk = second.iter().find(|message| message["type"] == "log.chunk").unwrap();
    assert_eq!(chunk["seq"], 1);
}
