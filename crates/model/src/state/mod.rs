//! States of runs, jobs, steps and holds, the moves between them, and why things wait or end.

mod hold;
mod job;
mod kind;
mod reason;
mod run;
mod step;
mod wait;

pub use hold::{HoldEvent, HoldScope, HoldState};
pub use job::{FailureMark, IllegalMove, JobEvent, JobState, UnknownState};
pub use kind::JobKind;
pub use reason::{EndReason, InitCategory, TimeLimit};
pub use run::{DerivedRun, ReasonChange, RunState, derive_run};
pub use step::{IllegalStepMove, StepEvent, StepState};
pub use wait::{Absent, Closest, WaitReason};
