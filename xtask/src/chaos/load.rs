//! A steady stream of deliveries from senders that never give up, and somebody who cancels runs.
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
use super::random::Random;
use super::scenarios::{self, Scenario};
use super::schedule::ORCHESTRATORS;
use super::tables::Tables;

/// Milliseconds between two pushes.
const PAUSE: std::ops::Range<u64> = 80..500;

/// New pushes wait while so many runs are open: the queue must not only grow.
const MOST_OPEN: u64 = 24;

/// How often the tables are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What the senders know in the end.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) deliveries: Mutex<BTreeMap<String, Delivery>>,
    /// Requests, repeats and failures included.
    requests: AtomicU64,
    /// Runs whose cancel was answered with 200.
    pub(super) cancelled: Mutex<Vec<String>>,
    /// Answers that no sender should ever get.
    pub(super) refused: Mutex<Vec<String>>,
}

impl Sent {
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
    tasks: JoinSet<()>,
}

impl Load {
    /// Begins. Must be called inside a runtime.
    pub(super) fn start(target: Target, admin: Admin, tables: Tables) -> Self {
        let sent = Arc::new(Sent::default());
        let stop = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(push(target, sent.clone(), stop.clone(), open.clone()));
        tasks.spawn(cancel(admin, tables, sent.clone(), stop.clone(), open));
        Self { sent, stop, tasks }
    }

    /// Stops pushing and waits until every delivery is accepted, at most until `deadline`.
    pub(super) async fn finish(mut self, deadline: Instant) {
        self.stop.store(true, Ordering::Relaxed);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _late = tokio::time::timeout_at(deadline, all).await;
        self.tasks.abort_all();
    }
}

async fn push(target: Target, sent: Arc<Sent>, stop: Arc<AtomicBool>, open: Arc<AtomicU64>) {
    let target = Arc::new(target);
    let mut random = Random::new(target.seed, 2);
    let mut senders = JoinSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        sleep(random.time(PAUSE)).await;
        while senders.try_join_next().is_some() {}
        if open.load(Ordering::Relaxed) + senders.len() as u64 >= MOST_OPEN {
            continue;
        }
        number += 1;
        let scenario = scenarios::choose(&mut random);
        let id = format!("chaos-{number}");
        let delivery = Delivery { scenario, accepted: false };
        let key = format!("{}:{id}", target.routing_key);
        sent.deliveries.lock().expect("nothing panics").insert(key.clone(), delivery);
        let random = Random::new(target.seed, 1000 + number);
        senders.spawn(deliver(target.clone(), sent.clone(), scenario, id, key, random));
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

/// Cancels runs that are there to be cancelled, and counts what is open.
async fn cancel(
    admin: Admin,
    tables: Tables,
    sent: Arc<Sent>,
    stop: Arc<AtomicBool>,
    open: Arc<AtomicU64>,
) {
    let mut random = Random::new(0, 3);
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        sleep(LOOK).await;
        let tables = tables.clone();
        let seen = tokio::task::spawn_blocking(move || {
            anyhow::Ok((tables.open()?, tables.stoppable(scenarios::CANCELLED)?))
        });
        // PostgreSQL may be down.
        let Ok(Ok((now, stoppable))) = seen.await else { continue };
        open.store(now.runs + now.deliveries, Ordering::Relaxed);
        for run in stoppable {
            let at =
                *due.entry(run.clone()).or_insert_with(|| Instant::now() + random.time(0..5000));
            if Instant::now() < at {
                continue;
            }
            let number = random.place(ORCHESTRATORS);
            let path = format!("/api/v1/admin/runs/{run}/cancel");
            if let Ok(answer) = admin.request(number, "POST", &path).await
                && answer.status == 200
            {
                sent.cancelled.lock().expect("nothing panics").push(run);
            }
        }
    }
}
