//! How many deliveries a source may send in a minute.
//!
//! A sliding window in memory: only what was let through counts, and only after it proved to be
//! genuine, so that strangers cannot use up a source's share. Each orchestrator counts for itself;
//! behind several of them a source has as many shares.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kici_model::ids::SourceId;

const WINDOW: Duration = Duration::from_secs(60);

/// The windows of all sources.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    windows: Mutex<HashMap<SourceId, VecDeque<Instant>>>,
}

impl RateLimits {
    /// Lets one more through, or says after how many seconds there is room again (at least 1).
    pub(super) fn take(&self, source: SourceId, most: usize, now: Instant) -> Result<(), u64> {
        let mut windows = self.windows.lock().expect("no panic while the lock is held");
        let window = windows.entry(source).or_default();
        while window.front().is_some_and(|oldest| now.duration_since(*oldest) >= WINDOW) {
            window.pop_front();
        }
        // After the limit was lowered, room comes when the excess has left as well.
        let excess = (window.len() + 1).saturating_sub(most);
        match excess.checked_sub(1).and_then(|last| window.get(last)) {
            None => {
                window.push_back(now);
                Ok(())
            }
            Some(leaves) => {
                let wait = (*leaves + WINDOW).saturating_duration_since(now);
                Err((wait.as_millis().div_ceil(1000) as u64).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_and_refusals_do_not_count() {
        let limits = RateLimits::default();
        let source = SourceId::generate();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for second in [0, 10, 20] {
            assert_eq!(limits.take(source, 3, at(second)), Ok(()));
        }
        assert_eq!(limits.take(source, 3, at(30)), Err(30));
        assert_eq!(limits.take(source, 3, at(59)), Err(1));
        assert_eq!(limits.take(source, 3, at(60)), Ok(()));
        assert_eq!(limits.take(source, 3, at(61)), Err(9));
        // Another source has a window of its own; a lowered limit waits for the excess.
        assert_eq!(limits.take(SourceId::generate(), 3, at(61)), Ok(()));
        assert_eq!(limits.take(source, 1, at(61)), Err(59));
    }
}
