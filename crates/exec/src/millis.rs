//! Milliseconds as authors and messages write them.

use std::time::Duration;

/// Longer limits mean "none"; sums with the current time must not overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A duration in milliseconds, if there is one above zero.
pub(crate) fn duration(ms: Option<f64>) -> Option<Duration> {
    let ms = ms.filter(|ms| *ms > 0.0)?;
    Some(Duration::try_from_secs_f64(ms / 1_000.0).map_or(LONGEST, |limit| limit.min(LONGEST)))
}

/// Whole milliseconds of a duration.
pub(crate) fn of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_no_limit_and_too_much_is_bounded() {
        assert_eq!(duration(Some(1.5)), Some(Duration::from_micros(1500)));
        assert_eq!(duration(Some(0.0)), None);
        assert_eq!(duration(Some(-1.0)), None);
        assert_eq!(duration(Some(f64::NAN)), None);
        assert_eq!(duration(Some(f64::INFINITY)), Some(LONGEST));
        assert_eq!(duration(Some(1e30)), Some(LONGEST));
    }
}
