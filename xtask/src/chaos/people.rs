//! People who use the installation meanwhile: they cancel runs, approve and reject, and run things again.
//!
//! Each looks at the tables, makes up their mind once about each run and each hold, and asks until an orchestrator has
//! answered. What they asked for is kept for the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::fleet::Admin;
use super::load::Sent;
use super::random::Random;
use super::rows::{Look, Seen};
use super::scenarios::{self, CANCELLED};
use super::schedule::ORCHESTRATORS;
use super::tables::Tables;

/// How often the tables are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The pause before somebody who was not answered asks again.
const AGAIN: Duration = Duration::from_millis(400);

/// Of a hundred runs: how many are cancelled, whatever they are.
const CANCELS: u64 = 4;

/// Of a hundred ended runs: how many are run again.
const REPEATS: u64 = 14;

/// Of a hundred holds: how many are approved.
const APPROVALS: u64 = 75;

/// What people have asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Runs to be cancelled.
    pub(super) cancels: BTreeSet<String>,
    /// Holds, and whether they were to be approved.
    pub(super) decisions: BTreeMap<String, bool>,
    /// By idempotency key.
    pub(super) repeats: BTreeMap<String, Repeat>,
}

/// Somebody wants a run again.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) run: String,
    /// As the run shows it: `all`, `failed`, `job:<name>`.
    pub(super) scope: String,
    /// The new run, or why there is none; nothing while nobody has answered.
    pub(super) answer: Option<Result<String, String>>,
}

/// What senders go by.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Open runs and deliveries.
    pub(super) open: u64,
    /// By workflow: runs that deliveries have made, and runs that are open.
    pub(super) workflows: BTreeMap<String, (u64, u64)>,
}

/// Everybody.
pub(super) struct People {
    pub(super) admin: Admin,
    pub(super) tables: Tables,
    pub(super) sent: Arc<Sent>,
    /// Nothing new is begun; whoever is asked still answers.
    pub(super) stop: Arc<AtomicBool>,
    pub(super) random: Random,
}

impl People {
    /// Goes on until it is dropped.
    pub(super) async fn live(mut self) {
        let mut asks = JoinSet::new();
        let mut known = BTreeSet::new();
        loop {
            let tables = self.tables.clone();
            // PostgreSQL may be down.
            if let Ok(Ok(look)) = tokio::task::spawn_blocking(move || tables.look()).await {
                self.traffic(&look);
                for hold in &look.holds {
                    if known.insert(hold.clone()) {
                        self.decide(hold.clone(), &mut asks);
                    }
                }
                if !self.stop.load(Ordering::Relaxed) {
                    for run in &look.runs {
                        self.consider(run, &mut known, &mut asks);
                    }
                }
            }
            while asks.try_join_next().is_some() {}
            sleep(LOOK).await;
        }
    }

    fn traffic(&self, look: &Look) {
        let mut traffic = Traffic { open: look.deliveries, ..Traffic::default() };
        for run in &look.runs {
            let (made, open) = traffic.workflows.entry(run.workflow_name.clone()).or_default();
            *made += u64::from(!run.repeats);
            *open += u64::from(!run.ended);
            traffic.open += u64::from(!run.ended);
        }
        *self.sent.traffic.lock().expect("nothing panics") = traffic;
    }

    fn consider(&mut self, run: &Seen, known: &mut BTreeSet<String>, asks: &mut JoinSet<()>) {
        if run.ended {
            if known.insert(format!("ended {}", run.id)) && self.random.percent(REPEATS) {
                self.repeat(run, asks);
            }
        } else if !run.stopped && known.insert(run.id.clone()) {
            let percent = if run.workflow_name == CANCELLED { 100 } else { CANCELS };
            if self.random.percent(percent) {
                self.cancel(run.id.clone(), asks);
            }
        }
    }

    fn cancel(&mut self, run: String, asks: &mut JoinSet<()>) {
        let (sent, pause) = (self.sent.clone(), self.random.time(0..5000));
        let ask = self.ask();
        asks.spawn(async move {
            sleep(pause).await;
            sent.asked.lock().expect("nothing panics").cancels.insert(run.clone());
            let path = format!("/api/v1/admin/runs/{run}/cancel");
            // 409: it has ended meanwhile.
            ask.until(&path, &json!({}), &[200, 409]).await;
        });
    }

    fn decide(&mut self, hold: String, asks: &mut JoinSet<()>) {
        let (sent, pause) = (self.sent.clone(), self.random.time(0..1500));
        let approves = self.random.percent(APPROVALS);
        let ask = self.ask();
        asks.spawn(async move {
            sleep(pause).await;
            sent.asked.lock().expect("nothing panics").decisions.insert(hold.clone(), approves);
            let word = if approves { "approve" } else { "reject" };
            let path = format!("/api/v1/admin/held-runs/{hold}/{word}");
            // 409: it was answered before and the answer was lost, or its run has ended.
            ask.until(&path, &json!({}), &[200, 409]).await;
        });
    }

    fn repeat(&mut self, run: &Seen, asks: &mut JoinSet<()>) {
        let Some(plan) = scenarios::run(&run.workflow_name) else { return };
        // Where only so many may be open, nobody makes more.
        if scenarios::is_bounded(&run.workflow_name) {
            return;
        }
        let mut body = json!({"idempotencyKey": format!("again {}", run.id)});
        let scope = match self.random.below(0..10) {
            0..3 => "all".to_owned(),
            3..7 => {
                body["failedOnly"] = true.into();
                "failed".to_owned()
            }
            _ => {
                let name = plan.jobs[self.random.place(plan.jobs.len())].name;
                body["job"] = name.into();
                format!("job:{name}")
            }
        };
        let (sent, run) = (self.sent.clone(), run.id.clone());
        let ask = self.ask();
        sent.repeating.fetch_add(1, Ordering::Relaxed);
        asks.spawn(async move {
            let key = format!("again {run}");
            let path = format!("/api/v1/admin/runs/{run}/rerun");
            let repeat = Repeat { run, scope, answer: None };
            sent.asked.lock().expect("nothing panics").repeats.insert(key.clone(), repeat);
            let (status, answer) = ask.until(&path, &body, &[200, 201, 409]).await;
            let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            let answer = if status == 409 { Err(text("error")) } else { Ok(text("runId")) };
            let mut asked = sent.asked.lock().expect("nothing panics");
            if let Some(repeat) = asked.repeats.get_mut(&key) {
                repeat.answer = Some(answer);
            }
            sent.repeating.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn ask(&mut self) -> Ask {
        let random = Random::new(self.random.below(0..u64::MAX), 4);
        Ask { admin: self.admin.clone(), sent: self.sent.clone(), random }
    }
}

/// Somebody who asks until there is an answer.
struct Ask {
    admin: Admin,
    sent: Arc<Sent>,
    random: Random,
}

impl Ask {
    /// Asks any orchestrator until one answers with a status that is fine. Others of 4xx are findings.
    async fn until(mut self, path: &str, body: &Value, fine: &[u16]) -> (u16, Value) {
        loop {
            let number = self.random.place(ORCHESTRATORS);
            match self.admin.post(number, path, body).await {
                Ok(answer) if fine.contains(&answer.status) => {
                    return (answer.status, serde_json::from_str(&answer.body).unwrap_or_default());
                }
                Ok(answer) if answer.status / 100 == 4 => {
                    let line =
                        format!("{path} was answered with {}: {}", answer.status, answer.body);
                    self.sent.refused.lock().expect("nothing panics").push(line);
                    return (answer.status, Value::Null);
                }
                Ok(_) | Err(_) => sleep(AGAIN).await,
            }
        }
    }
}
