//! What must become of `graphs.ts`.

use super::plan::{Scenario, fails, ok, run, scenario, skipped};

const PARTS: &[&str] = &["part-0", "part-1", "part-2", "part-3", "part-4", "part-5"];

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "diamond",
        8,
        &[run(
            "diamond",
            &[
                ok("root", &["number"]),
                ok("left", &["left"]).after(&["root"]),
                ok("right", &["right"]).after(&["root"]),
                ok("join", &["join"]).after(&["root", "left", "right"]),
            ],
        )],
    ),
    scenario(
        "rescue",
        6,
        &[run(
            "rescue",
            &[
                fails("breaks", &["breaks"]),
                skipped("needs-success").after(&["breaks"]),
                ok("cleanup", &["cleanup"]).after(&["breaks"]),
                ok("on-failure", &["on-failure"]).after(&["breaks"]),
            ],
        )],
    ),
    scenario(
        "joins",
        6,
        &[run(
            "joins",
            &[
                ok("ok", &["ok"]),
                fails("bad", &["bad"]),
                skipped("chained").after(&["ok", "bad"]),
                skipped("further").after(&["chained"]),
                ok("always", &["always"]).after(&["ok", "bad", "chained"]),
                ok("onfail", &["onfail"]).after(&["bad"]),
                skipped("onfailok").after(&["ok"]),
                ok("onskip", &["onskip"]).after(&["further"]),
            ],
        )],
    ),
    scenario(
        "fan",
        4,
        &[run(
            "fan",
            &[
                ok("part-0", &["part"]),
                ok("part-1", &["part"]),
                ok("part-2", &["part"]),
                ok("part-3", &["part"]),
                ok("part-4", &["part"]),
                ok("part-5", &["part"]),
                ok("all", &["all"]).after(PARTS),
            ],
        )],
    ),
    scenario("twins", 6, &[run("twin-a", &[ok("a", &["a"])]), run("twin-b", &[ok("b", &["b"])])]),
];
