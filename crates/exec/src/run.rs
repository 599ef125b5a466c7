//! One job from its specification to its result: the phases, in order.
//!
//! Checkout, packages, drift check, module, concurrency group, job rules, init, caches, steps, hooks.
//! A stop order is looked for between phases, and each phase listens to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kici_workflow::engine::Warm;
use tokio::sync::mpsc;

use crate::caches;
use crate::checkout::{self, Borrowed, CheckoutError, Places};
use crate::context::Context;
use crate::control::Control;
use crate::end;
use crate::failure::chain;
use crate::indexes::CacheOwner;
use crate::job::millis;
use crate::load::{self, Loaded};
use crate::process;
use crate::spec::{Checkout, JobEvent, JobOrder, JobResult, JobSpec};
use crate::{concurrency, deps, drift, init, rules, steps};

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
    let phases = phases(&context, warm, started).await;
    let (mut result, stopping) = end::settle(&context, phases, started).await;
    listening.abort();
    end::end_leftovers(&context).await;
    context.log.flush().await;
    context.logs.close();
    result.duration_ms = millis(started.elapsed());
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
fn arm_deadline(context: &Context, limit_ms: u64) {
    let control = Arc::clone(&context.control);
    // Ends with the runtime or the job, whichever is first: firing late does no harm.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(limit_ms)).await;
        control.time_out(limit_ms);
    });
}

/// What became of the phases.
pub(crate) enum Phases {
    /// It did not get to its first step. Why, and the job if its module was loaded.
    Failed { error: String, loaded: Option<Loaded>, borrowed: Borrowed },
    /// Its steps have run, or some of them; or a stop order came before.
    Over { loaded: Option<Loaded>, borrowed: Borrowed },
}

async fn phases(context: &Arc<Context>, warm: Option<Warm>, started: Instant) -> Phases {
    let stop = &context.control.stop.term;
    let mut borrowed = Borrowed::default();
    let prepared = async {
        borrowed = check_out(context).await?;
        packages(context).await?;
        check_drift(context)
    };
    if let Err(error) = prepared.await {
        return Phases::Failed { error, loaded: None, borrowed };
    }
    let loaded = tokio::select! {
        loaded = load::load(context, warm, started) => loaded,
        () = stop.cancelled() => return Phases::Over { loaded: None, borrowed },
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Phases::Failed { error, loaded: None, borrowed },
    };
    match to_the_steps(context, &loaded).await {
        Ok(()) => Phases::Over { loaded: Some(loaded), borrowed },
        Err(error) => Phases::Failed { error, loaded: Some(loaded), borrowed },
    }
}

async fn to_the_steps(context: &Context, loaded: &Loaded) -> Result<(), String> {
    let Loaded { job, workflow, dropped, .. } = loaded;
    for sibling in dropped {
        context.log.text(&format!(
            "[kici] warning: the job generator no longer gives '{sibling}'; that job is dropped"
        ));
    }
    let stop = &context.control.stop;
    let own_limit = job.def.options.get("timeout").and_then(serde_json::Value::as_u64);
    if let (None, Some(limit @ 1..)) = (context.spec.timeout_ms, own_limit) {
        arm_deadline(context, limit);
    }
    if let Some(policy) = &workflow.concurrency {
        concurrency::enter(job, policy).await?;
    }
    match rules::first_failing(job, job.def.rules.as_deref(), stop).await {
        Ok(None) => {}
        Ok(Some(label)) => {
            context.log.text(&format!(
                "[kici] Job '{}' skipped: rule '{label}' did not pass",
                context.spec.job_name
            ));
            job.progress().skipped = true;
            steps::skip_all(job).await;
            return Ok(());
        }
        Err(_stopped) => return Ok(()),
    }
    init::run(context, job.def.options.get("init")).await?;
    let caches = caches::specs_of(job.def.options.get("cache"));
    caches::restore(context, CacheOwner::Job, &caches).await;
    steps::run(job).await;
    Ok(())
}

async fn check_out(context: &Context) -> Result<Borrowed, String> {
    let spec = &context.spec;
    let (url, reference) = match &spec.checkout {
        Checkout::InPlace { .. } => return Ok(Borrowed::default()),
        Checkout::Git { url, reference, .. } => (url, reference.as_str()),
        Checkout::None { url, .. } => (url, ""),
    };
    let shown = checkout::redact_url(url);
    context.log.text(&format!(
        "[workflow-runner] Cloning {shown} ref={reference} into {}",
        context.root.display()
    ));
    let places = Places {
        workspace: &context.root,
        mirrors: spec.mirrors.as_deref(),
        temp: context.temp(),
        detached: is_tag(reference, &spec.event),
    };
    let stop = context.control.stop.term.clone();
    match checkout::checkout(&spec.checkout, &places, stop).await {
        Ok(borrowed) => {
            context.log.text("[workflow-runner] Clone complete");
            Ok(borrowed)
        }
        Err(CheckoutError::Stopped { .. }) => Ok(Borrowed::default()),
        Err(error) => Err(format!("could not check out {shown}: {}", chain(&error))),
    }
}

/// Whether HEAD cannot be on a branch of that name.
fn is_tag(reference: &str, event: &serde_json::Value) -> bool {
    let of_event = event.pointer("/payload/ref").and_then(serde_json::Value::as_str);
    reference.starts_with("refs/tags/")
        || of_event.is_some_and(|full| full.strip_prefix("refs/tags/") == Some(reference))
}

async fn packages(context: &Context) -> Result<(), String> {
    let kici = context.root.join(".kici");
    let stop = &context.control.stop;
    if stop.term.is_cancelled()
        || !deps::needed(&kici, context.spec.installed_sdk).map_err(|error| chain(&error))?
    {
        return Ok(());
    }
    context.log.text("[workflow-runner] Installing deps inline (no cache)");
    let cache = match &context.spec.mirrors {
        Some(mirrors) => mirrors.join("packages"),
        None => context.temp().join("packages"),
    };
    match deps::install(&kici, &cache, stop).await {
        Ok(()) => {
            context.log.text("[workflow-runner] Deps installed");
            Ok(())
        }
        Err(deps::DepsError::Stopped) => Ok(()),
        Err(error) => {
            context.log.text(error.output().unwrap_or_default());
            Err(chain(&error))
        }
    }
}

fn check_drift(context: &Context) -> Result<(), String> {
    let spec = &context.spec;
    let Some(expected) = &spec.content_hash else { return Ok(()) };
    if context.control.stop.term.is_cancelled() {
        return Ok(());
    }
    drift::check(&context.root, &spec.source_file, &spec.resolved_hash_files, expected)
        .map_err(|error| chain(&error))
}
