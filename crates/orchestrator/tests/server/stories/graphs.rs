//! Needs in every form, and matrices with their order and limits.

use serde_json::json;

use super::{Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/graphs.ts");

with_both_engines!(jobs_that_need_each_other);

async fn jobs_that_need_each_other(engine: &'static str) {
    let mut stage = Stage::set(engine, 2, WORKFLOW).await;
    needs(&mut stage).await;
    matrices(&stage).await;
}

async fn needs(stage: &mut Stage) {
    let played = stage.play("needs", "failed").await;
    assert_eq!(played.run["failureReason"], "Failed jobs: bad");
    assert_eq!(
        super::shown(&played.jobs),
        [
            "ok success",
            "bad failed (Step 's' failed: boom)",
            "dflt skipped (upstream_unmet: bad (failed))",
            "dflt2 skipped (upstream_unmet: dflt (skipped))",
            "always success",
            "onfail success",
            "onfailok skipped (upstream_unmet: ok (success))",
            "onskip success",
            "raw success",
        ]
    );
    let said = stage.said(&played, "always").await;
    let wanted = json!({
        "needs": {
            "ok": {"result": {"s": {"v": 42}}, "status": "success"},
            "bad": {"result": {}, "status": "failed"},
            "dflt": {"result": {}, "status": "skipped"},
        },
        "ok": {"s": {"v": 42}},
        "v": 42,
    });
    assert_eq!(said, wanted);
    stage.is_well(&played, "always").await;
}

async fn matrices(stage: &Stage) {
    let played = stage.play("matrices", "failed").await;
    assert_eq!(played.run["failureReason"], "Failed jobs: ff (a)");
    assert_eq!(
        played.shown(),
        [
            "after success",
            "after-ff success",
            "arr (a) success",
            "arr (b) success",
            "arr (c) success",
            "ff (a) failed (Step 'step-1' failed: the first is bad)",
            "ff (b) skipped (fan-out halted by failFast)",
            "ff (c) skipped (fan-out halted by failFast)",
            "m (18, lin) success",
            "m (20, lin) success",
            "m (20, mac) success",
            "m (win, 22, y) success",
        ]
    );
    // One at a time, in the order of their labels.
    assert_eq!(stage.noted("arr"), ["start a", "end a", "start b", "end b", "start c", "end c"]);
    let said = stage.said(&played, "after").await;
    let turn = |v: &str| json!({"turn": {"v": v}});
    assert_eq!(
        said["outputs"],
        json!({"byMatrix": {"a": turn("a"), "b": turn("b"), "c": turn("c")}, "merged": turn("c")})
    );
    let child =
        |v: &str| json!({"name": format!("arr ({v})"), "result": turn(v), "status": "success"});
    assert_eq!(said["arr"], json!([child("a"), child("b"), child("c")]));
    let of = |at: usize| {
        let child = &said["m"][at];
        assert_eq!(child["status"], "success");
        json!([
            child["name"],
            child["result"]["matrix"],
            child["result"]["index"],
            child["result"]["total"]
        ])
    };
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [
            json!(["m (18, lin)", {"node": "18", "os": "lin"}, 0, 4]),
            json!(["m (20, lin)", {"node": "20", "os": "lin"}, 1, 4]),
            json!(["m (20, mac)", {"node": "20", "os": "mac"}, 2, 4]),
            json!(["m (win, 22, y)", {"os": "win", "node": "22", "extra": "y"}, 3, 4]),
        ]
    );
    let halted = stage.said(&played, "after-ff").await;
    let statuses: Vec<_> =
        halted["ff"].as_array().unwrap().iter().map(|child| child["status"].clone()).collect();
    assert_eq!(statuses, ["failed", "skipped", "skipped"]);
}
