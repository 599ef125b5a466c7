//! The state machine of a hold: what somebody has to approve before it goes on.

use super::job::words;

words! {
    /// What a hold keeps.
    HoldScope {
        /// A run before its first job.
        Workflow = "workflow",
        /// A job before its dispatch.
        Job = "job",
        /// A step before its function.
        Step = "step",
    }
}

words! {
    /// State of a hold.
    HoldState {
        /// Its job still waits for something else.
        Planned = "planned",
        /// Somebody is asked.
        Pending = "pending",
        /// Everybody who has to has approved.
        Approved = "approved",
        /// Somebody said no.
        Rejected = "rejected",
        /// Nobody answered in time.
        Expired = "expired",
        /// Its timer ran out.
        Released = "released",
        /// What it kept ended first.
        Cancelled = "cancelled",
    }
}

words! {
    /// What happens to a hold.
    HoldEvent {
        /// Nothing else keeps the job any more.
        Open = "OPEN",
        /// The last approval came.
        Approve = "APPROVE",
        /// Somebody refused.
        Reject = "REJECT",
        /// Its time is up.
        Expire = "EXPIRE",
        /// The time that it was to wait is over.
        Release = "RELEASE",
        /// What it keeps has ended.
        Cancel = "CANCEL",
    }
}

impl HoldState {
    /// The only place that says which moves exist; `None`: there is none.
    pub fn after(self, event: HoldEvent) -> Option<Self> {
        use HoldEvent as E;
        use HoldState as S;
        Some(match (self, event) {
            (S::Planned, E::Open) => S::Pending,
            (S::Pending, E::Approve) => S::Approved,
            (S::Pending, E::Reject) => S::Rejected,
            (S::Pending, E::Expire) => S::Expired,
            (S::Pending, E::Release) => S::Released,
            (S::Planned | S::Pending, E::Cancel) => S::Cancelled,
            _ => return None,
        })
    }

    /// Whether nothing happens to it any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Planned | Self::Pending => false,
            Self::Approved | Self::Rejected | Self::Expired | Self::Released | Self::Cancelled => {
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event() {
        let mut table = String::new();
        for state in HoldState::ALL {
            for event in HoldEvent::ALL {
                if let Some(to) = state.after(*event) {
                    table.push_str(&format!("{state} {event} -> {to}\n"));
                }
                assert!(!state.is_final() || state.after(*event).is_none());
            }
        }
        insta::assert_snapshot!(table, @r"
        planned OPEN -> pending
        planned CANCEL -> cancelled
        pending APPROVE -> approved
        pending REJECT -> rejected
        pending EXPIRE -> expired
        pending RELEASE -> released
        pending CANCEL -> cancelled
        ");
    }
}
