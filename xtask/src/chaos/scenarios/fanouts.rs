//! What must become of `fanouts.ts`.

use super::plan::{Scenario, fails, ok, run, scenario, skipped};

const CELLS: &[&str] = &["cell (1, lin)", "cell (1, mac)", "cell (2, lin)", "cell (3, win)"];
const COMPUTED: &[&str] = &["cell (x)", "cell (y)", "cell (z)"];
const HOSTS: &[&str] = &["host (a)", "host (b)", "host (c)", "host (d)"];
const INIT: &str = "__init__computed__cell";

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "matrix",
        6,
        &[run(
            "matrix",
            &[
                ok("cell (1, lin)", &["cell"]),
                ok("cell (1, mac)", &["cell"]),
                ok("cell (2, lin)", &["cell"]),
                ok("cell (3, win)", &["cell"]),
                ok("collect", &["collect"]).after(CELLS),
            ],
        )
        .windows(&[("cell", 2)])],
    ),
    scenario(
        "halted",
        6,
        &[run(
            "halted",
            &[
                ok("host (a)", &["roll"]),
                fails("host (b)", &["roll"]).behind(&["host (a)"]),
                skipped("host (c)"),
                skipped("host (d)"),
                skipped("after").after(HOSTS),
                ok("report", &["report"]).after(HOSTS),
            ],
        )
        .windows(&[("host", 1)])],
    ),
    scenario(
        "racing",
        5,
        &[run(
            "racing",
            &[
                fails("racer (a)", &["race"]),
                ok("racer (b)", &["race"]),
                ok("racer (c)", &["race"]).or_skipped(),
                ok("racer (d)", &["race"]).or_skipped(),
                ok("racer (e)", &["race"]).or_skipped(),
            ],
        )
        .windows(&[("racer", 2)])],
    ),
    scenario(
        "computed",
        6,
        &[run(
            "computed",
            &[
                ok(INIT, &[]),
                ok("cell", &[]).after(&[INIT]).until(INIT),
                ok("cell (x)", &["cell"]).after(&[INIT]).made_by(INIT),
                ok("cell (y)", &["cell"]).after(&[INIT]).made_by(INIT),
                ok("cell (z)", &["cell"]).after(&[INIT]).made_by(INIT),
                ok("collect", &["collect"]).after(COMPUTED),
            ],
        )
        .windows(&[("cell", 2)])],
    ),
];
