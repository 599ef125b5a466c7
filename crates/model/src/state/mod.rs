//! States of runs, jobs and steps, the moves between them, and why things wait or end.

mod job;
mod kind;
mod reason;
mod run;
mod step;

pub use job::{FailureMark, IllegalMove, JobEvent, JobState, UnknownState};
pub use kind::JobKind;
pub use reason::{EndReason, InitCategory, TimeLimit, WaitReason};
pub use run::{DerivedRun, ReasonChange, RunState, derive_run};
pub use step::{IllegalStepMove, StepEvent, StepState};
