//! Which agents fit which waiting jobs, and why others wait.

use std::collections::HashMap;

use kici_model::labels::Selector;
use kici_model::lock::RunsOnPick;
use kici_model::state::WaitReason;
use kici_store::definition::{selector_get, selector_wait};
use kici_store::{PgConnection, StoreError};
use tracing::warn;
use uuid::Uuid;

use crate::agents::Offer;
use crate::runs::SelectorBody;

/// Known selectors are forgotten together above this many.
const REMEMBERED: usize = 10_000;

/// Selectors, compiled, and the reasons that were written last.
#[derive(Default)]
pub(super) struct Selectors {
    known: HashMap<Uuid, Known>,
    reasons: HashMap<Uuid, Option<String>>,
}

/// A selector that is ready to be asked.
pub(super) struct Known {
    pub(super) selector: Selector,
    pub(super) pick: RunsOnPick,
}

impl Selectors {
    /// Reads those that are not known yet.
    pub(super) async fn load(
        &mut self,
        conn: &mut PgConnection,
        ids: &[Uuid],
    ) -> Result<(), StoreError> {
        let missing: Vec<Uuid> =
            ids.iter().filter(|id| !self.known.contains_key(id)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.known.len() > REMEMBERED {
            self.known.clear();
            return Box::pin(self.load(conn, ids)).await;
        }
        for content in selector_get(conn, &missing).await? {
            let body: Result<SelectorBody, _> = serde_json::from_str(&content.body);
            match body
                .map(|body| body.compile().map(|selector| Known { selector, pick: body.pick }))
            {
                Ok(Ok(known)) => {
                    self.known.insert(content.id, known);
                }
                Ok(Err(error)) => {
                    warn!(selector = %content.id, %error, "a stored selector cannot be compiled")
                }
                Err(error) => {
                    warn!(selector = %content.id, %error, "a stored selector cannot be read")
                }
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Known> {
        self.known.get(&id)
    }

    /// Writes why the jobs of these selectors wait, where that has changed.
    pub(super) async fn explain(
        &mut self,
        conn: &mut PgConnection,
        waiting: &[Uuid],
        offers: &[Offer],
    ) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for id in waiting {
            let Some(known) = self.known.get(id) else { continue };
            let reason = reason(&known.selector, offers)
                .map(|reason| serde_json::to_string(&reason).expect("a reason is plain data"));
            if self.reasons.get(id) != Some(&reason) {
                changed.push((*id, reason));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        selector_wait(conn, &changed).await?;
        if self.reasons.len() > REMEMBERED {
            self.reasons.clear();
        }
        self.reasons.extend(changed);
        Ok(())
    }
}

/// Why a job with this selector would wait now.
fn reason(selector: &Selector, offers: &[Offer]) -> Option<WaitReason> {
    let matching: Vec<&Offer> =
        offers.iter().filter(|offer| selector.matches(offer.agent.labels())).collect();
    if matching.is_empty() {
        return Some(WaitReason::NoMatchingAgent { labels: lacking(selector, offers) });
    }
    if matching.iter().any(|offer| offer.free > 0) {
        return None;
    }
    Some(WaitReason::AgentsBusy { matching: u32::try_from(matching.len()).unwrap_or(u32::MAX) })
}

/// The labels that no agent has at all; when each is on some agent but never together, all of them.
fn lacking(selector: &Selector, offers: &[Offer]) -> Vec<String> {
    let wanted = selector.shown();
    let nowhere: Vec<String> = wanted
        .iter()
        .filter(|label| !offers.iter().any(|offer| offer.agent.labels().labels.contains(*label)))
        .cloned()
        .collect();
    if nowhere.is_empty() { wanted } else { nowhere }
}
