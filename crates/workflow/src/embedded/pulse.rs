//! Knows for how long JavaScript has run without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Beats whenever the engine's thread comes back from doing something else than JavaScript.
#[derive(Clone)]
pub(crate) struct Pulse {
    origin: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), last_ms: Arc::default() }
    }

    /// JavaScript has paused.
    pub(crate) fn beat(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// How long it has not.
    pub(crate) fn busy(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
