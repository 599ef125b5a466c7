//! An agent asks for a place for the run of its job: only it could tell the group.

use std::time::Duration;

use kici_store::slot::{SlotRow, slot_insert, slot_lock, slot_of_run, slot_policy};
use kici_store::{Store, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::look::look;
use super::of_run;
use crate::app::App;
use crate::logging::Chain;

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The run has its place.
    GoOn,
    /// It gets one later.
    Wait {
        /// Why.
        reason: String,
    },
    /// It gets none.
    Refuse {
        /// Why.
        reason: String,
    },
}

/// The pause between tries while the database is away.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers a report. Waits while the database is away; the agent waits with it.
pub(crate) async fn report(app: &App, run: Uuid, group: &str) -> Answer {
    loop {
        match enter(app, run, group).await {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() && !app.stop.is_cancelled() => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                warn!(run.id = %run, error = %Chain(&error), "could not answer a report of a concurrency group");
                return Answer::Refuse { reason: "the orchestrator could not record it".into() };
            }
        }
    }
}

async fn enter(app: &App, run: Uuid, group: &str) -> Result<Answer, StoreError> {
    let place = {
        let mut conn = app.store.connection().await?;
        match slot_of_run(&mut conn, run).await? {
            // Every job of the run asks; the first one's answer is for all.
            Some((_, true)) => return Ok(Answer::GoOn),
            Some((group_key, false)) => SlotRow { group_key, ..of_run("", run, group, 1, false) },
            None => {
                let Some((routing_key, definition)) = slot_policy(&mut conn, run).await? else {
                    return Ok(Answer::Refuse { reason: "there is no such run".into() });
                };
                let workflow = match definition {
                    Some(id) => crate::dispatch::workflow(app, &mut conn, id).await?,
                    None => None,
                };
                let policy = workflow.as_ref().and_then(|workflow| workflow.concurrency.as_ref());
                let (max, cancel) = policy.map_or((1, true), |policy| policy.effective());
                of_run(&routing_key, run, group, max, cancel)
            }
        }
    };
    let mut tx = app.store.begin().await?;
    slot_lock(&mut tx, &place.group_key).await?;
    slot_insert(&mut tx, &[SlotRow { asked: true, ..place.clone() }]).await?;
    let looked = look(&mut tx, &place.group_key, app.config.queue.concurrency_wait).await?;
    Store::commit(tx).await?;
    let granted = looked.granted.contains(&run);
    looked.carry_out(app).await;
    Ok(match granted {
        true => Answer::GoOn,
        // One that was superseded is told so by the cancel of its run.
        false => Answer::Wait { reason: format!("Queued in concurrency group '{group}'") },
    })
}
