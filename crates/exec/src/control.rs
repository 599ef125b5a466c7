//! Stop orders: who wants a job stopped, how hard, and who has to hear of it.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Why a job stops before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopCause {
    /// By order; hooks run unless it was forced.
    Cancelled { reason: String },
    /// The job's own limit.
    TimedOut { limit_ms: u64 },
}

/// Two signals: end what you do, and be gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Processes get TERM, `ctx.signal` fires.
    pub(crate) term: CancellationToken,
    /// Processes get KILL, nobody waits for JavaScript.
    pub(crate) kill: CancellationToken,
}

impl Stop {
    /// Stops when this stops, or by itself.
    pub(crate) fn child(&self) -> Self {
        Self { term: self.term.child_token(), kill: self.kill.child_token() }
    }

    /// For hooks of a stopped job: only force stops them.
    pub(crate) fn only_kill(&self) -> Self {
        let kill = self.kill.child_token();
        Self { term: kill.child_token(), kill }
    }
}

/// The stop order of one job. The first cause stays, a second order counts as force.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// What every step listens to.
    pub(crate) stop: Stop,
    cause: Mutex<Option<StopCause>>,
}

impl Control {
    /// Stops the job by order.
    pub(crate) fn cancel(&self, reason: String, force: bool) {
        let again = self.stop.term.is_cancelled();
        self.set_cause(StopCause::Cancelled { reason });
        self.stop.term.cancel();
        if force || again {
            self.stop.kill.cancel();
        }
    }

    /// Stops the job because its time is over.
    pub(crate) fn time_out(&self, limit_ms: u64) {
        self.set_cause(StopCause::TimedOut { limit_ms });
        self.stop.term.cancel();
    }

    /// The grace time is over, and the author's code has not heard: from now on it is force.
    pub(crate) fn lose_patience(&self) {
        self.stop.kill.cancel();
    }

    /// Why the job stops, if it does.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether hooks may still run: not after force and not after the job's time limit.
    pub(crate) fn hooks_allowed(&self) -> bool {
        !self.stop.kill.is_cancelled() && !matches!(self.cause(), Some(StopCause::TimedOut { .. }))
    }

    fn set_cause(&self, cause: StopCause) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_order_is_force_and_keeps_the_first_reason() {
        let control = Control::default();
        control.cancel("first".to_owned(), false);
        assert!(control.hooks_allowed() && !control.stop.kill.is_cancelled());
        control.cancel("second".to_owned(), false);
        assert!(control.stop.kill.is_cancelled() && !control.hooks_allowed());
        assert_eq!(control.cause(), Some(StopCause::Cancelled { reason: "first".to_owned() }));
    }

    #[test]
    fn hooks_hear_force_only() {
        let control = Control::default();
        let hook = control.stop.only_kill();
        control.cancel(String::new(), false);
        assert!(!hook.term.is_cancelled());
        control.cancel(String::new(), true);
        assert!(hook.term.is_cancelled() && hook.kill.is_cancelled());
    }
}
