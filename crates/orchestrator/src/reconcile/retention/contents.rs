//! Workflows and selectors that nobody names any more.
//!
//! A row says when it was last named. One that was not named for longer than runs are kept can only be named by runs that
//! are older than that and stay for another reason; a walk over all old runs has met those.

use std::collections::HashSet;
use std::time::Duration;

use kici_store::definition::{definition_delete, selector_delete};
use kici_store::leader::{Leader, leader_confirm};
use kici_store::{Store, StoreError};
use uuid::Uuid;

use super::{LOOKS, Pass, Removed};
use crate::app::App;

/// Rows of one transaction.
const ROWS: i64 = 200;

/// So much longer than runs they are kept: the time of the last naming is known to an hour, and clocks differ.
const LONGER: Duration = Duration::from_secs(24 * 60 * 60);

/// More than this many are not remembered, and then none is removed.
const REMEMBERED: usize = 100_000;

/// What the old runs name that stay. Of a whole walk.
#[derive(Debug, Default)]
pub(super) struct Named {
    definitions: HashSet<Uuid>,
    selectors: HashSet<Uuid>,
    unknown: bool,
}

impl Named {
    pub(super) fn add(
        &mut self,
        definitions: impl Iterator<Item = Uuid>,
        selectors: impl IntoIterator<Item = Uuid>,
    ) {
        self.definitions.extend(definitions);
        self.selectors.extend(selectors);
        self.unknown |= self.definitions.len() + self.selectors.len() > REMEMBERED;
        if self.unknown {
            self.give_up();
        }
    }

    /// Not everything is known: the next walk tries again.
    pub(super) fn give_up(&mut self) {
        *self = Named { unknown: true, ..Named::default() };
    }

    /// Removes what is old and was not met.
    pub(super) async fn forget_others(
        self,
        app: &App,
        leader: &Leader,
        keep: Duration,
    ) -> Result<Pass, StoreError> {
        if self.unknown {
            return Ok(Pass::Done);
        }
        let older = (keep + LONGER).as_secs_f64();
        for (kind, named) in [("definition", self.definitions), ("selector", self.selectors)] {
            let named: Vec<Uuid> = named.into_iter().collect();
            let mut removed = Removed::of(kind);
            for _ in 0..LOOKS {
                let mut tx = app.store.begin().await?;
                if !leader_confirm(&mut tx, leader).await? {
                    return Ok(Pass::Deposed);
                }
                let gone = match kind {
                    "definition" => definition_delete(&mut tx, older, &named, ROWS).await?,
                    _ => selector_delete(&mut tx, older, &named, ROWS).await?,
                };
                removed.note(&mut tx, gone).await?;
                Store::commit(tx).await?;
                removed.count(app, gone);
                if gone < ROWS as u64 {
                    break;
                }
            }
            removed.end(app, "contents that nothing names any more").await?;
        }
        Ok(Pass::Done)
    }
}
