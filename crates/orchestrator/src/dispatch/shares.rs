//! Whose turn it is: a fair choice between repositories that want the same agents. Pure; [`super::claim`] asks.
//!
//! The repository that has the fewest agents for its weight goes first. Among equals it is the one whose last turn is
//! longest ago, where a turn is as many jobs as the weight says; among those, the one whose first job stands first in
//! the queue. So a repository that floods the queue takes every agent that nobody else wants, and none more.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What a repository has had so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) share: i64,
    /// How many times as much as others it may have; at least 1.
    pub(super) weight: u32,
    /// Its jobs with agents now.
    pub(super) held: u32,
    /// When its last full turn was; `i64::MIN` for none.
    pub(super) turn: i64,
    /// Jobs of the present turn.
    pub(super) used: u32,
    /// Where its first waiting job stands.
    pub(super) place: i64,
}

impl Standing {
    /// One that has had nothing.
    pub(super) fn new(share: i64, weight: u32, place: i64) -> Standing {
        Standing { share, weight: weight.max(1), held: 0, turn: i64::MIN, used: 0, place }
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        let has = |one: &Self, by: &Self| u64::from(one.held) * u64::from(by.weight);
        has(self, other)
            .cmp(&has(other, self))
            .then(self.turn.cmp(&other.turn))
            .then(self.place.cmp(&other.place))
            .then(self.share.cmp(&other.share))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Repositories in the order in which they are served.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    waiting: BinaryHeap<Reverse<Standing>>,
    /// Turns that end here are later than all that were stored.
    given: i64,
}

impl Turns {
    pub(super) fn new(standings: impl IntoIterator<Item = Standing>) -> Turns {
        Turns { waiting: standings.into_iter().map(Reverse).collect(), given: 0 }
    }

    /// Takes out the next repository. It comes back with [`Turns::served`], or not at all when it has nothing more that
    /// could be given to an agent.
    pub(super) fn next(&mut self) -> Option<Standing> {
        self.waiting.pop().map(|Reverse(next)| next)
    }

