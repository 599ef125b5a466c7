//! Which agents fit which waiting jobs, worked out once for a pass: matching labels for each job and agent anew would
//! cost more than all the rest when there are many of both.

use std::collections::{HashMap, VecDeque};

use kici_model::lock::RunsOnPick;
use uuid::Uuid;

use super::selectors::Selectors;
use crate::agents::Offer;

/// Free places, and who may take them.
pub(super) struct Fitting<'a> {
    offers: &'a [Offer],
    /// Places left at each agent.
    free: Vec<usize>,
    of: HashMap<Uuid, Agents>,
}

/// The agents that fit one selector and had a place, sorted by id.
struct Agents {
    pick: RunsOnPick,
    at: VecDeque<usize>,
    /// How often one was taken.
    turn: usize,
}

impl<'a> Fitting<'a> {
    pub(super) fn new(selectors: &Selectors, waiting: &[Uuid], offers: &'a [Offer]) -> Fitting<'a> {
        let free: Vec<usize> = offers.iter().map(|offer| offer.free).collect();
        let fitting = |id: &Uuid| {
            let known = selectors.get(*id)?;
            // Of a thousand hosts each with its own jobs, nobody looks at the others.
            let looked_at = match known.pin() {
                None => 0..offers.len(),
                Some(pin) => {
                    let place = offers.binary_search_by(|offer| offer.agent.id().cmp(&pin.agent));
                    place.map_or(0..0, |at| at..at + 1)
                }
            };
            let fits = |at: &usize| {
                let agent = &offers[*at].agent;
                free[*at] > 0 && known.fits(agent.id(), agent.labels())
            };
            let at: VecDeque<usize> = looked_at.filter(fits).collect();
            (!at.is_empty()).then_some((*id, Agents { pick: known.pick, at, turn: 0 }))
        };
        let of = waiting.iter().filter_map(fitting).collect();
        Fitting { offers, free, of }
    }

    /// Places for jobs of a selector.
    pub(super) fn places(&self, selector: Uuid) -> usize {
        let Some(agents) = self.of.get(&selector) else { return 0 };
        agents.at.iter().map(|at| self.free[*at]).sum()
    }

    /// Takes a place for a job: at the agent with the lowest id, or at any; at one that has refused it only if there
    /// is no other.
    pub(super) fn take(&mut self, selector: Uuid, refused_by: Option<&str>) -> Option<usize> {
        let agents = self.of.get_mut(&selector)?;
        let free = &mut self.free;
        // In the end all of them are full; those in front are not looked at again.
        while agents.at.front().is_some_and(|at| free[*at] == 0) {
            agents.at.pop_front();
        }
        let start = match agents.pick {
            RunsOnPick::Deterministic => 0,
            RunsOnPick::Any => agents.turn % agents.at.len().max(1),
        };
        let mut open = agents.at.range(start..).chain(agents.at.range(..start)).copied();
        let mut open = open.by_ref().filter(|at| free[*at] > 0);
        let first = open.next()?;
        let refused = |at: usize| refused_by == Some(self.offers[at].agent.id());
        let at = if refused(first) { open.next().unwrap_or(first) } else { first };
        free[at] -= 1;
        agents.turn += 1;
        Some(at)
    }
}
