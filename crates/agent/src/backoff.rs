//! How long to wait before the next try to connect.

use std::time::Duration;

/// Longest wait.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(60);

/// `min(1 s × 1.5^attempt × (1 + random/2), 60 s)` with `random` in [0, 1).
pub(crate) fn delay(attempt: u32, random: f64) -> Duration {
    // Above the 30th attempt the limit has long been reached.
    let seconds = 1.5_f64.powi(i32::try_from(attempt.min(30)).unwrap_or(30)) * (1.0 + 0.5 * random);
    Duration::from_secs_f64(seconds).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_a_minute() {
        assert_eq!(delay(0, 0.0), Duration::from_secs(1));
        assert_eq!(delay(0, 0.5), Duration::from_millis(1250));
        assert_eq!(delay(2, 0.0), Duration::from_millis(2250));
        assert_eq!(delay(11, 0.0), MAX_DELAY);
        assert_eq!(delay(u32::MAX, 0.99), MAX_DELAY);
    }
}
