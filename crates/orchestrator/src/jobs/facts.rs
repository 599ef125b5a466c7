//! What agents report, gathered over all their sockets and written in batches.
//!
//! A socket waits when the channel is full: the agent then waits too (its socket is not read), and nothing is
//! dropped. Facts of one job come from one socket and stay in order. A batch is one transaction; while it is
//! written, the next one gathers.

use std::time::Duration;

use kici_store::StoreError;
use kici_store::log_chunk::LogChunkRow;
use kici_store::step::StepRow;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};
use uuid::Uuid;

use super::apply::apply;
use super::{Ending, Finish};
use crate::agents::Receipt;
use crate::app::App;
use crate::logging::Chain;

/// One report about an attempt of a job.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The agent takes it.
    Acked { run: Uuid, job: Uuid, attempt: i32 },
    /// The agent does not take it.
    Refused { run: Uuid, job: Uuid, attempt: i32, agent: String, why: String },
    /// It runs.
    Started { run: Uuid, job: Uuid, attempt: i32 },
    /// It lives.
    Heartbeat { run: Uuid, job: Uuid, attempt: i32 },
    /// A step moved.
    Step(Box<StepRow>),
    /// Lines were stored.
    Logged(Vec<LogChunkRow>),
    /// It ended.
    Ended(Box<Finish>),
}

/// The sending end.
pub(crate) struct Facts(mpsc::Sender<Item>);

/// The receiving end.
pub(crate) struct Work(mpsc::Receiver<Item>);

/// A fact and whom to tell when it is written, or somebody who waits until all facts before it are.
enum Item {
    Fact(Fact, Option<Receipt>),
    Flush(oneshot::Sender<()>),
}

/// Facts that may wait before sockets do.
const WAITING: usize = 4096;

/// Facts of one transaction.
const BATCH: usize = 1024;

/// The longest pause between tries while the database is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Facts {
    pub(crate) fn new() -> (Facts, Work) {
        let (send, receive) = mpsc::channel(WAITING);
        (Facts(send), Work(receive))
    }

    /// Hands over a fact; waits while too many are waiting.
    pub(crate) async fn report(&self, fact: Fact, receipt: Option<Receipt>) {
        if self.0.send(Item::Fact(fact, receipt)).await.is_err() {
            // Only at the end of a stop: the agent still has it and reports again to the next orchestrator.
            warn!("a report came after the last batch was written");
        }
    }

    /// Returns when everything that was reported before is written.
    pub(crate) async fn flush(&self) {
        let (written, wait) = oneshot::channel();
        if self.0.send(Item::Flush(written)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

impl Work {
    pub(crate) fn spawn(self, app: &App) {
        app.spawn(run(app.clone(), self.0));
    }
}

async fn run(app: App, mut facts: mpsc::Receiver<Item>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            taken = facts.recv_many(&mut batch, BATCH) => if taken == 0 { return },
            () = app.agents.all_gone(&app.stop) => {
                // No socket is left that could send more.
                facts.close();
                if facts.recv_many(&mut batch, BATCH).await == 0 { return }
            }
        }
        let mut reported = Reported::with_capacity(batch.len());
        let mut flushed = Vec::new();
        for item in batch.drain(..) {
            match item {
                Item::Fact(fact, receipt) => {
                    reported.facts.push(fact);
                    reported.receipts.push(receipt);
                }
                Item::Flush(written) => flushed.push(written),
            }
        }
        if !reported.facts.is_empty() {
            write(&app, reported).await;
        }
        for written in flushed {
            let _ = written.send(());
        }
    }
}

/// Writes a batch, as often as it takes. A fact that cannot be written is found and set aside, so that it does not
/// take the others with it.
async fn write(app: &App, batch: Reported) {
    let Err(error) = persist(app, &batch.facts).await else { return batch.done() };
    if error.is_transient() {
        // Only at the end of a stop. An agent that keeps its facts tells the next orchestrator.
        return warn!(error = %Chain(&error), facts = batch.facts.len(), "reports could not be written any more");
    }
    if batch.facts.len() > 1 {
        warn!(error = %Chain(&error), facts = batch.facts.len(),
              "a batch of reports could not be written, writing them one by one");
        for (fact, receipt) in batch.facts.into_iter().zip(batch.receipts) {
            Box::pin(write(app, Reported { facts: vec![fact], receipts: vec![receipt] })).await;
        }
        return;
    }
    error!(error = %Chain(&error), fact = ?batch.facts.first().map(name), "a report could not be written");
    if let Some(Fact::Ended(end)) = batch.facts.into_iter().next() {
        // The job must not stay open because its result is odd.
        let message = format!("the result of the job could not be recorded: {error}");
        let instead = Finish {
            ending: Ending::Failed,
            error: Some(message),
            reason: None,
            outputs: None,
            ..*end
        };
        if let Err(error) = persist(app, &[Fact::Ended(Box::new(instead))]).await {
            error!(error = %Chain(&error), "a failed job could not be ended");
        }
    }
    // It would not be written the next time either.
    batch.receipts.into_iter().flatten().for_each(Receipt::done);
}

/// Facts of one transaction, with whom to tell about each.
struct Reported {
    facts: Vec<Fact>,
    receipts: Vec<Option<Receipt>>,
}

impl Reported {
    fn with_capacity(capacity: usize) -> Reported {
        Reported { facts: Vec::with_capacity(capacity), receipts: Vec::with_capacity(capacity) }
    }

    fn done(self) {
        self.receipts.into_iter().flatten().for_each(Receipt::done);
    }
}

/// One transaction, repeated while the trouble is a passing one.
async fn persist(app: &App, batch: &[Fact]) -> Result<(), StoreError> {
    let mut pause = Duration::from_millis(20);
    loop {
        match apply(app, batch).await {
            Err(error) if error.is_transient() && !app.stop.is_cancelled() => {
                warn!(error = %Chain(&error), facts = batch.len(), "reports wait for the database");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            done => return done,
        }
    }
}

fn name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Acked { .. } => "acknowledged",
        Fact::Refused { .. } => "refused",
        Fact::Started { .. } => "started",
        Fact::Heartbeat { .. } => "heartbeat",
        Fact::Step(_) => "step",
        Fact::Logged(_) => "logged",
        Fact::Ended(_) => "ended",
    }
}
