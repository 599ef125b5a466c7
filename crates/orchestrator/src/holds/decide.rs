//! How people decide about holds.

use kici_model::approval::{Person, Unfit, Verdict, judge};
use kici_model::lock::ApprovalClause;
use kici_model::state::HoldState;
use kici_store::hold::{DecisionRow, hold_decide};
use kici_store::hold_view::{HoldView, hold_decisions, hold_get};
use kici_store::org_setting::org_settings;
use kici_store::run::run_lock;
use kici_store::{PgConnection, Store, StoreError};
use tracing::info;
use uuid::Uuid;

use super::{settle, step};
use crate::app::App;
use crate::jobs::apply::announce;

/// Who decides.
#[derive(Debug, Clone)]
pub(crate) struct Decider {
    pub(crate) person: Person,
    pub(crate) token: Uuid,
}

/// What they decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Approve,
    Reject,
}

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    /// There is no such hold.
    #[error("there is no hold {0}")]
    Unknown(Uuid),
    /// Nobody is asked yet.
    #[error("{what} still waits for something else: nobody is asked to approve it yet")]
    Early {
        /// What is held.
        what: String,
    },
    /// It is decided, or what it kept has ended.
    #[error("the hold is over")]
    Over(Box<HoldView>),
    /// This person's approval does not count.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The stored requirement cannot be read, so nobody satisfies it.
    #[error("the requirement of hold {hold} cannot be read")]
    Requirement {
        /// The hold.
        hold: Uuid,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The database.
    #[error("could not decide about a hold")]
    Store(#[from] StoreError),
}

/// Decides about a hold; answers it as it is afterwards.
pub(crate) async fn decide(
    app: &App,
    id: Uuid,
    decision: Decision,
    by: &Decider,
    comment: Option<&str>,
) -> Result<HoldView, DecideError> {
    let run = {
        let mut conn = app.store.connection().await?;
        one(&mut conn, id).await?.run_id
    };
    let mut tx = app.store.begin().await?;
    run_lock(&mut tx, &[run]).await?;
    // Again, now that nobody else decides about it.
    let hold = one(&mut tx, id).await?;
    match settle::state(&hold)? {
        HoldState::Pending => {}
        HoldState::Planned => return Err(DecideError::Early { what: what(&hold) }),
        _ => return Err(DecideError::Over(Box::new(hold))),
    }
    let who = by.person.user.as_str();
    let opens = match decision {
        Decision::Reject => false,
        Decision::Approve => verdict(&mut tx, &hold, &by.person).await? == Verdict::Approved,
    };
    let row = DecisionRow {
        hold_id: id,
        who,
        token: by.token,
        teams: &by.person.teams,
        approves: decision == Decision::Approve,
        comment,
    };
    hold_decide(&mut tx, &row).await?;
    let mut settled = None;
    match decision {
        Decision::Reject => {
            let closed = settle::close(&mut tx, &hold, HoldState::Rejected, Some(who), comment);
            settled = Some(closed.await?);
        }
        Decision::Approve if opens => {
            settle::open(&mut tx, &hold, HoldState::Approved, Some(who), comment).await?;
        }
        Decision::Approve => {}
    }
    let after = one(&mut tx, id).await?;
    Store::commit(tx).await?;
    info!(hold.id = %id, run.id = %run, by = %by.token, state = %after.state,
          "{who} decided about {}: {decision:?}, now {}", what(&hold), after.state);
    if let Some(settled) = settled {
        announce(app, &settled);
    }
    app.dispatch.wake();
    step::tell_soon(app).await;
    Ok(after)
}

async fn verdict(
    conn: &mut PgConnection,
    hold: &HoldView,
    by: &Person,
) -> Result<Verdict, DecideError> {
    let clauses: Vec<ApprovalClause> = serde_json::from_str(&hold.clauses)
        .map_err(|source| DecideError::Requirement { hold: hold.id, source })?;
    let given: Vec<Person> = hold_decisions(conn, &[hold.id])
        .await?
        .into_iter()
        .filter(|decision| decision.approves)
        .map(|decision| Person { user: decision.who, teams: decision.teams })
        .collect();
    let settings = org_settings(conn, &hold.org_id).await?;
    let started_by: Vec<&str> = match settings.allow_self_approval {
        true => Vec::new(),
        false => [&hold.triggered_by, &hold.contributor]
            .into_iter()
            .filter_map(|who| who.as_deref())
            .collect(),
    };
    Ok(judge(&clauses, &given, by, &started_by)?)
}

async fn one(conn: &mut PgConnection, id: Uuid) -> Result<HoldView, DecideError> {
    hold_get(conn, &[id]).await?.pop().ok_or(DecideError::Unknown(id))
}

/// What is held, in words.
fn what(hold: &HoldView) -> String {
    match (&hold.job_name, &hold.step_name) {
        (Some(job), Some(step)) => format!("step '{step}' of job '{job}'"),
        (Some(job), None) => format!("job '{job}'"),
        (None, _) => format!("run {}", hold.run_id),
    }
}
