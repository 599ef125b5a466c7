//! When a connected agent was last heard of, and what of that the roster knows.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use kici_store::agent::Seen;

use super::connected::Connected;

/// Times are milliseconds since here, so that they fit into atomics.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// No clock has been compared.
const UNKNOWN: i64 = i64::MIN;

/// Signs of life of one agent. Written by its reader with each frame, so without locks.
#[derive(Debug)]
pub(super) struct Life {
    seen: AtomicI64,
    /// The `seen` that the roster has.
    written: AtomicI64,
    skew: AtomicI64,
    /// The roster has to learn something at once.
    changed: AtomicBool,
}

impl Life {
    /// Of an agent whose registration is being written.
    pub(super) fn new(skew: Option<i64>) -> Life {
        let now = now();
        Life {
            seen: now.into(),
            written: now.into(),
            skew: skew.unwrap_or(UNKNOWN).into(),
            changed: false.into(),
        }
    }

    /// A frame came.
    pub(super) fn frame(&self) {
        self.seen.store(now(), Ordering::Relaxed);
    }

    /// The agent's clock showed this when ours showed `ours`, both epoch ms.
    pub(super) fn clock(&self, theirs: i64, ours: i64) {
        self.skew.store(theirs.saturating_sub(ours), Ordering::Relaxed);
    }

    /// The agent's clock minus ours, with the time that messages take.
    pub(super) fn skew(&self) -> Option<i64> {
        Some(self.skew.load(Ordering::Relaxed)).filter(|skew| *skew != UNKNOWN)
    }

    /// The roster shall learn at once what has changed.
    pub(super) fn tell(&self) {
        self.changed.store(true, Ordering::Release);
    }

    /// What the roster has to learn, if it is time.
    pub(super) fn due(&self, agent: &Connected, after: Duration) -> Option<Seen> {
        let (now, seen) = (now(), self.seen.load(Ordering::Relaxed));
        let written = self.written.load(Ordering::Relaxed);
        let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let aged = seen > written && now - written >= after;
        (aged || self.changed.load(Ordering::Acquire)).then(|| Seen {
            agent_id: agent.id.clone(),
            connection: agent.connection,
            silent_ms: now - seen,
            clock_skew_ms: self.skew(),
            draining: agent.draining.load(Ordering::Relaxed),
        })
    }

    /// The roster has it.
    pub(super) fn written(&self, seen: &Seen, draining: bool) {
        self.written.store(now() - seen.silent_ms, Ordering::Relaxed);
        if seen.draining == draining {
            self.changed.store(false, Ordering::Release);
        }
    }
}

fn now() -> i64 {
    i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX)
}
