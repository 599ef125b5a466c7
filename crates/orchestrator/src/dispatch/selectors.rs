//! Which agents fit which waiting jobs, and why others wait.

use std::collections::HashMap;

use kici_model::state::WaitReason;
use kici_store::definition::{selector_get, selector_wait};
use kici_store::roster::roster_known;
use kici_store::{PgConnection, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::fit::Known;
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
            match body.map(Known::new) {
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
        self.find_named(conn, &missing).await
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Known> {
        self.known.get(&id)
    }

    /// Pins the jobs whose only label is the id of an agent that is connected here. Those that wait for one elsewhere,
    /// or away, are found in the roster when they are first seen and when reasons are written.
    pub(super) fn pin(&mut self, waiting: &[Uuid], offers: &[Offer]) {
        for id in waiting {
            let Some(known) = self.known.get_mut(id) else { continue };
            let Some(label) = known.may_name().filter(|_| known.pin().is_none()) else { continue };
            if offers.binary_search_by(|offer| offer.agent.id().cmp(label)).is_ok() {
                let host = label.to_owned();
                known.names(Some(&host));
            }
        }
    }

    /// Looks in the roster whether single labels are ids of agents.
    async fn find_named(
        &mut self,
        conn: &mut PgConnection,
        ids: &[Uuid],
    ) -> Result<(), StoreError> {
        let labels: Vec<&str> =
            ids.iter().filter_map(|id| self.known.get(id)?.may_name()).collect();
        if labels.is_empty() {
            return Ok(());
        }
        let hosts: HashMap<String, String> =
            roster_known(conn, &labels).await?.into_iter().collect();
        for id in ids {
            if let Some(known) = self.known.get_mut(id) {
                let host = known.may_name().and_then(|label| hosts.get(label));
                known.names(host.map(String::as_str));
            }
        }
        Ok(())
    }

    /// Writes why the jobs of these selectors wait, where that has changed.
    pub(super) async fn explain(
        &mut self,
        conn: &mut PgConnection,
        waiting: &[Uuid],
        offers: &[Offer],
    ) -> Result<(), StoreError> {
        self.find_named(conn, waiting).await?;
        let mut changed = Vec::new();
        for id in waiting {
            let Some(known) = self.known.get(id) else { continue };
            let reason = reason(known, offers)
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
fn reason(known: &Known, offers: &[Offer]) -> Option<WaitReason> {
    if let Some(pin) = known.pin()
        && !offers.iter().any(|offer| offer.agent.id() == pin.agent)
    {
        let (agent, host) = (pin.agent.clone(), Some(pin.host.clone()));
        return Some(WaitReason::PinnedAgentAway { agent, host });
    }
    let matching: Vec<&Offer> =
        offers.iter().filter(|offer| known.fits(offer.agent.id(), offer.agent.labels())).collect();
    if matching.is_empty() {
        return Some(WaitReason::NoMatchingAgent { labels: lacking(known, offers) });
    }
    if matching.iter().any(|offer| offer.free > 0) {
        return None;
    }
    Some(WaitReason::AgentsBusy { matching: u32::try_from(matching.len()).unwrap_or(u32::MAX) })
}

/// The labels that no agent has at all; when each is on some agent but never together, all of them.
fn lacking(known: &Known, offers: &[Offer]) -> Vec<String> {
    let wanted = known.shown();
    let nowhere: Vec<String> = wanted
        .iter()
        .filter(|label| !offers.iter().any(|offer| offer.agent.labels().labels.contains(*label)))
        .cloned()
        .collect();
    if nowhere.is_empty() { wanted } else { nowhere }
}
