//! Gives waiting jobs to connected agents.
//!
//! One task: `claim` takes a batch of waiting jobs for what the agents can take and commits, then `send` builds the
//! messages and hands them to the sockets. `selectors` knows the selectors of waiting jobs, `fit` which agents one means,
//! `fitting` which of them have a place, `shares` whose turn it is, `reasons` why jobs wait that nobody takes. Woken by
//! whatever frees an agent or readies a job, and every second in any case.

mod claim;
mod evaluation;
mod fit;
mod fitting;
mod message;
mod reasons;
mod selectors;
mod send;
pub(crate) mod shares;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use crate::app::App;
use crate::logging::Chain;

pub(crate) use reasons::{Candidate, Presence, reason};
pub(crate) use selectors::Selectors;
pub(crate) use send::workflow;

/// How often the queue is looked at without being asked to.
const LOOK: Duration = Duration::from_secs(1);

/// The way to wake the dispatcher.
pub(crate) struct Dispatch {
    woken: Arc<Notify>,
}

/// The task to be.
pub(crate) struct Work {
    woken: Arc<Notify>,
}

impl Dispatch {
    pub(crate) fn new() -> (Dispatch, Work) {
        let woken = Arc::new(Notify::new());
        (Dispatch { woken: Arc::clone(&woken) }, Work { woken })
    }

    /// Says that a job became ready or an agent became free.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }
}

impl Work {
    pub(crate) fn spawn(self, app: &App) {
        app.spawn(run(app.clone(), self.woken));
    }
}

async fn run(app: App, woken: Arc<Notify>) {
    let mut selectors = Selectors::default();
    let mut shares = claim::Shares::default();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let timer = tokio::select! {
            () = app.stop.cancelled() => return,
            () = woken.notified() => false,
            _ = look.tick() => true,
        };
        match claim::pass(&app, &mut selectors, &mut shares, timer).await {
            Ok(pass) if !pass.claimed.is_empty() => {
                if pass.again {
                    woken.notify_one();
                }
                app.spawn(send::send(app.clone(), pass.claimed));
            }
            Ok(_) => {}
            Err(error) => {
                warn!(error = %Chain(&error), "could not claim waiting jobs, trying again")
            }
        }
    }
}
