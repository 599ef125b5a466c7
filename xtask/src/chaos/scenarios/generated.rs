//! What must become of `generated.ts`.

use super::plan::{Scenario, fails, ok, run, scenario, skipped};

const SHARDS: &str = "__dynamic__generated__1";
const AWARE: &str = "__dynamic__generated__2";
const SOME: &str = "__dynamic__partly__0";

/// The generator of each group, and all that it makes.
const ALL: &[&str] = &[SHARDS, AWARE, "shard-a", "shard-b", "shard-c", "test-x", "test-y"];

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "generated",
        8,
        &[run(
            "generated",
            &[
                ok("source", &["list"]),
                ok(SHARDS, &[]),
                ok("shard-a", &["shard"]).after(&[SHARDS]).made_by(SHARDS),
                ok("shard-b", &["shard"]).after(&[SHARDS]).made_by(SHARDS),
                ok("shard-c", &["shard"]).after(&[SHARDS]).made_by(SHARDS),
                ok(AWARE, &[]).after(&["source", SHARDS, "shard-a", "shard-b", "shard-c"]),
                ok("test-x", &["test"]).after(&[AWARE]).made_by(AWARE),
                ok("test-y", &["test"]).after(&[AWARE]).made_by(AWARE),
                ok("fin", &["fin"]).after(ALL),
                ok("tell", &["tell"]).after(ALL),
            ],
        )],
    ),
    scenario(
        "partly",
        5,
        &[run(
            "partly",
            &[
                ok(SOME, &[]),
                ok("good", &["good"]).after(&[SOME]).made_by(SOME),
                fails("bad", &["bad"]).after(&[SOME]).made_by(SOME),
                skipped("needs-all").after(&[SOME, "good", "bad"]),
                ok("anyway", &["anyway"]).after(&[SOME, "good", "bad"]),
            ],
        )],
    ),
];
