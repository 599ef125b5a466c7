//! Which workflows an event starts.
//!
//! A workflow's triggers are compiled once ([`TriggerSet`]) and asked about many events. Nothing here
//! fails as a whole: a trigger with an unusable pattern does not match and says why in the decision.

mod decision;
mod git;
mod internal;
mod jsonpath;
mod pattern;
mod set;

pub use decision::{Check, Decision, Outcome};
pub use set::TriggerSet;
