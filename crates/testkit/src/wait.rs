//! Waiting for a state instead of sleeping.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// How often the state is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Calls `look` until it gives `Ok`, and returns that; `Err` is the present status.
///
/// Panics after `limit` with `what` was waited for and the last status:
///
/// ```no_run
/// # async fn example() {
/// # async fn run_state() -> &'static str { "queued" }
/// let limit = std::time::Duration::from_secs(10);
/// kici_testkit::wait_until(limit, "the run to end", async || match run_state().await {
///     "succeeded" => Ok(()),
///     other => Err(other),
/// })
/// .await;
/// # }
/// ```
pub async fn wait_until<T, S: Display>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(status) if Instant::now() >= deadline => {
                panic!("waited {limit:?} for {what}; last status: {status}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_was_found() {
        let mut looks = 0;
        let found = wait_until(Duration::from_secs(5), "three looks", async || {
            looks += 1;
            if looks == 3 { Ok("found") } else { Err(looks) }
        })
        .await;
        assert_eq!(found, "found");
    }

    #[tokio::test]
    #[should_panic(expected = "waited 30ms for rain; last status: sunny")]
    async fn tells_the_last_status() {
        wait_until(Duration::from_millis(30), "rain", async || Err::<(), _>("sunny")).await;
    }
}
