//! Which numbered log messages of an attempt are durable: stored, indexed, and so is everything before them.
//!
//! Objects are indexed out of order (the last one of a job together with its end, by another task), but an agent
//! may only forget what has nothing missing before it. Pure.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Objects that are not indexed yet: the number before their messages, and their last.
    open: BTreeMap<i32, (u64, u64)>,
    /// The last message of any object that is indexed.
    indexed: u64,
    /// The last message that is in any object.
    sealed: u64,
}

impl Marks {
    /// Of an attempt whose messages up to `durable` are stored.
    pub(super) fn from(durable: u64) -> Marks {
        Marks { open: BTreeMap::new(), indexed: durable, sealed: durable }
    }

    /// An object holds everything up to this message.
    pub(super) fn sealed(&mut self, object: i32, seq: u64) {
        self.open.insert(object, (self.sealed, seq));
        self.sealed = seq;
    }

    /// The latest object was not stored after all.
    pub(super) fn unsealed(&mut self, object: i32) {
        if let Some((before, _)) = self.open.remove(&object) {
            self.sealed = before;
        }
    }

    /// An object is indexed.
    pub(super) fn indexed(&mut self, object: i32) {
        if let Some((_, seq)) = self.open.remove(&object) {
            self.indexed = self.indexed.max(seq);
        }
    }

    /// Messages up to this one had no lines that would have to be stored.
    pub(super) fn empty(&mut self, seq: u64) {
        if self.open.is_empty() {
            (self.indexed, self.sealed) = (seq, seq);
        }
    }

    /// Whether an object waits to be indexed.
    pub(super) fn is_open(&self, object: i32) -> bool {
        self.open.contains_key(&object)
    }

    /// The last message that is durable with all before it.
    pub(super) fn durable(&self) -> u64 {
        self.open.values().next().map_or(self.indexed, |(before, _)| *before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_counts_while_something_before_it_is_missing() {
        let mut marks = Marks::from(4);
        marks.sealed(1, 7);
        marks.sealed(2, 9);
        assert_eq!(marks.durable(), 4);
        marks.indexed(2);
        assert_eq!(marks.durable(), 4, "5 to 7 may still be lost");
        marks.indexed(1);
        assert_eq!(marks.durable(), 9);
        marks.indexed(1);
        assert_eq!(marks.durable(), 9);
    }

    #[test]
    fn what_was_not_stored_is_sealed_again_with_more() {
        let mut marks = Marks::default();
        marks.sealed(0, 3);
        marks.unsealed(0);
        marks.sealed(1, 5);
        assert_eq!(marks.durable(), 0);
        marks.empty(6);
        assert_eq!(marks.durable(), 0, "an object is still open");
        marks.indexed(1);
        marks.empty(6);
        assert_eq!(marks.durable(), 6);
    }
}
