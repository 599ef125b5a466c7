//! Ctrl-C during a local run: one listener from its start to its end, so that none gets lost between two jobs.

use anyhow::Context;
use kici_exec::spec::JobOrder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How often Ctrl-C was pressed: once stops the job gracefully, twice at once.
#[derive(Clone)]
pub(super) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let mut pressed = signal(SignalKind::interrupt()).context("could not listen for Ctrl-C")?;
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            while pressed.recv().await.is_some() {
                count.send_modify(|times| *times += 1);
                match *count.borrow() {
                    1 => eprintln!("stopping; Ctrl-C again stops at once"),
                    _ => eprintln!("stopping now"),
                }
            }
        });
        Ok(Self(counted))
    }

    /// Whether the run shall stop.
    pub(super) fn pressed(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Tells a job to stop. Does not return: the job's end ends it.
    pub(super) async fn forward(mut self, orders: mpsc::Sender<JobOrder>) {
        let mut told = 0;
        loop {
            let times = *self.0.borrow_and_update();
            if times.min(2) > told {
                told = times.min(2);
                let reason = "cancelled by the user".to_owned();
                // A job that is over needs no order.
                let _ = orders.send(JobOrder::Cancel { force: told > 1, reason }).await;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
