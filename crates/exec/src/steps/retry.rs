//! When a failed step is tried again.

use std::time::Duration;

use kici_workflow::describe::RetryDef;

use crate::millis;

/// The wait after failed attempt number `attempt` (1, 2, …).
pub(crate) fn delay_after(attempt: u32, retry: &RetryDef) -> Duration {
    let factor = if retry.backoff == "fixed" {
        1.0
    } else {
        2_f64.powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX))
    };
    let ms = (retry.delay_ms * factor).min(retry.max_delay_ms);
    millis::duration(Some(ms)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(backoff: &str, delay_ms: f64) -> RetryDef {
        RetryDef {
            max_attempts: 9,
            delay_ms,
            backoff: backoff.to_owned(),
            max_delay_ms: 30_000.0,
            retry_if: None,
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let waits: Vec<_> = (1..=9)
            .map(|attempt| delay_after(attempt, &retry("exponential", 200.0)).as_millis())
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(delay_after(4_000, &retry("exponential", 1.0)).as_millis(), 30_000);
        assert_eq!(delay_after(7, &retry("fixed", 200.0)).as_millis(), 200);
        assert_eq!(delay_after(1, &retry("fixed", -5.0)), Duration::ZERO);
    }
}
