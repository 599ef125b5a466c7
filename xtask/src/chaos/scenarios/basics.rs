//! What must become of `basics.ts`.

use super::plan::{Scenario, fails, ok, run, scenario};

/// The workflow whose runs are all cancelled while they run.
pub(in crate::chaos) const CANCELLED: &str = "cancelled";

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("single", 24, &[run("single", &[ok("only", &["first", "second"])])]),
    scenario("long", 8, &[run("long", &[ok("long", &["sleep", "after"])])]),
    scenario("verbose", 8, &[run("verbose", &[ok("verbose", &["much", "more"])])]),
    scenario("failing", 6, &[run("failing", &[fails("fails", &["good", "bad"])])]),
    scenario("cancelled", 6, &[run(CANCELLED, &[ok("slow", &["slow"]), ok("other", &["quick"])])]),
];
