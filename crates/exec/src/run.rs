//! The front door: takes a specification, listens to orders, gives the result. `phases` does the work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::engine::Warm;
use tokio::sync::mpsc;

use crate::context::Context;
use crate::control::Control;
use crate::failure::chain;
use crate::millis;
use crate::spec::{JobEvent, JobOrder, JobResult, JobSpec};
use crate::{end, phases, process};

/// An engine that was started before the job is known, for a process that runs one job and nothing else.
pub struct Prepared {
    warm: Option<Warm>,
}

/// Prepares a job process: starts an engine, and makes this process the parent of daemonised orphans.
///
/// When the job ends, *every* process below this one is ended.
pub async fn prepare() -> Prepared {
    process::become_reaper();
    let warm = match Warm::new().await {
        Ok(warm) => Some(warm),
        Err(error) => {
            // The job will say so itself if it needs this engine.
            tracing::warn!("the embedded engine could not be prepared: {}", chain(&error));
            None
        }
    };
    Prepared { warm }
}

/// Runs a job in a process that was prepared for it. Otherwise like [`run_job`].
pub async fn run_prepared(
    prepared: Prepared,
    spec: JobSpec,
    orders: mpsc::Receiver<JobOrder>,
    events: mpsc::Sender<JobEvent>,
) -> JobResult {
    run(spec, prepared.warm, true, orders, events).await
}

/// Runs a job in a process that does other things too.
///
/// The last event is [`JobEvent::Ended`] with the result that is also returned. Events must be received
/// all the time: the job waits while `events` is full. When `orders` closes, open requests fail.
pub async fn run_job(
    spec: JobSpec,
    orders: mpsc::Receiver<JobOrder>,
    events: mpsc::Sender<JobEvent>,
) -> JobResult {
    process::become_reaper();
    run(spec, None, false, orders, events).await
}

async fn run(
    spec: JobSpec,
    warm: Option<Warm>,
    alone: bool,
    orders: mpsc::Receiver<JobOrder>,
    events: mpsc::Sender<JobEvent>,
) -> JobResult {
    let started = Instant::now();
    let control = Arc::new(Control::default());
    let context = match Context::new(spec, events.clone(), Arc::clone(&control), alone) {
        Ok(context) => Arc::new(context),
        Err(error) => {
            let result = end::without_context(&error, started);
            let _gone = events.send(JobEvent::Ended(result.clone())).await;
            return result;
        }
    };
    let listening = tokio::spawn(listen(orders, Arc::clone(&context)));
    if let Some(limit_ms) = context.spec.timeout_ms {
        arm_deadline(&context, limit_ms);
    }
    let phases = phases::go(&context, warm, started).await;
    let (mut result, stopping) = end::settle(&context, phases, started).await;
    listening.abort();
    end::end_leftovers(&context).await;
    context.log.flush().await;
    context.logs.close();
    context.remove_temp();
    result.duration_ms = millis::of(started.elapsed());
    context.say(JobEvent::Ended(result.clone())).await;
    if let Some(stopping) = stopping {
        let _panicked = stopping.await;
    }
    result
}

/// Takes orders until the job is over.
async fn listen(mut orders: mpsc::Receiver<JobOrder>, context: Arc<Context>) {
    while let Some(order) = orders.recv().await {
        match order {
            JobOrder::Cancel { force, reason } => context.control.cancel(reason, force),
            JobOrder::Answer { id, result } => context.requests.answer(id, result),
        }
    }
    context.requests.close();
}

/// Stops the job when its time is over.
pub(crate) fn arm_deadline(context: &Context, limit_ms: u64) {
    let control = Arc::clone(&context.control);
    // Ends with the runtime or the job, whichever is first: firing late does no harm.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(limit_ms)).await;
        control.time_out(limit_ms);
    });
}
