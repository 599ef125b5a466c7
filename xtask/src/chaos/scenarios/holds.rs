//! What must become of `holds.ts`, when everything is approved.

use super::plan::{Scenario, ok, run, scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "held-job",
        5,
        &[run(
            "held-job",
            &[
                ok("build", &["build"]),
                ok("ship", &["ship"]).after(&["build"]).asks(),
                ok("after", &["after"]).after(&["ship"]),
                ok("anyway", &["anyway"]).after(&["ship"]),
            ],
        )],
    ),
    scenario(
        "held-run",
        4,
        &[run("held-run", &[ok("build", &["build"]), ok("next", &["next"]).after(&["build"])])
            .asks()],
    ),
    scenario("held-step", 4, &[run("held-step", &[ok("gated", &["before", "gate"])])]),
];
