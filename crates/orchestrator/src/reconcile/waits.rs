//! Writes down why the jobs of each selector wait for an agent. For the leader only, which reads the roster that all
//! orchestrators write: two opinions would take turns.
//!
//! A reason belongs to a selector, so a thousand jobs that want the same cost one computation and one row. It is for
//! people: once a second is enough, and however many agents and selectors there are, this takes a small part of the
//! leader's time ([`REST`]) and of one look ([`PAIRS`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use kici_model::labels::AgentLabels;
use kici_protocol::http::time::Timestamp;
use kici_store::claim::waiting_lines;
use kici_store::definition::{selector_wait, selector_waits};
use kici_store::leader::{Leader, leader_confirm};
use kici_store::roster::{RosterPresence, roster_presence};
use kici_store::{PgConnection, Store, StoreError};
use uuid::Uuid;

use crate::app::App;
use crate::dispatch::{Candidate, Presence, Selectors, reason};

/// A look that took so long is followed by a rest of as many times that long.
const REST: u32 = 20;

/// Selectors times agents that one look compares; other selectors have their turn in the next.
const PAIRS: usize = 200_000;

/// Agents that are looked at.
const AGENTS: i64 = 20_000;

/// Reasons of one statement.
const ROWS: usize = 500;

/// What was found and written so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    selectors: Selectors,
    /// As stored; none before the first look: another leader has written before.
    written: Option<HashMap<Uuid, String>>,
    /// The last selector that was looked at, when there are too many for one look.
    last: Option<Uuid>,
    /// When the next look is due.
    next: Option<Instant>,
}

impl Waits {
    /// One look; there is one each second.
    pub(super) async fn look(&mut self, app: &App, leader: &Leader) -> Result<(), StoreError> {
        let started = Instant::now();
        if self.next.is_some_and(|next| next > started) {
            return Ok(());
        }
        let changed = self.compare(app).await?;
        for part in changed.chunks(ROWS) {
            let mut tx = app.store.begin().await?;
            if !leader_confirm(&mut tx, leader).await? {
                return Ok(());
            }
            selector_wait(&mut tx, part).await?;
            Store::commit(tx).await?;
            let written = self.written.get_or_insert_default();
            for (id, reason) in part {
                match reason {
                    Some(reason) => written.insert(*id, reason.clone()),
                    None => written.remove(id),
                };
            }
        }
        self.next = Some(Instant::now() + started.elapsed() * REST);
        Ok(())
    }

    /// The reasons that are not as they are stored.
    async fn compare(&mut self, app: &App) -> Result<Vec<(Uuid, Option<String>)>, StoreError> {
        let mut conn = app.store.connection().await?;
        if self.written.is_none() {
            self.written = Some(selector_waits(&mut conn).await?.into_iter().collect());
        }
        let mut repositories: BTreeMap<Uuid, usize> = BTreeMap::new();
        for line in waiting_lines(&mut conn).await? {
            *repositories.entry(line.selector).or_default() += 1;
        }
        let written = self.written.get_or_insert_default();
        let over = written.keys().filter(|id| !repositories.contains_key(id));
        let mut changed: Vec<(Uuid, Option<String>)> = over.map(|id| (*id, None)).collect();
        if repositories.is_empty() {
            return Ok(changed);
        }
        let agents = candidates(&mut conn).await?;
        let hosts: HashMap<&str, &str> =
            agents.iter().map(|agent| (agent.id.as_str(), agent.host.as_str())).collect();
        let now = self.turn(&repositories, agents.len());
        self.selectors.load(&mut conn, &now).await?;
        drop(conn);
        for id in now {
            let Some(known) = self.selectors.get_mut(id) else { continue };
            let host = known.may_name().and_then(|label| hosts.get(label).copied());
            known.names(host);
            let reason = reason(known, &agents, repositories[&id]);
            let text = serde_json::to_string(&reason).expect("a reason is plain data");
            if self.written.as_ref().and_then(|written| written.get(&id)) != Some(&text) {
                changed.push((id, Some(text)));
            }
            tokio::task::yield_now().await;
        }
        Ok(changed)
    }

    /// The selectors that have their turn: as a rule all of them.
    fn turn(&mut self, waiting: &BTreeMap<Uuid, usize>, agents: usize) -> Vec<Uuid> {
        let most = (PAIRS / agents.max(1)).max(1);
        let all: BTreeSet<Uuid> = waiting.keys().copied().collect();
        if all.len() <= most {
            self.last = None;
            return all.into_iter().collect();
        }
        let after = self.last.map_or_else(Vec::new, |last| {
            all.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded))
                .copied()
                .collect()
        });
        let turn: Vec<Uuid> = after.into_iter().chain(all).take(most).collect();
        self.last = turn.last().copied();
        turn
    }
}

async fn candidates(conn: &mut PgConnection) -> Result<Vec<Candidate>, StoreError> {
    Ok(roster_presence(conn, AGENTS).await?.into_iter().map(candidate).collect())
}

fn candidate(row: RosterPresence) -> Candidate {
    let jobs = usize::try_from(row.jobs).unwrap_or(0);
    let most = usize::try_from(row.max_concurrency).unwrap_or(1);
    let presence = match (row.connected, row.draining) {
        (false, _) => {
            let last_seen = Timestamp::from_unix_micros(row.last_seen_at.micros()).to_string();
            Presence::Away { last_seen }
        }
        (true, true) => Presence::Draining { jobs },
        (true, false) if jobs >= most => Presence::Busy { jobs },
        (true, false) => Presence::Free,
    };
    Candidate {
        id: row.agent_id,
        host: row.host,
        labels: AgentLabels {
            labels: row.labels.into_iter().collect(),
            mandatory: row.mandatory_labels.into_iter().collect(),
        },
        presence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_have_their_turn_when_they_are_too_many_for_one_look() {
        let waiting: BTreeMap<Uuid, usize> =
            (0..10u128).map(|id| (Uuid::from_u128(id), 1)).collect();
        let mut waits = Waits::default();
        assert_eq!(waits.turn(&waiting, 1).len(), 10);
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            let turn = waits.turn(&waiting, PAIRS / 3);
            assert_eq!(turn.len(), 3);
            seen.extend(turn);
        }
        assert_eq!(seen.len(), 10);
        assert_eq!(waits.turn(&waiting, PAIRS * 2).len(), 1, "one at a time at least");
    }
}
