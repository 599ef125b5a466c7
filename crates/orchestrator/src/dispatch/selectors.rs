//! The selectors of waiting jobs, read once and compiled.

use std::collections::HashMap;

use kici_store::definition::selector_get;
use kici_store::roster::roster_known;
use kici_store::{PgConnection, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::fit::Known;
use crate::agents::Offer;
use crate::runs::SelectorBody;

/// Known selectors are forgotten together above this many.
const REMEMBERED: usize = 10_000;

/// Selectors, compiled.
#[derive(Debug, Default)]
pub(crate) struct Selectors {
    known: HashMap<Uuid, Known>,
}

impl Selectors {
    /// Reads those that are not known yet.
    pub(crate) async fn load(
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

    pub(crate) fn get(&self, id: Uuid) -> Option<&Known> {
        self.known.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut Known> {
        self.known.get_mut(&id)
    }

    /// Pins the jobs whose only label is the id of an agent that is connected here. Those that wait for one elsewhere,
    /// or away, are found in the roster when they are first seen and once a second.
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
    pub(super) async fn find_named(
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
}
