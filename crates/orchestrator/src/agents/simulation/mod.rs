//! Both ends of the link against each other on a network that does its worst, with many seeds.
//!
//! The agent's end is the real link and outbox (`kici_agent::simulation`), the orchestrator's end the real [`super::link`]
//! and [`super::acks`]. The network (`network`) loses, delays and cuts, agents and orchestrators (`process`) die and come back,
//! the database (`tables`) is a model that is as strict as the real one. Time and chance are the world's, so a seed that fails
//! fails again.

mod network;
mod process;
mod tables;
mod world;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use world::World;

/// Seeds of the suite; another range finds other things: `SIMULATION_SEEDS=1000..9000`.
const SEEDS: std::ops::Range<u64> = 0..120;

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("SIMULATION_SEEDS") else { return SEEDS };
    let (first, end) = text.split_once("..").expect("SIMULATION_SEEDS is a range such as 5..6");
    first.parse().expect("a number")..end.parse().expect("a number")
}

#[test]
fn whatever_the_network_does_nothing_is_lost_and_nothing_is_done_twice() {
    let (mut ends, mut lost, mut cancelled) = (0, 0, 0);
    for seed in seeds() {
        let mut world = World::new(StdRng::seed_from_u64(seed));
        world.storm();
        world.calm();
        let problems = world.problems();
        assert!(problems.is_empty(), "seed {seed}:\n{}\n{}", problems.join("\n"), world.story());
        let counts = world.counts();
        ends += counts.told;
        lost += counts.lost;
        cancelled += counts.cancelled;
    }
    // A world in which nothing happens would be at peace, too.
    assert!(
        ends > 3 * lost && lost > 0 && cancelled > 0,
        "{ends} told, {lost} lost, {cancelled} cancelled"
    );
}
