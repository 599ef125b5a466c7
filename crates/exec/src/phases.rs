//! The phases of a job, in order: checkout, packages, drift check, module, concurrency group, job rules,
//! init, caches, steps.
//!
//! A stop order is looked for between phases, and each phase listens to it. `end` does the rest.

use std::sync::Arc;
use std::time::Instant;

use kici_workflow::engine::Warm;
use serde_json::Value;

use crate::checkout::Borrowed;
use crate::context::Context;
use crate::indexes::CacheOwner;
use crate::load::{self, Loaded};
use crate::run::arm_deadline;
use crate::spec::JobEvent;
use crate::{caches, concurrency, evaluate, init, millis, rules, setup, steps};

/// What became of the phases.
pub(crate) enum Phases {
    /// It did not get to its first step. Why, and the job if its module was loaded.
    Failed { error: String, loaded: Option<Loaded>, borrowed: Borrowed },
    /// Its steps have run, or some of them; or a stop order came before.
    Over { loaded: Option<Loaded>, borrowed: Borrowed },
    /// It had something to compute instead of steps.
    Evaluated { value: Value, borrowed: Borrowed },
}

/// Goes through the phases.
pub(crate) async fn go(context: &Arc<Context>, warm: Option<Warm>, started: Instant) -> Phases {
    let stop = &context.control.stop.term;
    let mut borrowed = Borrowed::default();
    let prepared = async {
        let begun = Instant::now();
        borrowed = setup::check_out(context).await?;
        context.say(JobEvent::CheckedOut { duration_ms: millis::of(begun.elapsed()) }).await;
        setup::packages(context).await?;
        setup::check_drift(context)
    };
    if let Err(error) = prepared.await {
        return Phases::Failed { error, loaded: None, borrowed };
    }
    if let Some(what) = &context.spec.evaluate {
        return match evaluate::run(context, warm, what).await {
            Ok(value) => Phases::Evaluated { value, borrowed },
            Err(error) => Phases::Failed { error, loaded: None, borrowed },
        };
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
    let own_limit = job.def.options.get("timeout").and_then(Value::as_u64);
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
    // What was said about the job so far belongs before its steps.
    context.log.flush().await;
    steps::run(job).await;
    Ok(())
}
