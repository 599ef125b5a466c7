//! Whole runs of random graphs, from their making to their end, compared with a naive model after every step.
//!
//! `shape` makes workflows, `step` says what happens to their runs, `naive` what must become of them, `play` compares.
//! The runs are kept in memory by the real pure functions (`memory`), or in PostgreSQL by the real code (`database`).

mod database;
mod memory;
mod naive;
mod play;
mod shape;
mod step;

use futures_util::FutureExt as _;
use kici_model::state::JobState;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use memory::Memory;
use play::{Tally, play};
use shape::shapes;

/// Steps that chance decides about; after them a run goes straight to its end.
const NUMBERS: usize = 300;

fn numbers() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..NUMBERS)
}

proptest! {
    #[test]
    fn every_graph_ends_as_the_naive_model_says(shape in shapes(1..14), numbers in numbers()) {
        let mut tally = Tally::default();
        let played = play(&shape, &numbers, &mut Memory::new(&shape), &mut tally).now_or_never();
        let played = played.expect("rows in memory never wait");
        prop_assert!(played.is_ok(), "{}\n{shape:?}", played.unwrap_err());
    }
}

#[test]
fn the_graphs_are_worth_playing() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut tally = Tally::default();
    for _ in 0..200 {
        let shape = shapes(1..14).new_tree(&mut runner).unwrap().current();
        let numbers = numbers().new_tree(&mut runner).unwrap().current();
        let played = play(&shape, &numbers, &mut Memory::new(&shape), &mut tally).now_or_never();
        assert_eq!(played, Some(Ok(())), "{shape:?}");
    }
    for state in JobState::FINAL {
        assert!(
            tally.ends.get(state.as_str()).is_some_and(|ends| *ends >= 10),
            "{state}: {tally:?}"
        );
    }
    assert!(
        ["success", "failed", "cancelled"].iter().all(|state| tally.runs.contains_key(*state)),
        "{tally:?}"
    );
    assert!(
        tally.together >= 50
            && tally.cancels >= 10
            && tally.decisions >= 10
            && tally.generated >= 20,
        "{tally:?}"
    );
}