    /// It was given a job.
    pub(super) fn served(&mut self, mut of: Standing) {
        of.held = of.held.saturating_add(1);
        of.used += 1;
        if of.used >= of.weight {
            of.used = 0;
            self.given += 1;
            // Years after every stored turn, and in order.
            of.turn = i64::MAX / 2 + self.given;
        }
        self.waiting.push(Reverse(of));
    }
}

/// How many of the places each repository would get if all had jobs enough. What one does not need, it leaves for
/// the next pass.
pub(super) fn allocate(standings: &[Standing], places: usize) -> Vec<(i64, usize)> {
    let mut turns = Turns::new(standings.iter().copied());
    let mut given: std::collections::BTreeMap<i64, usize> = std::collections::BTreeMap::new();
    for _ in 0..places {
        let Some(next) = turns.next() else { break };
        *given.entry(next.share).or_default() += 1;
        turns.served(next);
    }
    given.into_iter().collect()
}

/// Which jobs must go so that no more than `most` wait: of the repositories that have the most, so that a flood does
/// not push out what others send.
pub(crate) fn over(waiting: &[(i64, i64)], most: i64) -> Vec<(i64, i64)> {
    let total: i64 = waiting.iter().map(|(_, jobs)| jobs).sum();
    if total <= most {
        return Vec::new();
    }
    // The highest level at which everything fits; what is left over goes to the first ones, a job each.
    let kept = |level: i64| waiting.iter().map(|(_, jobs)| (*jobs).min(level)).sum::<i64>();
    let (mut low, mut high) = (0, waiting.iter().map(|(_, jobs)| *jobs).max().unwrap_or(0));
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if kept(middle) <= most { low = middle } else { high = middle - 1 }
    }
    let mut spare = most - kept(low);
    let mut cut = Vec::new();
    for (share, jobs) in waiting {
        let extra = i64::from(*jobs > low && spare > 0);
        spare -= extra;
        let gone = (jobs - low - extra).max(0);
        if gone > 0 {
            cut.push((*share, gone));
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn standing(share: i64, weight: u32, held: u32) -> Standing {
        Standing { held, ..Standing::new(share, weight, share) }
    }

    #[test]
    fn who_has_least_for_its_weight_goes_first() {
        let given = allocate(&[standing(1, 1, 10), standing(2, 1, 0)], 4);
        assert_eq!(given, [(2, 4)], "the other has ten already");
        let given = allocate(&[standing(1, 1, 0), standing(2, 3, 0)], 8);
        assert_eq!(given, [(1, 2), (2, 6)], "three times the weight, three times the agents");
    }

    #[test]
    fn one_agent_is_given_by_turns() {
        // With one agent nobody has any when it becomes free: only the turns tell them apart.
        let (mut a, mut b) = (Standing::new(1, 1, 0), Standing::new(2, 2, 1));
        let mut order = Vec::new();
        for clock in 0..6 {
            let mut turns = Turns::new([a, b]);
            let next = turns.next().unwrap();
            order.push(next.share);
            let of = if next.share == 1 { &mut a } else { &mut b };
            of.used += 1;
            if of.used >= of.weight {
                (of.used, of.turn) = (0, clock);
            }
        }
        assert_eq!(order, [1, 2, 2, 1, 2, 2]);
    }

    #[test]
    fn a_full_queue_costs_those_who_fill_it() {
        assert_eq!(over(&[(1, 5000), (2, 1)], 1000), [(1, 4001)]);
        assert_eq!(over(&[(1, 600), (2, 600)], 1000), [(1, 100), (2, 100)]);
        assert_eq!(over(&[(1, 3), (2, 3)], 5), [(2, 1)]);
        assert_eq!(over(&[(1, 3)], 3), []);
    }

    proptest! {
        #[test]
        fn no_repository_waits_while_another_takes_more(
            held in prop::collection::vec((1u32..4, 0u32..20), 1..8), places in 0usize..60,
        ) {
            let standings: Vec<Standing> =
                held.iter().enumerate().map(|(at, (weight, held))| standing(at as i64, *weight, *held)).collect();
            let given = allocate(&standings, places);
            prop_assert_eq!(given.iter().map(|(_, jobs)| jobs).sum::<usize>(), places);
            let of = |share: i64| given.iter().find(|(of, _)| *of == share).map_or(0, |(_, jobs)| *jobs as u32);
            for a in &standings {
                for b in &standings {
                    // What `b` was given last, it was given while it had no more than `a` has now.
                    if of(b.share) > 0 {
                        let (a_has, b_had) = (a.held + of(a.share), b.held + of(b.share) - 1);
                        prop_assert!(b_had * a.weight <= a_has * b.weight);
                    }
                }
            }
        }

        #[test]
        fn what_is_cut_is_exactly_too_much(waiting in prop::collection::vec(0i64..50, 0..8), most in 0i64..100) {
            let waiting: Vec<(i64, i64)> = waiting.into_iter().enumerate().map(|(at, jobs)| (at as i64, jobs)).collect();
            let total: i64 = waiting.iter().map(|(_, jobs)| jobs).sum();
            let cut = over(&waiting, most);
            prop_assert_eq!(cut.iter().map(|(_, jobs)| jobs).sum::<i64>(), (total - most).max(0));
            for (share, gone) in &cut {
                let kept = waiting[*share as usize].1 - gone;
                prop_assert!(kept >= 0);
                let left = |of: i64| waiting[of as usize].1 - cut.iter().find(|(c, _)| *c == of).map_or(0, |(_, n)| *n);
                let fair = waiting.iter().all(|(of, _)| left(*of) <= kept + 1);
                prop_assert!(fair, "nobody keeps more than one that is cut");
            }
        }
    }
}
