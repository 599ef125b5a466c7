//! A steady stream of deliveries from senders that never give up, and the people who come with it.
//!
//! A delivery is sent with one id until it was answered with 2xx, whatever happens in between; some come late, some
//! twice at the same time, some again although they were accepted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fleet::Admin;
use super::http;
use super::people::{Asked, People, Traffic};
use super::random::Random;
use super::scenarios::{self, Scenario};
use super::schedule::ORCHESTRATORS;
use super::tables::Tables;

/// Milliseconds between two pushes.
const PAUSE: std::ops::Range<u64> = 80..500;

/// New pushes wait while so many runs are open: the queue must not only grow.
const MOST_OPEN: u64 = 24;

/// Milliseconds between pushes in a row.
const ROW: std::ops::Range<u64> = 0..150;

/// How often it is looked whether everybody has an answer.
const LOOK: Duration = Duration::from_millis(50);

/// What the senders know in the end.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) deliveries: Mutex<BTreeMap<String, Delivery>>,
    /// Requests, repeats and failures included.
    requests: AtomicU64,
    /// What people asked for.
    pub(super) asked: Mutex<Asked>,
    /// How many of them wait for a run to be made.
    pub(super) repeating: AtomicU64,
    /// What the tables said last.
    pub(super) traffic: Mutex<Traffic>,
    /// Answers that no sender should ever get.
    pub(super) refused: Mutex<Vec<String>>,
}

impl Sent {
    /// Whether more may be pushed: of anything, and of this.
    fn has_room(&self, scenario: &Scenario, pushed: u64, under_way: u64) -> bool {
        let traffic = self.traffic.lock().expect("nothing panics");
        if traffic.open + under_way >= MOST_OPEN {
            return false;
        }
        scenario.runs.iter().all(|run| {
            let (made, open) = traffic.workflows.get(run.workflow).copied().unwrap_or_default();
            (pushed.saturating_sub(made) + open).saturating_add(scenario.burst)
                <= scenario.most_open
        })
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// One delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) scenario: &'static Scenario,
    pub(super) accepted: bool,
}

/// Everything that senders need.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Ports of the lines to the orchestrators.
    pub(super) ports: Vec<u16>,
    /// Where deliveries of the source go.
    pub(super) path: String,
    pub(super) routing_key: String,
    pub(super) sha: String,
    pub(super) seed: u64,
}

/// What goes on while the load runs.
pub(super) struct Load {
    pub(super) sent: Arc<Sent>,
    /// No new pushes; those under way go on.
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
    people: JoinSet<()>,
}

impl Load {
    /// Begins. Must be called inside a runtime.
    pub(super) fn start(target: Target, admin: Admin, tables: Tables) -> Self {
        let sent = Arc::new(Sent::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (mut senders, mut people) = (JoinSet::new(), JoinSet::new());
        let random = Random::new(target.seed, 3);
        let all = People { admin, tables, sent: sent.clone(), stop: stop.clone(), random };
        people.spawn(all.live());
        senders.spawn(push(target, sent.clone(), stop.clone()));
        Self { sent, stop, senders, people }
    }

    /// Stops pushing and waits until every delivery is accepted and nobody makes runs any more, at most until
    /// `deadline`. People still approve and reject.
    pub(super) async fn finish(&mut self, deadline: Instant) {
        self.stop.store(true, Ordering::Relaxed);
        let all = async {
            while self.senders.join_next().await.is_some() {}
            while self.sent.repeating.load(Ordering::Relaxed) > 0 {
                sleep(LOOK).await;
            }
        };
        let _late = tokio::time::timeout_at(deadline, all).await;
        self.senders.abort_all();
    }

    /// Everybody goes home.
    pub(super) fn end(mut self) {
        self.people.abort_all();
    }
}

async fn push(target: Target, sent: Arc<Sent>, stop: Arc<AtomicBool>) {
    let target = Arc::new(target);
    let mut random = Random::new(target.seed, 2);
    let mut senders = JoinSet::new();
    let mut number = 0;
    let mut opening = scenarios::opening(&mut random);
    // By branch.
    let mut pushed: BTreeMap<&str, u64> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) || !opening.is_empty() {
        sleep(random.time(PAUSE)).await;
        while senders.try_join_next().is_some() {}
        let under_way = senders.len() as u64;
        let scenario = opening.last().copied();
        let scenario = scenario.unwrap_or_else(|| scenarios::choose(&mut random));
        let before = pushed.entry(scenario.branch).or_default();
        if !sent.has_room(scenario, *before, under_way) {
            continue;
        }
        opening.pop();
        *before += scenario.burst;
        for _ in 0..scenario.burst {
            number += 1;
            let id = format!("chaos-{number}");
            let delivery = Delivery { scenario, accepted: false };
            let key = format!("{}:{id}", target.routing_key);
            sent.deliveries.lock().expect("nothing panics").insert(key.clone(), delivery);
            let random_of_one = Random::new(target.seed, 1000 + number);
            senders.spawn(deliver(target.clone(), sent.clone(), scenario, id, key, random_of_one));
            sleep(random.time(ROW)).await;
        }
    }
    while senders.join_next().await.is_some() {}
}

/// One delivery, from its first try to its last repeat.
async fn deliver(
    target: Arc<Target>,
    sent: Arc<Sent>,
    scenario: &'static Scenario,
    id: String,
    key: String,
    mut random: Random,
) {
    let body = format!(
        r#"{{"ref":"refs/heads/{}","after":"{}","id":"{id}","repository":{{"full_name":".","default_branch":"main"}}}}"#,
        scenario.branch, target.sha
    );
    if random.percent(25) {
        // Whatever was sent after it may arrive before it.
        sleep(random.time(0..2000)).await;
    }
    if random.percent(15) {
        let (first, second) = tokio::join!(
            send(&target, &sent, &id, &body, 0),
            send(&target, &sent, &id, &body, 1 % ORCHESTRATORS),
        );
        if first || second {
            accepted(&sent, &key);
        }
    }
    let mut pause = Duration::from_millis(100);
    loop {
        if send(&target, &sent, &id, &body, random.place(ORCHESTRATORS)).await {
            accepted(&sent, &key);
            break;
        }
        sleep(pause.mul_f64(1.0 + random.below(0..100) as f64 / 100.0)).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
    for _ in 0..random.below(0..3) {
        if random.percent(30) {
            sleep(random.time(0..6000)).await;
            let _repeat = send(&target, &sent, &id, &body, random.place(ORCHESTRATORS)).await;
        }
    }
}

/// One request; true when it was answered with 2xx.
async fn send(target: &Target, sent: &Sent, id: &str, body: &str, number: usize) -> bool {
    sent.requests.fetch_add(1, Ordering::Relaxed);
    let head =
        format!("content-type: application/json\r\nx-event-type: push\r\nx-delivery-id: {id}\r\n");
    match http::request(target.ports[number], "POST", &target.path, &head, body).await {
        Ok(answer) if answer.status / 100 == 2 => true,
        Ok(answer) if answer.status / 100 == 4 => {
            let line =
                format!("delivery {id} was answered with {}: {}", answer.status, answer.body);
            sent.refused.lock().expect("nothing panics").push(line);
            false
        }
        Ok(_) | Err(_) => false,
    }
}

fn accepted(sent: &Sent, key: &str) {
    if let Some(delivery) = sent.deliveries.lock().expect("nothing panics").get_mut(key) {
        delivery.accepted = true;
    }
}
