//! What must become of `groups.ts`.

use super::plan::{Group, Scenario, ok, run, scenario};

const LANE: Group = Group { name: "on-lane", most: 2, supersedes: false };
const SWAP: Group = Group { name: "swap", most: 1, supersedes: true };
const ASKED: Group = Group { name: "asked-for", most: 1, supersedes: false };

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "lane",
        6,
        &[run("lane", &[ok("lead", &["lead"]), ok("follow", &["follow"]).after(&["lead"])])
            .in_group(&LANE)],
    )
    .burst(4),
    scenario(
        "swap",
        5,
        &[run("swap", &[ok("slow", &["slow"]), ok("beside", &["beside"])]).in_group(&SWAP)],
    )
    .burst(2),
    // More runs than agents would leave none for the one that may work.
    scenario("asked", 5, &[run("asked", &[ok("only", &["first", "second"])]).in_group(&ASKED)])
        .burst(2)
        .most_open(3),
    scenario(
        "solo",
        5,
        &[run(
            "solo",
            &[
                ok("one", &["one"]).alone_in("solo"),
                ok("two", &["two"]).alone_in("solo"),
                ok("free", &["free"]),
            ],
        )],
    )
    .burst(2),
    scenario(
        "limited",
        3,
        &[run(
            "limited",
            &[ok("endless", &[]).stopped(), ok("never", &[]).stopped().after(&["endless"])],
        )
        .limited_to(4000)],
    ),
];
