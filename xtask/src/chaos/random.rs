//! Random numbers that are the same for a seed in every release: a schedule of faults can be played again.
//!
//! `SplitMix64`, because the generators of the `rand` crate may give other numbers after an update.

use std::ops::Range;
use std::time::Duration;

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed; another `stream` of the same seed is independent of it.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self { state: seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95) };
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub(super) fn below(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// A place in a list that is not empty.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).expect("smaller than the list")
    }

    /// Milliseconds of a range.
    pub(super) fn time(&mut self, ms: Range<u64>) -> Duration {
        Duration::from_millis(self.below(ms))
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(0..100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut random = Random::new(7, 1);
        let numbers: Vec<u64> = (0..4).map(|_| random.below(0..1000)).collect();
        let mut again = Random::new(7, 1);
        assert_eq!(numbers, (0..4).map(|_| again.below(0..1000)).collect::<Vec<u64>>());
        let mut other = Random::new(7, 2);
        assert_ne!(numbers, (0..4).map(|_| other.below(0..1000)).collect::<Vec<u64>>());
    }
}
