//! Keeps the agent below the rate limit of an orchestrator that drops what is too much.
//!
//! Two token buckets, as the other side has them. Log frames use a part of them only; the rest is for
//! facts, which are held back just before the other side would drop them. Frames that are worth
//! something only now are never held back, but use up tokens too.

use std::time::{Duration, Instant};

use kici_protocol::agent::limits;

/// Share of the limit that is used.
const SHARE: f64 = 0.8;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Pace {
    buckets: Option<Buckets>,
    hold_until: Option<Instant>,
}

#[derive(Debug)]
struct Buckets {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl Pace {
    /// For a new connection; `limited` unless the orchestrator said that it never drops.
    pub(crate) fn new(limited: bool, now: Instant) -> Self {
        let buckets =
            limited.then(|| Buckets { messages: message_burst(), bytes: byte_burst(), at: now });
        Self { buckets, hold_until: None }
    }

    /// The other side dropped something: no log frames for a while.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.hold_until = Some(until);
    }

    /// `Err` says when a fact of that size may go.
    pub(crate) fn check_fact(&mut self, bytes: usize, now: Instant) -> Result<(), Instant> {
        let Some(buckets) = &mut self.buckets else { return Ok(()) };
        buckets.refill(now);
        let messages = 1.0 - message_reserve() - buckets.messages;
        let bytes = float(bytes) - byte_reserve() - buckets.bytes;
        wait_for(messages / message_rate(), bytes / byte_rate(), now)
    }

    /// `Err` says when a log frame may go.
    pub(crate) fn check_log(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.hold_until.filter(|until| *until > now) {
            return Err(until);
        }
        let Some(buckets) = &mut self.buckets else { return Ok(()) };
        buckets.refill(now);
        // A frame may overdraw the bytes once, so that its size need not be known beforehand.
        wait_for((1.0 - buckets.messages) / message_rate(), -buckets.bytes / byte_rate(), now)
    }

    /// A frame goes.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) {
        if let Some(buckets) = &mut self.buckets {
            buckets.refill(now);
            buckets.messages -= 1.0;
            buckets.bytes -= float(bytes);
        }
    }
}

impl Buckets {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.messages = (self.messages + seconds * message_rate()).min(message_burst());
        self.bytes = (self.bytes + seconds * byte_rate()).min(byte_burst());
    }
}

/// Seconds until both buckets have enough; rounded up, so that it is true when the time has come.
fn wait_for(messages: f64, bytes: f64, now: Instant) -> Result<(), Instant> {
    let missing = messages.max(bytes);
    if missing <= 0.0 {
        return Ok(());
    }
    Err(now + Duration::from_secs_f64(missing) + Duration::from_micros(1))
}

fn message_rate() -> f64 {
    f64::from(limits::MESSAGES_PER_SECOND) * SHARE
}

fn message_burst() -> f64 {
    f64::from(limits::MESSAGE_BURST) * SHARE
}

/// What facts may take beyond the burst.
fn message_reserve() -> f64 {
    f64::from(limits::MESSAGE_BURST) * 0.95 - message_burst()
}

fn byte_rate() -> f64 {
    float(limits::BYTES_PER_SECOND) * SHARE
}

/// One log frame may overdraw it by up to [`limits::AGENT_MAX_FRAME`].
fn byte_burst() -> f64 {
    float(limits::BYTE_BURST - limits::AGENT_MAX_FRAME) * SHARE
}

/// What facts may take beyond the burst.
fn byte_reserve() -> f64 {
    float(limits::BYTE_BURST) * 0.95 - byte_burst()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 bytes")]
fn float(bytes: usize) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends frames of `bytes` as fast as allowed and checks them against the buckets of v0.1.24.
    fn survives(bytes: usize, fact: bool) {
        let start = Instant::now();
        let mut now = start;
        let mut pace = Pace::new(true, now);
        let mut theirs = (f64::from(limits::MESSAGE_BURST), limits::BYTE_BURST as f64, now);
        for _ in 0..2_000 {
            let check = |pace: &mut Pace, now| match fact {
                true => pace.check_fact(bytes, now),
                false => pace.check_log(now),
            };
            if let Err(until) = check(&mut pace, now) {
                now = until;
            }
            check(&mut pace, now).unwrap();
            pace.spend(bytes, now);
            let seconds = (now - theirs.2).as_secs_f64();
            theirs.0 = (theirs.0 + seconds * 100.0).min(200.0) - 1.0;
            theirs.1 = (theirs.1 + seconds * 512_000.0).min(2_097_152.0) - bytes as f64;
            theirs.2 = now;
            assert!(theirs.0 >= 0.0 && theirs.1 >= 0.0, "{bytes}: {theirs:?}");
        }
        let rate = (2_000 * bytes) as f64 / (now - start).as_secs_f64();
        assert!(rate > 300_000.0 || bytes < 5_000, "{bytes}: only {rate} bytes/s");
    }

    #[test]
    fn a_paced_agent_never_hits_the_limit() {
        for bytes in [100, 5_000, 128 * 1024, limits::AGENT_MAX_FRAME] {
            survives(bytes, false);
            survives(bytes, true);
        }
    }

    #[test]
    fn facts_pass_where_log_frames_wait() {
        let now = Instant::now();
        let mut pace = Pace::new(true, now);
        while pace.check_log(now).is_ok() {
            pace.spend(1000, now);
        }
        for _ in 0..20 {
            pace.check_fact(1000, now).unwrap();
            pace.spend(1000, now);
        }
    }

    #[test]
    fn without_a_limit_only_a_warning_holds() {
        let now = Instant::now();
        let mut pace = Pace::new(false, now);
        for _ in 0..10_000 {
            pace.check_log(now).unwrap();
            pace.spend(1_000_000, now);
        }
        let until = now + Duration::from_millis(9);
        pace.hold(until);
        assert_eq!(pace.check_log(now), Err(until));
        assert_eq!(pace.check_log(until), Ok(()));
    }
}
