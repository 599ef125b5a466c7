//! Who of a concurrency group may work. Pure.
//!
//! Waiting runs follow each other by age and never overtake. A run whose workflow cancels what is in progress leaves
//! room for as many as its `max` says and supersedes everything older; it starts when those have really stopped.

use uuid::Uuid;

/// A place in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) holder: Uuid,
    pub(super) run: Uuid,
    pub(super) max: u32,
    /// A newer run cancels older ones.
    pub(super) cancel: bool,
    pub(super) active: bool,
    pub(super) ended: bool,
    pub(super) stopping: bool,
    /// It could start now. One that still waits for needs or an approval takes no place and moves nobody.
    pub(super) ready: bool,
}

/// What follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Places that nobody needs any more.
    pub(super) ended: Vec<Uuid>,
    /// Places to be given out.
    pub(super) granted: Vec<Uuid>,
    /// Runs to be cancelled, because a newer one took their place.
    pub(super) superseded: Vec<Uuid>,
    /// Who goes on waiting, and the run behind which.
    pub(super) waiting: Vec<(Uuid, Option<Uuid>)>,
}

/// Decides about a group; `members` come with the oldest run first.
pub(super) fn decide(members: &[Member]) -> Verdict {
    let mut verdict = Verdict {
        ended: members.iter().filter(|one| one.ended).map(|one| one.holder).collect(),
        ..Verdict::default()
    };
    // What works until it has ended, also while it stops.
    let mut working: Vec<Uuid> =
        members.iter().filter(|one| one.active && !one.ended).map(|one| one.run).collect();
    let in_play = |one: &&Member| !one.ended && !one.stopping && (one.active || one.ready);

    // From the newest back: how many of those that follow may stay.
    let mut room: Option<usize> = None;
    let mut kept = 0;
    for one in members.iter().rev().filter(in_play) {
        if room.is_some_and(|room| kept >= room) {
            verdict.superseded.push(one.run);
            continue;
        }
        kept += 1;
        if one.cancel {
            let max = one.max as usize;
            room = Some(room.map_or(max, |room| room.min(max)));
        }
    }
    let mut blocked = false;
    for one in members.iter().filter(in_play).filter(|one| !one.active) {
        if verdict.superseded.contains(&one.run) {
            continue;
        }
        blocked |= working.len() >= one.max as usize;
        if blocked {
            verdict.waiting.push((one.holder, working.first().copied()));
        } else {
            working.push(one.run);
            verdict.granted.push(one.holder);
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn member(n: u128, max: u32, cancel: bool, active: bool) -> Member {
        Member {
            holder: id(n),
            run: id(n),
            max,
            cancel,
            active,
            ended: false,
            stopping: false,
            ready: true,
        }
    }

    #[test]
    fn a_queue_lets_as_many_in_as_there_is_room_for_and_keeps_its_order() {
        let verdict = decide(&[
            member(1, 2, false, true),
            member(2, 2, false, false),
            member(3, 2, false, false),
        ]);
        assert_eq!(verdict.granted, [id(2)]);
        assert_eq!(verdict.waiting, [(id(3), Some(id(1)))]);
        assert!(verdict.superseded.is_empty());
        // The first in line has less room than the second would have: nobody overtakes.
        let verdict = decide(&[
            member(1, 1, false, true),
            member(2, 1, false, false),
            member(3, 5, false, false),
        ]);
        assert!(verdict.granted.is_empty());
        assert_eq!(verdict.waiting.len(), 2);
    }

    #[test]
    fn a_newer_run_supersedes_and_starts_when_the_old_one_has_stopped() {
        let mut old = member(1, 1, true, true);
        let new = member(2, 1, true, false);
        let verdict = decide(&[old, new]);
        assert_eq!((verdict.superseded, verdict.granted), (vec![id(1)], vec![]));
        old.stopping = true;
        let verdict = decide(&[old, new]);
        assert!(verdict.superseded.is_empty(), "asked once is enough");
        assert_eq!(verdict.waiting, [(id(2), Some(id(1)))]);
        old.ended = true;
        let verdict = decide(&[old, new]);
        assert_eq!((verdict.ended, verdict.granted), (vec![id(1)], vec![id(2)]));
    }

    #[test]
    fn max_is_honoured_when_superseding() {
        let group: Vec<Member> = (1..=4).map(|n| member(n, 2, true, n <= 2)).collect();
        let verdict = decide(&group);
        assert_eq!(verdict.superseded, [id(2), id(1)]);
        assert!(verdict.granted.is_empty(), "both still work");
        assert_eq!(verdict.waiting.len(), 2);
    }

    #[test]
    fn an_older_run_that_comes_late_is_superseded_itself() {
        let verdict = decide(&[member(1, 1, true, false), member(2, 1, true, true)]);
        assert_eq!((verdict.superseded, verdict.granted), (vec![id(1)], vec![]));
    }

    #[test]
    fn who_is_not_ready_moves_nobody() {
        let held = Member { ready: false, ..member(2, 1, true, false) };
        assert_eq!(decide(&[member(1, 1, true, true), held]), Verdict::default());
    }

    proptest! {
        #[test]
        fn never_too_many_never_forgotten(
            of in prop::collection::vec((1u32..4, any::<bool>(), 0u8..5, any::<bool>()), 0..9),
        ) {
            let members: Vec<Member> = of.iter().enumerate().map(|(n, (max, cancel, what, ready))| Member {
                active: matches!(what, 1..=3), stopping: *what == 2, ended: *what == 3,
                ready: *ready, ..member(n as u128 + 1, *max, *cancel, false)
            }).collect();
            let verdict = decide(&members);
            let working = members.iter().filter(|one| one.active && !one.ended).count();
            for (nth, granted) in verdict.granted.iter().enumerate() {
                let one = members.iter().find(|one| one.holder == *granted).unwrap();
                prop_assert!(working + nth < one.max as usize, "no more than its max");
            }
            for one in members.iter().filter(|one| one.ready && !one.active && !one.stopping && !one.ended) {
                let said = verdict.granted.contains(&one.holder) as u8
                    + verdict.superseded.contains(&one.run) as u8
                    + verdict.waiting.iter().any(|(holder, _)| *holder == one.holder) as u8;
                prop_assert_eq!(said, 1, "every waiting one is decided about exactly once");
            }
            // Somebody can always go on: who waits, waits behind one that works.
            for (_, behind) in &verdict.waiting {
                prop_assert!(behind.is_some());
            }
            // Nobody is superseded without a newer run that cancels.
            for run in &verdict.superseded {
                prop_assert!(members.iter().any(|one| one.run > *run && one.cancel && !one.ended && !one.stopping));
            }
        }
    }
}
